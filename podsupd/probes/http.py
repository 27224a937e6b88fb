"""The httpGet probe, with the kubelet's rules (``pkg/probe/http``).

Success is 200 to 399; the certificate is not verified; no proxy, no cookies, no reuse of connections; redirects are
followed on the same host only, and one to another host is a success with a warning.
"""

import socket
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict
from yarl import URL

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import HttpGet
from podsupd.probes.dial import Address, OpenSocket, addresses, host_port
from podsupd.probes.text import clean, reason

BODY_LIMIT = 10 * 1024  # bytes, as the kubelet reads
HEADER_LIMIT = 64 * 1024  # bytes a line; aiohttp's own 8 KiB refuses what a kubelet accepts
MAX_REDIRECTS = 10  # as Go's client
_FOLLOWED = frozenset({301, 302, 303, 307, 308})


async def get(handler: HttpGet, host: str, user_agent: str, open_socket: OpenSocket) -> tuple[bool, str, str]:
    """Make one GET; return the result, a sentence and a warning (or an empty one).

    Raises ProbeUnrunnable when the request cannot be written; the caller limits the time.
    """
    headers = CIMultiDict(handler.headers)
    headers.setdefault("User-Agent", user_agent)
    headers.setdefault("Accept", "*/*")
    try:
        return await _follow(URL(url_text(handler, host)), headers, open_socket)
    except ValueError as error:  # a header or path that no request can hold
        raise ProbeUnrunnable(f"cannot write the request to {host}:{handler.port}: {clean(str(error))}") from error


def url_text(handler: HttpGet, host: str) -> str:
    """Return what is asked for, as shown: http://HOST:PORT/PATH."""
    path = handler.path if handler.path.startswith("/") else f"/{handler.path}"
    return f"{handler.scheme.lower()}://{host_port(host, handler.port)}{path}"


async def _follow(start: URL, headers: CIMultiDict[str], open_socket: OpenSocket) -> tuple[bool, str, str]:
    url = start
    for _ in range(MAX_REDIRECTS + 1):
        try:
            status, location = await _request(url, headers, open_socket)
        except _Broken as error:
            return False, f"cannot GET {start}: {_cause(error.error)}", ""
        except (aiohttp.ClientError, OSError) as error:
            return False, f"cannot GET {start}: {_cause(error)}", ""
        if status in _FOLLOWED and location:
            following = url.join(URL(location))
            if following.host != start.host or following.scheme not in {"http", "https"}:
                return True, _answer(start, status), f"redirected to another host, not followed: {clean(location)}"
            url = following
            continue
        return HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST, _answer(url, status), ""
    return False, f"cannot GET {start}: it redirects more than {MAX_REDIRECTS} times", ""


def _answer(url: URL, status: int) -> str:
    sentence = f"GET {url} answered {status}"
    return sentence if HTTPStatus.OK <= status < HTTPStatus.BAD_REQUEST else f"{sentence}, not 200 to 399"


async def _request(url: URL, headers: CIMultiDict[str], open_socket: OpenSocket) -> tuple[int, str]:
    """Make one request to the first address that accepts a connection; return status and Location."""
    if url.host is None or url.port is None:
        raise ValueError(f"no host or port in {url}")
    first: aiohttp.ClientConnectorError | OSError | None = None
    for address in await addresses(url.host, url.port):
        try:
            sock = await open_socket(address.family)
        except OSError as error:
            first = first or error
            continue
        try:
            return await _exchange(url, headers, address, sock)
        except aiohttp.ClientSSLError:
            raise
        except aiohttp.ClientConnectorError as error:
            first = first or error
    raise first or OSError(f"{url.host} has no address")


async def _exchange(url: URL, headers: CIMultiDict[str], address: Address, sock: socket.socket) -> tuple[int, str]:
    spare = [sock]
    connector = aiohttp.TCPConnector(
        resolver=_Fixed(address),
        socket_factory=lambda _: spare.pop(),
        use_dns_cache=False,
        happy_eyeballs_delay=None,  # one address, one socket
        force_close=True,
        ssl=False,
    )
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # the caller's deadline covers all of the attempt
                skip_auto_headers=("Accept-Encoding", "User-Agent", "Accept"),
                auto_decompress=False,
                trust_env=False,
                middlewares=(_once,),
                max_line_size=HEADER_LIMIT,
                max_field_size=HEADER_LIMIT,
            ) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            left = BODY_LIMIT
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
            return response.status, response.headers.get("Location", "")
    finally:
        # What aiohttp took it also closes, and later than here: closing it twice could hit a descriptor made since.
        for unused in spare:
            unused.close()


class _Broken(Exception):  # noqa: N818  not an error of ours: it carries one past aiohttp
    """Carries a connection's error past aiohttp's retry."""

    def __init__(self, error: aiohttp.ClientError) -> None:
        super().__init__(error)
        self.error = error


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Make a request at most once: aiohttp would repeat a GET whose connection broke, and a probe must see that."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(error) from error


class _Fixed(AbstractResolver):
    """Answers every name with the one address that the socket at hand is for."""

    def __init__(self, address: Address) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        a = self._address
        return [
            ResolveResult(hostname=host, host=a.host, port=port, family=a.family, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _cause(error: Exception) -> str:
    """Return why a request failed, for a person."""
    match error:
        case aiohttp.ClientSSLError():
            return f"TLS handshake failed: {clean(str(error.os_error))}"
        case aiohttp.ClientConnectorError():
            return reason(error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "the server closed the connection without an answer"
        case aiohttp.ClientPayloadError():
            return "the answer broke off"
        case aiohttp.ClientResponseError():
            return f"the answer is not HTTP: {clean(error.message)}"
        case OSError():
            return reason(error)
        case _:
            return clean(str(error)) or type(error).__name__
