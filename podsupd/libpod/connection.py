"""One place where a libpod call is made, timed, counted and its failures become podsupd's errors."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

import aiohttp
from yarl import URL

from podsupd.errors import (
    FatalError,
    PodmanConflict,
    PodmanError,
    PodmanNotFound,
    PodmanRejected,
    PodmanUnavailable,
    PortTaken,
)
from podsupd.ports import Meter

T = TypeVar("T")

# The server accepts this path on 4.x and 5.x, and from 5.1 on answers it in the 4.x shape.
API = "/v4.0.0/libpod/"

# The server closes an idle connection after twice its service timeout, 10 s. We let go first, so that a POST, which
# must not be sent twice, does not meet a connection that is just being closed. (aiohttp itself sends an idempotent
# call again, once, when a kept connection turns out closed.)
KEEP_ALIVE_S = 4.0

# libpod's sentinel errors, as they come in `cause` where the status is a bare 500.
_GONE = ("no such pod", "no such container", "no such volume", "no such exec session", "image not known")
_CONFLICTS = (
    "container state improper",
    "pod state improper",
    "dependency exists",
    "already exists",
    "that name is already in use",
    "volume is being used",
)

# The kernel's EADDRINUSE; conmon or rootlessport listens on the host's port.
_TAKEN = "address already in use"
_LISTENED = re.compile(r"listen (tcp|udp)[46]? \S*?:(\d+)", re.IGNORECASE)

# What the host has no more of, in the kernel's words, and what a person can do; it is tried again by itself.
_USED_UP = {
    "no space left on device": "the disk is full: make room, `podman system df` shows what images and containers take",
    "disk quota exceeded": "a disk quota is used up: make room, or raise it",
    "resource temporarily unavailable": (
        "no process can be started: pids.max of the cgroup that Podman's service is in, kernel.pid_max or"
        " kernel.threads-max is reached"
    ),
    "too many open files": "a limit of open files is reached: LimitNOFILE of Podman's service, or fs.file-max",
    "cannot allocate memory": "the host, or the cgroup of Podman's service, is out of memory",
}
_PANIC = "runtime error:"

HTTP_NOT_MODIFIED = 304
HTTP_BAD_REQUEST = 400
HTTP_NOT_FOUND = 404
HTTP_CONFLICT = 409
HTTP_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Call:
    """One request. operation: the metric's label. what: VERB OBJECT of error messages. path: below API, quoted.

    headers: may hold a password, so they are not shown.
    """

    operation: str
    what: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> URL:
        """Return the whole URL; the host part is only there because HTTP wants one."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return URL(f"http://podman{API}{self.path}{query}", encoded=True)


def socket_path(url: str) -> str:
    """Return the path in a ``unix://`` URL; FatalError for any other."""
    parts = urlsplit(url)
    if parts.scheme != "unix" or not parts.path or parts.netloc:
        raise FatalError(
            f"cannot use Podman at {url!r}: only a local socket works, as unix:///run/podman/podman.sock; "
            "run podsupd on the machine whose pods it keeps, and set [podman] url there"
        )
    return unquote(parts.path)


