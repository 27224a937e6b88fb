"""httpGet and tcpSocket from the host, against real servers."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.serving import bound_port

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import Attempt, ProbeTarget
from podsupd.probes import ProbeRunner
from podsupd.probes.dial import Address, addresses, host_of

Serve = Callable[..., Awaitable[int]]
Talk = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
TARGET = ProbeTarget("web")
LATE_S = 30.0
"""More than a loaded machine takes to end an attempt; who waits for such a server waits for ever."""


def probe(handler: HttpGet | TcpSocket, timeout_s: float = 30.0) -> ProbeSpec:
    """Return a policy probe from the host."""
    return ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, handler, timeout_s=timeout_s)


def say(answer: bytes) -> Talk:
    """Return a server that gives this answer."""

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return talk


def status(code: int, *headers: str) -> bytes:
    """Return an answer with an empty body."""
    lines = [f"HTTP/1.1 {code} X", "Content-Length: 0", *headers, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("code", "good"),
    [(200, True), (204, True), (299, True), (304, True), (399, True), (400, False), (404, False), (500, False)],
)
async def test_status_codes(prober: ProbeRunner, serve: Serve, code: int, good: bool) -> None:  # noqa: FBT001  a column
    """200 to 399 is success and nothing else, as in Kubernetes."""
    port = await serve(say(status(code)))
    attempt = await prober.attempt(probe(HttpGet(port, "/health")), TARGET)
    assert attempt.successful is good
    assert attempt.message.startswith(f"GET http://localhost:{port}/health answered {code}")


async def test_the_request_is_a_kubelets(prober: ProbeRunner, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that tells kubelets by their User-Agent knows us; query, Host and headers are the manifest's."""
    heads: list[str] = []

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head.decode())
        writer.write(status(200))

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    port = await serve(talk)
    plain, own = (
        HttpGet(port, "/a?b=c%20d"),
        HttpGet(port, headers=(("Host", "shop"), ("user-agent", "me"), ("X", "y"))),
    )
    assert (await prober.attempt(probe(plain), TARGET)).successful
    assert (await prober.attempt(probe(own), TARGET)).successful
    lines = heads[0].split("\r\n")
    assert lines[0] == "GET /a?b=c%20d HTTP/1.1"
    assert {f"Host: localhost:{port}", "User-Agent: kube-probe/podsupd", "Accept: */*", "Connection: close"} <= set(
        lines
    )
    assert "Encoding" not in heads[0]
    assert "Host: shop\r\nuser-agent: me\r\nX: y\r\n" in heads[1]
    assert "kube-probe" not in heads[1]


async def test_redirects_are_followed_on_the_same_host(prober: ProbeRunner, serve: Serve) -> None:
    """An application that sends / to /login is judged by /login, on another port too."""
    final = await serve(say(status(503)))

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        there = "/b" if b"GET / " in head else f"http://localhost:{final}/c"
        writer.write(status(302, f"Location: {there}"))

    attempt = await prober.attempt(probe(HttpGet(await serve(talk))), TARGET)
    assert not attempt.successful
    assert attempt.message == f"GET http://localhost:{final}/c answered 503, not 200 to 399"


async def test_a_redirect_to_another_host_is_a_success_with_a_warning(prober: ProbeRunner, serve: Serve) -> None:
    """A single-sign-on host that is down does not restart the application that points to it."""
    port = await serve(say(status(302, "Location: http://sso.invalid/login")))
    attempt = await prober.attempt(probe(HttpGet(port)), TARGET)
    assert attempt.successful
    assert attempt.warning == "redirected to another host, not followed: http://sso.invalid/login"


async def test_a_redirect_without_end_is_a_failure(prober: ProbeRunner, serve: Serve) -> None:
    """A redirect loop is found, not followed for ever."""
    port = await serve(say(status(307, "Location: /")))
    attempt = await prober.attempt(probe(HttpGet(port)), TARGET)
    assert not attempt.successful
    assert attempt.message == f"cannot GET http://localhost:{port}/: it redirects more than 10 times"


async def test_tls_is_spoken_but_not_verified(prober: ProbeRunner, serve: Serve, certificate: ssl.SSLContext) -> None:
    """A service with a self-signed certificate is healthy, as in Kubernetes."""
    port = await serve(say(status(200)), tls=certificate)
    assert (await prober.attempt(probe(HttpGet(port, scheme="HTTPS")), TARGET)).successful


