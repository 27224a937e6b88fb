"""A connection that bytes go over, plain or in TLS, on a socket that was made in whatever namespace."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Self, TypeVar

from podsupd.ports import Detail
from podsupd.probes import dial

CHUNK = 65536  # bytes asked for at once

T = TypeVar("T")


class HandshakeError(Exception):
    """TLS could not be agreed on; the message is OpenSSL's."""


class Wire:
    """An open connection; close it, or use it as a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it, without a farewell."""
        self._sock.close()

    async def send(self, data: bytes) -> None:
        """Send all of it; raises OSError."""
        try:
            sent = self._sock.send(data)  # what a probe asks fits into any socket's buffer
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            await self._loop.sock_sendall(self._sock, data[sent:])

    async def receive(self) -> bytes:
        """Return what has come, empty at the end; raises OSError."""
        return await self._loop.sock_recv(self._sock, CHUNK)


class TlsWire(Wire):
    """One whose bytes are encrypted; the certificate is not verified, as a kubelet does not."""

    def __init__(self, sock: socket.socket, server_name: str) -> None:
        super().__init__(sock)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context().wrap_bio(self._in, self._out, server_hostname=server_name)

    async def shake_hands(self) -> None:
        """Agree on keys; raises HandshakeError and OSError."""
        try:
            await self._through(self._tls.do_handshake)
        except ssl.SSLError as error:
            raise HandshakeError(str(error)) from error

    async def send(self, data: bytes) -> None:
        """Send all of it; raises OSError."""
        await self._through(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        """Return what has come, empty at the end; raises OSError."""
        try:
            return await self._through(lambda: self._tls.read(CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def _through(self, step: Callable[[], T]) -> T:
        """Do a step of TLS, and whatever reading and writing it asks for."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await super().receive()
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            else:
                await self._flush()
                return done

    async def _flush(self) -> None:
        if self._out.pending:
            await super().send(self._out.read())


async def reach(host: str, port: int, open_socket: dial.OpenSocket, detail: Detail, *, tls: bool) -> Wire:
    """Return a connection to the first address that accepts; raises OSError and HandshakeError."""
    sock = await dial.connect(host, port, open_socket, detail)
    if not tls:
        return Wire(sock)
    try:
        began = time.monotonic()
        wire = TlsWire(sock, host)
        await wire.shake_hands()
    except BaseException:
        sock.close()
        raise
    detail.tls_s = time.monotonic() - began
    return wire


@cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
