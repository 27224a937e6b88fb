"""The httpGet probe, with the kubelet's rules (``pkg/probe/http``).

Success is 200 to 399 unless the probe expects something else; the certificate is not verified; no proxy, no cookies, no
reuse of connections; redirects are followed on the same host only, and one to another host is a success with a warning.

The parser is llhttp (httptools), on a plain socket: a client made for many requests spends three times as long on
the first of a session, and a probe is always the first.
"""

import time
from functools import lru_cache

import httptools
from yarl import URL

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import HttpGet
from podsupd.ports import Detail
from podsupd.probes.dial import OpenSocket, host_port
from podsupd.probes.expect import FINE, Answer, expected, limit_of, met
from podsupd.probes.text import clean, reason
from podsupd.probes.wire import HandshakeError, Wire, reach

HEAD_SHOWN = 4096  # bytes of an answer's head that are kept to be shown
HEAD_LIMIT = 1024 * 1024  # bytes; Go's client, and so a kubelet, takes ten times that
MAX_REDIRECTS = 10  # as Go's client
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_FINAL = 200  # what is below is followed by the answer itself (RFC 9110, 15.2)
# What Go's parser takes too: a name with odd characters, a bare line feed, a space after a chunk's size.
_LENIENT = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}


class _FailedError(Exception):
    """There was no answer, or none that can be read; the message says why."""


async def get(
    handler: HttpGet, host: str, user_agent: str, open_socket: OpenSocket, detail: Detail
) -> tuple[bool, str, str]:
    """Make one GET; return the result, a sentence and a warning (or an empty one).

    Raises ProbeUnrunnable when the request cannot be written; the caller limits the time.
    """
    began = time.monotonic()
    try:
        url, shown, request = _prepare(handler, host, user_agent)
    except ValueError as error:  # a header or path that no request can hold
        raise ProbeUnrunnable(f"cannot write the request to {host}:{handler.port}: {clean(str(error))}") from error
    start = shown
    for _ in range(MAX_REDIRECTS + 1):
        try:
            answer = await _exchange(url, request, open_socket, detail, limit_of(handler.expect))
        except _FailedError as error:
            return False, f"cannot GET {start}: {error}", ""
        except OSError as error:
            return False, f"cannot GET {start}: {reason(error)}", ""
        if answer.status in _FOLLOWED and answer.location and not expected(handler.expect, answer.status):
            try:
                following = url.join(URL(answer.location))
                if following.host == url.host and following.scheme in {"http", "https"}:
                    url, shown = following, str(following)
                    request = _request(url, handler.headers, user_agent)
                    continue
            except ValueError:
                return False, f"cannot GET {start}: it redirects to what is no URL: {clean(answer.location)}", ""
            if handler.expect is None:
                warning = f"redirected to another host, not followed: {clean(answer.location)}"
                return True, f"GET {start} answered {answer.status}", warning
        return *await met(handler.expect or FINE, answer, f"GET {shown}", time.monotonic() - began), ""
    return False, f"cannot GET {start}: it redirects more than {MAX_REDIRECTS} times", ""


def url_text(handler: HttpGet, host: str) -> str:
    """Return what is asked for, as shown: http://HOST:PORT/PATH."""
    path = handler.path if handler.path.startswith("/") else f"/{handler.path}"
    return f"{handler.scheme.lower()}://{host_port(host, handler.port)}{path}"


# A pod that is made anew has another address, and what was prepared for the old one stays: 1.4 KB, made in 17 us.
@lru_cache(maxsize=256)
def _prepare(handler: HttpGet, host: str, user_agent: str) -> tuple[URL, str, bytes]:
    url = URL(url_text(handler, host))
    return url, str(url), _request(url, handler.headers, user_agent)