async def test_tls_to_a_plain_server_is_explained(prober: ProbeRunner) -> None:
    """The wrong scheme in a manifest shows as such."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(status(400))
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempt = await prober.attempt(probe(HttpGet(port, scheme="HTTPS")), TARGET)
    assert not attempt.successful
    assert attempt.message.startswith(f"cannot GET https://localhost:{port}/: TLS handshake failed: ")


@pytest.mark.parametrize(
    ("answer", "good", "words"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nhello", True, "answered 200"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", True, "answered 200"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000 + b"\r\nContent-Length: 0\r\n\r\n", True, "answered 200"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell", False, "the answer broke off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", False, "the answer is not HTTP"),
        (b"", False, "the server closed the connection without an answer"),
    ],
)
async def test_odd_answers(prober: ProbeRunner, serve: Serve, answer: bytes, good: bool, words: str) -> None:  # noqa: FBT001
    """Old, broken and foreign servers are judged and explained, none crashes the probe."""
    attempt = await prober.attempt(probe(HttpGet(await serve(say(answer)))), TARGET)
    assert (attempt.successful, words in attempt.message) == (good, True), attempt.message


async def test_a_huge_body_is_not_read(prober: ProbeRunner, serve: Serve) -> None:
    """A health page that streams gigabytes costs ten kilobytes."""
    sent = 0

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    attempt = await prober.attempt(probe(HttpGet(await serve(talk))), TARGET)
    assert attempt.successful
    assert sent < 50_000_000


async def test_a_silent_server_is_a_failure_in_time(prober: ProbeRunner) -> None:
    """A hung service fails its probe at timeoutSeconds."""
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempt = await prober.attempt(probe(HttpGet(port), timeout_s=0.2), TARGET)
        await asyncio.wait_for(gone.wait(), 30)
    assert not attempt.successful
    assert attempt.message == f"cannot GET http://localhost:{port}/: timed out after 0.2 s"
    assert 0.2 <= attempt.duration_s < LATE_S


async def test_a_dripping_body_does_not_outlast_the_timeout(prober: ProbeRunner, serve: Serve) -> None:
    """The timeout covers the whole attempt, not each read of it."""

    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    attempt = await prober.attempt(probe(HttpGet(await serve(drip)), timeout_s=0.3), TARGET)
    assert attempt.message.endswith("timed out after 0.3 s")
    assert not attempt.successful
    assert attempt.duration_s < LATE_S


@pytest.fixture
def dead_port() -> Iterator[int]:
    """Return a port where nobody listens, nor can as long as the test runs: it is bound, on both families."""
    with bound_port() as port:
        yield port


async def test_a_refused_connection_is_a_failure(prober: ProbeRunner, dead_port: int) -> None:
    """A service that is down is told in the kernel's own words."""
    http = await prober.attempt(probe(HttpGet(dead_port)), TARGET)
    tcp = await prober.attempt(probe(TcpSocket(dead_port)), TARGET)
    assert (http.successful, tcp.successful) == (False, False)
    assert http.message == f"cannot GET http://localhost:{dead_port}/: connection refused"
    assert tcp.message == f"cannot connect to localhost:{dead_port}: connection refused"


async def test_a_broken_connection_is_not_tried_again(prober: ProbeRunner, serve: Serve) -> None:
    """A server that drops every second request is seen to do so, and is asked once an attempt."""
    asked = 0

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(status(200) if asked > 1 else b"")

    port = await serve(talk)
    assert not (await prober.attempt(probe(HttpGet(port)), TARGET)).successful
    assert asked == 1


async def test_a_reset_is_a_failure(prober: ProbeRunner) -> None:
    """A proxy that resets what it cannot serve is told apart from a closed port."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempt = await prober.attempt(probe(HttpGet(port)), TARGET)
    assert not attempt.successful
    assert attempt.message == f"cannot GET http://localhost:{port}/: connection reset by peer"


async def test_tcp_connects(prober: ProbeRunner, serve: Serve) -> None:
    """A port that accepts is a success, and nothing is sent."""
    port = await serve(say(b""))
    attempt = await prober.attempt(probe(TcpSocket(port)), TARGET)
    assert attempt.successful
    assert attempt.message == f"connected to localhost:{port}"


async def test_a_full_backlog_times_out(prober: ProbeRunner) -> None:
    """A server that has stopped accepting fails a tcpSocket probe at its timeout."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            attempt = await prober.attempt(probe(TcpSocket(port, host="127.0.0.1"), timeout_s=0.2), TARGET)
        finally:
            for sock in waiting:
                sock.close()
    assert not attempt.successful
    assert attempt.message == f"cannot connect to 127.0.0.1:{port}: timed out after 0.2 s"


