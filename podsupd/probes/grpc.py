"""The grpc probe: a Check of the standard health protocol (``grpc.health.v1.Health``), with the kubelet's rules.

Only SERVING is a success. One unary call over an HTTP/2 connection of its own, without TLS, spoken with h2: it takes
any socket, where grpcio makes its own and grpclib keeps that step to itself. Imported on the first use (1.3 MiB).
The two messages have one field each, so they are written and read here. Sources: gRPC over HTTP2
(``PROTOCOL-HTTP2.md``), ``health.proto``, the encoding of protocol buffers.
"""

import time
from collections.abc import Iterable
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from podsupd.ports import Detail
from podsupd.probes.dial import OpenSocket, host_port
from podsupd.probes.text import clean, reason
from podsupd.probes.wire import Wire, reach

ANSWER_LIMIT = 64 * 1024  # bytes; a health answer has two
HEAD_SHOWN = 4096  # bytes of the headers that are kept to be shown
_PREFIX = 5  # bytes before a message: whether it is compressed, and its length
_SERVING = 1
_MORE = 0x80  # the bit of a varint's byte that says that another follows
_FIELD_1 = 0x08  # the tag of field 1, a varint
_WORDS = {0: "UNKNOWN", _SERVING: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_NOT_FOUND, _UNIMPLEMENTED = 5, 12
# What gRPC calls its codes (``grpc/codes``).
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


class _FailedError(Exception):
    """The call came to nothing; the message says why."""


class _Call:
    """What has come of a call so far."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.data = bytearray()
        self.ended = False

    def take(self, events: Iterable[Event], connection: H2Connection) -> None:
        """Take in what the connection tells; raises _FailedError when it broke off."""
        for event in events:
            match event:
                case ResponseReceived() | TrailersReceived():
                    self.headers |= {_text(name): _text(value) for name, value in event.headers}
                case DataReceived():
                    self.data += event.data
                    if len(self.data) > ANSWER_LIMIT:
                        raise _FailedError(f"the answer is longer than {ANSWER_LIMIT} bytes")
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case StreamEnded():
                    self.ended = True
                case StreamReset():
                    raise _FailedError(f"the server reset the call (HTTP/2 error {event.error_code})")
                case ConnectionTerminated() if not self.ended:
                    raise _FailedError(f"the server ended the connection (HTTP/2 error {event.error_code})")
                case _:
                    pass


async def check(
    service: str, host: str, port: int, user_agent: str, open_socket: OpenSocket, detail: Detail
) -> tuple[bool, str]:
    """Ask for the health of a service (empty: of the server); return the result and a sentence."""
    place = host_port(host, port)
    what = f"health of {clean(service, 120)} at {place}" if service else f"health of {place}"
    try:
        with await reach(host, port, open_socket, detail, tls=False) as wire:
            return _judge(await _ask(wire, service, place, user_agent, detail), what)
    except _FailedError as error:
        return False, f"cannot ask for the {what}: {error}"
    except H2Error as error:
        return False, f"cannot ask for the {what}: the server does not speak HTTP/2: {clean(str(error), 120)}"
    except OSError as error:
        return False, f"cannot ask for the {what}: {reason(error)}"


async def _ask(wire: Wire, service: str, place: str, user_agent: str, detail: Detail) -> _Call:
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    head = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": place,
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": user_agent,
    }
    connection.send_headers(stream, list(head.items()))
    connection.send_data(stream, _message(service), end_stream=True)
    sent = time.monotonic()
    call = _Call()
    while not call.ended:
        await wire.send(connection.data_to_send())
        data = await wire.receive()
        if not data:
            raise _FailedError("the server closed the connection without an answer")
        if detail.first_byte_s is None:
            detail.first_byte_s = time.monotonic() - sent
            if data.startswith(b"HTTP/1"):  # to h2 the beginning of a long frame
                raise _FailedError("the server does not speak HTTP/2, but HTTP/1")
        call.take(connection.receive_data(data), connection)
    detail.head = "\n".join(f"{n}: {v}" for n, v in call.headers.items()).encode()[:HEAD_SHOWN]
    return call


def _judge(call: _Call, what: str) -> tuple[bool, str]:
    code = call.headers.get("grpc-status", "")
    if call.headers.get(":status") != "200" or not code.isdecimal():
        return False, f"cannot ask for the {what}: the server does not speak gRPC (HTTP {call.headers.get(':status')})"
    number = int(code)
    if number == 0:
        status = _status(bytes(call.data))
        word = "no status" if status is None else _WORDS.get(status, f"status {status}")
        return status == _SERVING, f"{what} is {word}" + ("" if status == _SERVING else ", not SERVING")
    name = _CODES[number] if number < len(_CODES) else f"code {number}"
    said = clean(unquote(call.headers.get("grpc-message", "")))
    if number == _UNIMPLEMENTED:
        name += " (the server does not have the health service grpc.health.v1.Health)"
    elif number == _NOT_FOUND:
        name += " (the server does not know this service)"
    return False, f"cannot ask for the {what}: {name}" + (f": {said}" if said else "")


def _message(service: str) -> bytes:
    """Return a HealthCheckRequest in its frame: field 1 is the service, left out when empty."""
    name = service.encode()
    body = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(body).to_bytes(4, "big") + body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number % _MORE | _MORE)
        number >>= 7
    return bytes((*out, number))


def _status(data: bytes) -> int | None:
    """Return field 1 of a HealthCheckResponse in its frame, an enum; None when it is none."""
    length = int.from_bytes(data[1:_PREFIX], "big")
    body = data[_PREFIX : _PREFIX + length]
    if len(data) < _PREFIX or data[0] or len(body) < length:
        return None
    if not body:
        return 0  # proto3 leaves out what is 0
    if body[0] != _FIELD_1 or len(body) == 1 or body[1] >= _MORE:
        return None
    return body[1]


def _text(raw: bytes | str) -> str:
    return clean(raw.decode(errors="replace") if isinstance(raw, bytes) else raw)
