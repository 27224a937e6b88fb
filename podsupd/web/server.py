"""The listeners of the daemon: control socket, optional TCP, metrics; started, retried and stopped."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from podsupd import log
from podsupd.errors import FatalError
from podsupd.model.settings import Settings
from podsupd.ports import Control
from podsupd.web.app import make_app
from podsupd.web.metrics import PrometheusMeter
from podsupd.web.sockets import Address, bind_control, bind_tcp, parse_address, read_token, tls_context

RETRY_S = 10.0
"""How long until a TCP address that was taken is tried again (seconds)."""
SHUTDOWN_S = 0.5
"""How long an answer may still take when the daemon ends (seconds); waits and streams end at once."""

CONNECTIONS_MAX = 256
"""How many connections a listener has at once; a reader that follows a stream holds one for as long as it reads."""

IDLE_S = 75.0
"""How long a connection may take to ask, from its beginning or after an answer (seconds), header and all.

A Prometheus that scrapes once a minute keeps its connection.
"""
UNREAD_S = 30.0
"""How long an answer of the metrics may stand unread (seconds); a stream of the control endpoint may, in a pager."""
HANDSHAKE_S = 10.0
"""How long a TLS handshake may take (seconds): until it is over the connection is not counted."""

_log = log.get("web")


@dataclass(slots=True)
class _Listener:
    """A TCP listener: wanted from the start, bound when its address is free.

    unread_s: how long an answer may stand unread (seconds); None: as long as the reader likes.
    """

    name: str
    setting: str
    address: Address
    app: web.Application
    tls: ssl.SSLContext | None = None
    unread_s: float | None = None
    runner: web.AppRunner | None = None
    said: bool = False


class WebServer:
    """The control endpoint and the metrics listener.

    sockets: listening unix sockets passed by systemd, used instead of ``api.socket``.
    A control socket that cannot be had ends the daemon; a TCP address that is taken does not: the pods matter
    more than being seen, so it is logged and tried again by ``run``.
    """

    def __init__(
        self,
        control: Control,
        meter: PrometheusMeter,
        settings: Settings,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._settings = settings
        self._passed = tuple(sockets)
        self._stopping = asyncio.Event()
        self._control_app = make_app(control, meter)
        self._control_runner: web.AppRunner | None = None
        self._made: tuple[str, int] | None = None
        self._listeners = [*self._tcp(control, meter), *self._metrics(control, meter)]

    def _tcp(self, control: Control, meter: PrometheusMeter) -> list[_Listener]:
        api = self._settings.api
        if not api.listen:
            return []
        address = parse_address(api.listen, "api.listen")
        app = make_app(control, meter, token=read_token(api), loopback=address.loopback)
        return [_Listener("control endpoint", "api.listen", address, app, tls_context(api, address))]

    def _metrics(self, control: Control, meter: PrometheusMeter) -> list[_Listener]:
        listen = self._settings.metrics.listen
        if not listen:
            return []
        address = parse_address(listen, "metrics.listen")
        app = make_app(control, meter, read_only=True, loopback=address.loopback)
        return [_Listener("metrics", "metrics.listen", address, app, unread_s=UNREAD_S)]

    @property
    def addresses(self) -> list[Any]:
        """Where it listens: a path for the control socket, (host, port, ...) for TCP."""
        runners = [self._control_runner, *(listener.runner for listener in self._listeners)]
        return [address for runner in runners if runner for address in runner.addresses]

    async def start(self) -> None:
        """Listen. Raises FatalError for the control socket; TCP addresses that are taken are only logged."""
        sockets = self._passed
        if any(one.family != socket.AF_UNIX for one in sockets):
            # On this application nobody is asked for a token.
            raise FatalError(
                "cannot use a socket that systemd passed: it is no unix socket; keep ListenStream= to paths in "
                "podsupd.socket, and set api.listen for the control endpoint over TCP"
            )
        runner = _runner(self._control_app)
        await runner.setup()
        self._control_runner = runner
        if not sockets:
            bound = bind_control(self._settings.api)
            self._made = _inode(self._settings.api.socket)
            sockets = (bound,)
        for one in sockets:
            await _Site(runner, one).start()
        await self._try_listeners()

    async def run(self) -> None:
        """Try TCP addresses that were taken again, until ``stop``."""
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(RETRY_S):
                    await self._stopping.wait()
            except TimeoutError:
                await self._try_listeners()

    async def stop(self) -> None:
        """Stop listening, end waits and streams at once, give other answers half a second."""
        self._stopping.set()
        if self._made is not None:
            _remove(*self._made)
            self._made = None
        runners = [self._control_runner, *(listener.runner for listener in self._listeners)]
        self._control_runner = None
        for listener in self._listeners:
            listener.runner = None
        for runner in runners:
            if runner is not None:
                await runner.cleanup()

    async def _try_listeners(self) -> None:
        for listener in self._listeners:
            if listener.runner is None and not self._stopping.is_set():
                await self._try(listener)

    async def _try(self, listener: _Listener) -> None:
        where = str(listener.address)
        try:
            bound = bind_tcp(listener.address, listener.unread_s)
        except OSError as error:
            if not listener.said:
                listener.said = True
                _log.warning(
                    "cannot listen: the daemon goes on without it and tries again",
                    what=listener.name,
                    address=where,
                    setting=listener.setting,
                    reason=error.strerror or str(error),
                    retry_s=RETRY_S,
                )
            return
        runner = _runner(listener.app)
        await runner.setup()
        listener.runner = runner
        for one in bound:
            await _Site(runner, one, ssl_context=listener.tls).start()
        if listener.said:
            _log.info("listening at last", what=listener.name, address=where)


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=IDLE_S
    )


def _inode(path: str) -> tuple[str, int]:
    try:
        return path, Path(path).stat().st_ino
    except FileNotFoundError:
        return path, 0


def _remove(path: str, inode: int) -> None:
    # A newer daemon may have replaced it: then it is not ours to remove.
    if _inode(path) == (path, inode):
        Path(path).unlink()


class _Site(web.SockSite):
    """A socket that is bound already, on which CONNECTIONS_MAX are open at once, and in a burst a few more.

    Each costs a descriptor of those that the pods are looked after with. aiohttp's SockSite knows no such bound, and
    gives every socket to create_server, for TCP only.
    """

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:  # BaseSite.start has refused before
            raise RuntimeError("Call runner.setup() before making a site")
        loop = asyncio.get_running_loop()
        said = False

        def protocol() -> asyncio.BaseProtocol:
            nonlocal said
            if len(server.connections) < CONNECTIONS_MAX:
                return server()
            if not said:
                said = True
                _log.warning("too many connections: further ones are closed", at=self.name, most=CONNECTIONS_MAX)
            return _Closed()

        if self._sock.family == socket.AF_UNIX:
            # Newer Pythons remove the file of any unix socket that they close; systemd's must stay.
            options: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
            self._server = await loop.create_unix_server(protocol, sock=self._sock, backlog=self._backlog, **options)
        else:
            self._server = await loop.create_server(
                protocol,
                sock=self._sock,
                ssl=self._ssl_context,
                ssl_handshake_timeout=HANDSHAKE_S if self._ssl_context else None,
                backlog=self._backlog,
            )


class _Closed(asyncio.Protocol):
    """A connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