@pytest.mark.parametrize("handler", ["http", "tcp"])
async def test_localhost_is_both_families(prober: ProbeRunner, serve: Serve, handler: str) -> None:
    """A service that listens on ::1 alone is found."""
    port = await serve(say(status(200)), host="::1")
    spec = probe(HttpGet(port) if handler == "http" else TcpSocket(port))
    assert (await prober.attempt(spec, TARGET)).successful


async def test_an_ipv6_host(prober: ProbeRunner, serve: Serve) -> None:
    """A numeric IPv6 host works and is shown in brackets."""
    port = await serve(say(status(200)), host="::1")
    attempt = await prober.attempt(probe(HttpGet(port, host="::1")), TARGET)
    assert attempt.message == f"GET http://[::1]:{port}/ answered 200"
    assert (await prober.attempt(probe(TcpSocket(port, host="::1")), TARGET)).message == f"connected to [::1]:{port}"


async def test_a_name_is_resolved(prober: ProbeRunner, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name goes through the resolver, and a second address is tried when the first refuses."""
    port = await serve(say(status(200)), host="127.0.0.2")
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("127.0.0.3", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert (await prober.attempt(probe(HttpGet(port, host="shop.test")), TARGET)).successful
    assert (await prober.attempt(probe(TcpSocket(port, host="shop.test")), TARGET)).successful


async def test_a_name_without_an_address_is_a_failure(prober: ProbeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt host fails the probe and says so."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    http = await prober.attempt(probe(HttpGet(80, host="shop.test")), TARGET)
    tcp = await prober.attempt(probe(TcpSocket(80, host="shop.test")), TARGET)
    assert http.message == "cannot GET http://shop.test/: name or service not known"
    assert tcp.message == "cannot connect to shop.test:80: name or service not known"
    assert (http.successful, tcp.successful) == (False, False)


async def test_a_request_that_cannot_be_written_is_no_verdict(prober: ProbeRunner, serve: Serve) -> None:
    """A header with a line break restarts nothing: it is the probe that is wrong."""
    spec = probe(HttpGet(await serve(say(status(200))), headers=(("X", "a\r\nInjected: b"),)))
    with pytest.raises(ProbeUnrunnable, match="cannot write the request"):
        await prober.attempt(spec, TARGET)


async def test_no_descriptors_left_is_no_verdict(
    prober: ProbeRunner, dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When podsupd itself has run out of descriptors, no container is blamed for it."""

    def full(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", full)
    for handler in (HttpGet(dead_port), TcpSocket(dead_port)):
        with pytest.raises(ProbeUnrunnable, match="cannot open a socket: too many open files"):
            await prober.attempt(probe(handler), TARGET)


async def test_cancelled_attempts_leave_no_descriptor(prober: ProbeRunner) -> None:
    """The daemon's end in the middle of attempts leaks nothing, wherever in the attempt it comes."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        before = descriptors()
        for n in range(30):
            task = asyncio.create_task(prober.attempt(probe(HttpGet(port)), TARGET))
            for _ in range(n):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with asyncio.timeout(30):
            while descriptors() > before:
                await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("kind", "host", "ip", "dialled"),
    [
        (ProbeType.LIVENESS, None, "10.88.0.5", "10.88.0.5"),
        (ProbeType.LIVENESS, None, "", "localhost"),
        (ProbeType.LIVENESS, "db", "10.88.0.5", "db"),
        (ProbeType.POLICY, None, "10.88.0.5", "localhost"),
        (ProbeType.POLICY, "10.0.0.1", "10.88.0.5", "10.0.0.1"),
    ],
)
def test_host_of(kind: ProbeType, host: str | None, ip: str, dialled: str) -> None:
    """A container's probe dials the pod's IP as a kubelet would, a policy's dials localhost."""
    handler = TcpSocket(80, host=host)
    spec = ProbeSpec("p", kind, Vantage.POD, handler)
    assert host_of(spec, handler.host, replace(TARGET, ip=ip)) == dialled


async def test_localhost_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host's /etc/hosts says of localhost does not change what is dialled inside a pod."""
    monkeypatch.delattr(socket, "getaddrinfo")
    assert await addresses("LocalHost", 80) == (
        Address(socket.AF_INET, "127.0.0.1", 80),
        Address(socket.AF_INET6, "::1", 80),
    )


async def test_attempts_are_plain_records(prober: ProbeRunner, dead_port: int) -> None:
    """The engine gets an Attempt with a duration, whatever happened."""
    attempt = await prober.attempt(probe(TcpSocket(dead_port)), TARGET)
    assert isinstance(attempt, Attempt)
    assert attempt.duration_s > 0
