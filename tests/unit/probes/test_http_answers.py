"""Answers that a parser can get wrong, each judged as Go's client judges it, which is the kubelet's."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import pytest

from podsupd.model.spec import HttpGet, ProbeSpec, ProbeType, Vantage
from podsupd.ports import Attempt, ProbeTarget
from podsupd.probes import ProbeRunner

Serve = Callable[..., Awaitable[int]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def ask(prober: ProbeRunner, port: int, scheme: str = "HTTP", timeout_s: float = 30.0) -> Attempt:
    """Make one attempt."""
    spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, HttpGet(port, scheme=scheme), timeout_s=timeout_s)
    return await prober.attempt(spec, ProbeTarget("web"))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + OK], "answered 200"),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK], "answered 200"),
        ([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nxyz"], "answered 101, not"),
        ([b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"], "answered 200"),
        ([b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"], "answered 200"),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], "answered 204"),
        ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"], "answered 304"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"], "answered 200"),
        ([b"HTTP/1.1 2", b"00 O", b"K\r\nContent-Length: 2", b"\r\n\r", b"\no", b"k"], "answered 200"),
        ([OK + b"more than was promised"], "answered 200"),
    ],
)
async def test_an_answer_that_is_whole_is_not_waited_for(
    prober: ProbeRunner, serve: Serve, parts: list[bytes], words: str
) -> None:
    """An attempt is over with the last byte of its answer, though the server keeps the connection."""

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        await closed.wait()

    closed = asyncio.Event()
    attempt = await ask(prober, await serve(talk))
    closed.set()
    assert words in attempt.message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nok", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 20), "its head is longer than 1048576 bytes"),
        (b"\x00\x01\x02", "the answer is not HTTP"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n", "redirects to what is no URL"),
    ],
)
async def test_an_answer_that_is_none(prober: ProbeRunner, serve: Serve, answer: bytes, words: str) -> None:
    """What is cut off or no HTTP fails the probe, and says which."""

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    attempt = await ask(prober, await serve(talk))
    assert (attempt.successful, words in attempt.message) == (False, True), attempt.message


async def test_what_an_attempt_went_through(prober: ProbeRunner, serve: Serve, certificate: ssl.SSLContext) -> None:
    """A person sees address, times and head, the head of a long one cut."""

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000 + b"\r\nContent-Length: 0\r\n\r\n")

    port = await serve(talk, tls=certificate)
    detail = (await ask(prober, port, "HTTPS")).detail
    assert detail.address == f"127.0.0.1:{port}"
    assert None not in (detail.connect_s, detail.tls_s, detail.first_byte_s)
    assert (detail.head[:20], len(detail.head)) == (b"HTTP/1.1 200 OK\r\nX: ", 4096)


async def test_a_connection_cut_in_tls(prober: ProbeRunner, certificate: ssl.SSLContext, serve: Serve) -> None:
    """A TLS server that goes away in the middle is told as one that closed, not as a broken handshake."""

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    attempt = await ask(prober, await serve(talk, tls=certificate), "HTTPS")
    assert not attempt.successful
    assert "TLS handshake" not in attempt.message