def _request(url: URL, headers: tuple[tuple[str, str], ...], user_agent: str) -> bytes:
    """Return a request's bytes; raises ValueError when it cannot be one."""
    if url.host is None or url.port is None:
        raise ValueError(f"no host or port in {url}")
    place = host_port(url.host, url.port)
    defaults = {"Host": url.host_subcomponent if url.is_default_port() else place, "User-Agent": user_agent}
    defaults["Accept"] = "*/*"
    given = {name.lower() for name, _ in headers}
    lines = [(name, value) for name, value in defaults.items() if name.lower() not in given]
    head = [f"GET {url.raw_path_qs} HTTP/1.1", *(f"{n}: {v}" for n, v in (*lines, *headers)), "Connection: close"]
    if any(set("\r\n\0") & set(line) for line in head):
        raise ValueError("a line break in a header")
    return "\r\n".join([*head, "", ""]).encode()


async def _exchange(url: URL, request: bytes, open_socket: OpenSocket, detail: Detail, body_limit: int) -> Answer:
    """Make one request to the first address that accepts a connection."""
    host, port = str(url.host), int(url.port or 0)
    try:
        wire = await reach(host, port, open_socket, detail, tls=url.scheme == "https")
    except HandshakeError as error:
        raise _FailedError(f"TLS handshake failed: {clean(str(error))}") from error
    with wire:
        sent = time.monotonic()
        await wire.send(request)
        return await _read(wire, sent, detail, body_limit)


async def _read(wire: Wire, sent: float, detail: Detail, body_limit: int) -> Answer:
    taken = _Taken(body_limit)
    parser = taken.parser = httptools.HttpResponseParser(taken)
    parser.set_dangerous_leniencies(**_LENIENT)
    head = bytearray()
    try:
        while not taken.enough():
            data = await wire.receive()
            if not head:
                detail.first_byte_s = time.monotonic() - sent if data else None
            if not taken.in_body:
                head += data
            if not data:
                if not head:
                    raise _FailedError("the server closed the connection without an answer")
                if not taken.in_body or taken.framed:
                    raise _FailedError("the answer broke off")
                break  # without a length the end of the connection is the end of the body
            parser.feed_data(data)
            if not taken.in_body and len(head) > HEAD_LIMIT:
                raise _FailedError(f"the answer is not HTTP: its head is longer than {HEAD_LIMIT} bytes")
    except httptools.HttpParserUpgrade:
        pass  # to something that is not HTTP: 101 is the answer
    except httptools.HttpParserError as error:
        if not taken.enough():  # what comes after an answer that is whole does not matter
            raise _FailedError(f"the answer is not HTTP: {clean(str(error))}") from error
    finally:
        taken.parser = None  # it refers to taken as well: the two would wait for the collector
    detail.head = bytes(head.partition(b"\r\n\r\n")[0][:HEAD_SHOWN])
    return Answer(taken.status, taken.location.decode(errors="replace"), bytes(taken.body))


class _Taken:
    """What was taken in of an answer; httptools calls it.

    status: of the head that is complete, 0 before. in_body: the head is complete. framed: it says how long the body is.
    """

    parser: httptools.HttpResponseParser | None = None

    def __init__(self, body_limit: int) -> None:
        self._limit = body_limit
        self._over = False
        self._begin()

    def enough(self) -> bool:
        """Say whether no more of it is needed: it is whole, or the limit reached, and it is the final one."""
        return self._over and self.status >= _FINAL

    def on_message_begin(self) -> None:
        """Begin anew, unless what came before was the final answer: what follows that is not asked for."""
        if self.enough():
            raise ValueError("an answer that nobody asked for")
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.location = b""
        self.body = bytearray()
        self.in_body = self.framed = self._over = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what decides how to go on."""
        key = name.lower()
        if key == b"location":
            self.location = value
        elif key in {b"content-length", b"transfer-encoding"}:
            self.framed = True

    def on_headers_complete(self) -> None:
        """Note the status, and that the body follows."""
        self.in_body = True
        self.status = self.parser.get_status_code() if self.parser else 0

    def on_body(self, chunk: bytes) -> None:
        """Keep as much as is wanted."""
        self.body += chunk[: self._limit - len(self.body)]
        self._over = self._over or len(self.body) >= self._limit

    def on_message_complete(self) -> None:
        """Note that it is whole."""
        self._over = True