class Connection:
    """A pool of connections to one libpod socket.

    timeout_s bounds every call as a whole, from waiting for a connection to the last byte of the answer.
    """

    def __init__(self, url: str, *, meter: Meter, timeout_s: float) -> None:
        self.path = socket_path(url)
        self.timeout_s = timeout_s
        self._meter = meter
        self._ours: bytes = b""
        self._adopted: tuple[bytes, ...] = ()
        self._session: aiohttp.ClientSession | None = None

    def recognise(self, owner: str, adopted: Iterable[str]) -> None:
        """Read the owner ids that were adopted as our own in every answer; they occur nowhere but in the label.

        Labels are immutable in Podman, so what was adopted keeps the label of who made it.
        """
        self._ours, self._adopted = owner.encode(), tuple(each.encode() for each in adopted)

    async def close(self) -> None:
        """Close all connections; the next call would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit: followed logs and events hold theirs for ever and must not starve the calls.
                connector=aiohttp.UnixConnector(self.path, limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "podsupd"},
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            )
        return self._session

    @asynccontextmanager
    async def stream(self, call: Call, *, read_timeout_s: float | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response of a call whose body is read piece by piece.

        read_timeout_s: the longest silence, None for no bound (5.1 and 5.2 send not even a header before the first
        event). Connecting is always bounded. Failures while the body is read are mapped as well. Not counted: how
        long a stream lasts says nothing of Podman.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.timeout_s, sock_read=read_timeout_s)
        try:
            async with self._open().request(
                call.method, call.url, json=call.body, headers=call.headers, timeout=timeout
            ) as response:
                if response.status >= HTTP_BAD_REQUEST:
                    _refuse(call, response.status, await response.read())
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(call, error) from error

    async def request(self, call: Call, *, gone_ok: bool = False) -> bytes | None:
        """Make a call and return the body; None for 304, and for an object that is gone if that is all right.

        Raises PodmanUnavailable, PodmanNotFound, PodmanConflict or PodmanRejected.
        """
        began = time.monotonic()
        failed = True
        try:
            async with self._open().request(call.method, call.url, json=call.body, headers=call.headers) as response:
                body = await response.read()
            if response.status >= HTTP_BAD_REQUEST:
                _refuse(call, response.status, body)
            failed = False
        except PodmanNotFound:
            if not gone_ok:
                raise
            failed = False
            return None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unavailable(call, error) from error
        finally:
            self._meter.runtime_operation(call.operation, time.monotonic() - began, error=failed)
        if response.status == HTTP_NOT_MODIFIED:
            return None
        for adopted in self._adopted:
            body = body.replace(adopted, self._ours)
        return body

    async def get(self, call: Call, shape: Callable[[Any], T]) -> T:
        """Make a call and read its JSON answer through ``shape``."""
        return read(call, await self.request(call) or b"null", shape)

    async def find(self, call: Call, shape: Callable[[Any], T]) -> T | None:
        """Make a call as get does; None when there is no such object."""
        body = await self.request(call, gone_ok=True)
        return None if body is None else read(call, body, shape)

    def counted(self, operation: str, began: float, *, error: bool) -> None:
        """Count what was made of several requests; began is time.monotonic() of the start."""
        self._meter.runtime_operation(operation, time.monotonic() - began, error=error)

    def _unavailable(self, call: Call, error: Exception) -> PodmanUnavailable:
        # aiohttp wraps what connect(2) said; its own text repeats the URL that means nothing on a unix socket.
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        match cause:
            case FileNotFoundError():
                why = f"there is no socket {self.path}; start Podman's API (systemctl start podman.socket)"
            case ConnectionRefusedError():
                why = f"nobody listens on {self.path}; start Podman's API (systemctl start podman.socket)"
            case PermissionError():
                why = f"no permission to open {self.path}; run podsupd as its owner or set [podman] url"
            case TimeoutError():
                why = f"no answer on {self.path} within {self.timeout_s:g} s"
            case aiohttp.ServerDisconnectedError():
                why = f"the connection to {self.path} was closed before the answer"
            case _:
                why = f"{self.path}: {str(cause) or type(cause).__name__}"
        return PodmanUnavailable(f"cannot {call.what}: {why}")


def read(call: Call, body: bytes, shape: Callable[[Any], T]) -> T:
    """Parse a JSON answer; PodmanRejected when it is not what libpod answers, so another server listens there."""
    try:
        return shape(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PodmanRejected(f"cannot {call.what}: the answer is not libpod's ({error!r})") from error


def explained(message: str) -> str:
    """Add the way out to a message about something that the host has no more of."""
    way_out = next((way for words, way in _USED_UP.items() if words in message.lower()), "")
    return f"{message}; {way_out}" if way_out else message


def error_of(what: str, cause: str, message: str, status: int) -> PodmanError:
    """Choose the error of a refusal: by status, and where that is a bare 500 by libpod's sentinel in ``cause``."""
    text = f"cannot {what}: {explained(message)}"
    words = f"{cause}\n{message}"
    if status == HTTP_NOT_FOUND or cause in _GONE:
        return PodmanNotFound(text)
    if _TAKEN in words:
        return PortTaken(text, tuple((m[1].upper(), int(m[2])) for m in _LISTENED.finditer(message)))
    if status == HTTP_CONFLICT or any(sentinel in words for sentinel in _CONFLICTS):
        return PodmanConflict(text)
    # A panic of the service's (4.3.1, when an image is looked at while another is removed) refuses nothing.
    if status >= HTTP_SERVER_ERROR and (not cause or cause.startswith(_PANIC)):
        return PodmanUnavailable(text)
    return PodmanRejected(text)


def _refuse(call: Call, status: int, body: bytes) -> NoReturn:
    try:
        answer = json.loads(body)
        cause, message = str(answer.get("cause") or ""), str(answer.get("message") or "")
    except (ValueError, AttributeError):
        cause, message = "", body.decode(errors="replace").strip()[:500]
    # Several refusals at once come as a Go multierror, one to a line with tabs: one sentence of it.
    message = " ".join((message or cause or f"HTTP status {status}").split())
    raise error_of(call.what, cause, message, status)
