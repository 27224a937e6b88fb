"""The listeners: rights of the socket, systemd's sockets, tokens, TLS, addresses that are taken."""

import asyncio
import os
import socket
import ssl
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import structlog
import uvloop
from e2e.harness import free_port

from podsupd.errors import ConfigError, FatalError
from podsupd.model.settings import ApiSettings, MetricsSettings, Settings
from podsupd.web import PrometheusMeter, WebServer, handlers
from podsupd.web import server as server_module
from podsupd.web.sockets import Address, parse_address
from tests.unit.web.fakes import FakeControl


@asynccontextmanager
async def running(settings: Settings, sockets: tuple[socket.socket, ...] = ()) -> AsyncIterator[WebServer]:
    """Run a server."""
    control, meter = FakeControl(), PrometheusMeter()
    meter.bind(control)
    server = WebServer(control, meter, settings, sockets)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(path: str) -> int:
    """Ask for the pods over a unix socket; return the status."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        session.get("http://podsupd/v1/pods") as response,
    ):
        return response.status


async def test_socket_has_the_rights_that_were_set(settings: Settings) -> None:
    """Membership of the group equals root: nobody else may connect, and the socket goes with the daemon."""
    settings = replace(settings, api=replace(settings.api, socket_mode=0o640, socket_group=str(os.getgid())))
    path = Path(settings.api.socket)
    async with running(settings):
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == 0o640
        assert found.st_gid == os.getgid()
        assert await ask(str(path)) == 200
    assert not path.exists()


async def test_a_group_that_is_missing_is_said_and_survived(settings: Settings) -> None:
    """A host without the group still gets its pods supervised."""
    settings = replace(settings, api=replace(settings.api, socket_group="no-such-group"))
    with structlog.testing.capture_logs() as logs:
        async with running(settings):
            assert await ask(settings.api.socket) == 200
    assert [entry["group"] for entry in logs if entry["log_level"] == "warning"] == ["no-such-group"]


async def test_a_stale_socket_is_replaced(settings: Settings) -> None:
    """A daemon that was killed does not keep the next one from starting."""
    path = Path(settings.api.socket)
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    async with running(settings):
        assert await ask(str(path)) == 200


async def test_a_live_socket_is_fatal_and_names_its_owner(settings: Settings) -> None:
    """A second daemon says which process has the socket, and leaves it alone."""
    async with running(settings):
        with pytest.raises(FatalError, match=rf"process {os.getpid()} \(.+\) listens there"):
            async with running(settings):
                pass
        assert await ask(settings.api.socket) == 200


async def test_a_file_in_the_place_of_the_socket_is_not_removed(settings: Settings) -> None:
    """A wrong api.socket never costs somebody a file."""
    path = Path(settings.api.socket)
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(FatalError, match="a file that is no socket is there"):
        async with running(settings):
            pass
    assert path.read_text() == "precious"


async def test_a_path_that_is_too_long_is_fatal_with_the_reason(settings: Settings, tmp_path: Path) -> None:
    """The kernel's limit on socket paths is shown as such."""
    settings = replace(settings, api=replace(settings.api, socket=str(tmp_path / ("x" * 120))))
    with pytest.raises(FatalError, match="AF_UNIX path too long"):
        async with running(settings):
            pass


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_sockets_of_systemd_are_used_and_left(settings: Settings, tmp_path: Path, loop: object) -> None:
    """Socket activation works under the daemon's own loop, and the unit's socket survives the daemon."""
    path = str(tmp_path / "passed.sock")
    passed = socket.socket(socket.AF_UNIX)
    passed.bind(path)
    passed.listen()

    async def scenario() -> None:
        async with running(settings, (passed,)):
            assert await ask(path) == 200

    def run() -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(scenario())

    await asyncio.to_thread(run)
    assert Path(path).exists()
    assert not Path(settings.api.socket).exists()


def port_of(server: WebServer) -> int:
    """Return the TCP port that was bound."""
    return next(address[1] for address in server.addresses if isinstance(address, tuple))


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    """Write a token."""
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    return str(path)


async def test_tcp_needs_the_token(settings: Settings, token_file: str) -> None:
    """Over TCP nobody reads or changes anything without the token; health needs none."""
    settings = replace(settings, api=replace(settings.api, listen="127.0.0.1:0", token_file=token_file))
    async with running(settings) as server, aiohttp.ClientSession(f"http://127.0.0.1:{port_of(server)}") as session:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Basic s3cret"}, 401),
            ({"Authorization": "Bearer s3cret"}, 200),
        ):
            for path in ("/v1/pods", "/metrics"):
                async with session.get(path, headers=headers) as response:
                    assert response.status == status
                    assert status == 200 or response.headers["WWW-Authenticate"] == "Bearer"
        async with session.get("/readyz") as response:
            assert response.status == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(b"GET /v1/pods HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert line == b"HTTP/1.1 401 Unauthorized\r\n"


@pytest.mark.parametrize(
    ("api", "message"),
    [
        ({"listen": "127.0.0.1:0"}, "set api.token_file"),
        ({"listen": "127.0.0.1:0", "token_file": "/nonexistent/token"}, "cannot read the token /nonexistent/token"),
        ({"listen": "127.0.0.1:0", "token_file": "/dev/null"}, "it is empty"),
        ({"listen": "0.0.0.0:0", "token_file": "TOKEN"}, "without TLS: set api.tls_cert_file"),
        ({"listen": "127.0.0.1:0", "token_file": "TOKEN", "tls_cert_file": "/x"}, "half of a certificate"),
        (
            {"listen": "127.0.0.1:0", "token_file": "TOKEN", "tls_cert_file": "/x", "tls_key_file": "/x"},
            "cannot load the certificate /x",
        ),
        ({"listen": "nonsense"}, "write HOST:PORT"),
    ],
)
async def test_an_unsafe_tcp_listener_is_refused(
    settings: Settings, token_file: str, api: dict[str, str], message: str
) -> None:
    """A control endpoint that anyone on the network could use never comes up."""
    api = {name: token_file if value == "TOKEN" else value for name, value in api.items()}
    with pytest.raises(ConfigError, match=message):
        async with running(replace(settings, api=replace(settings.api, **api))):
            pass


async def test_tls_off_loopback(settings: Settings, token_file: str, tmp_path: Path) -> None:
    """With a certificate the endpoint is served over TLS."""
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    api = replace(settings.api, listen="0.0.0.0:0", token_file=token_file, tls_cert_file=cert, tls_key_file=key)
    trust = ssl.create_default_context(cafile=cert)
    async with running(replace(settings, api=api)) as server, aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{port_of(server)}/v1/pods"
        async with session.get(url, ssl=trust, headers={"Authorization": "Bearer s3cret"}) as response:
            assert response.status == 200


async def test_the_metrics_listener_is_read_only(settings: Settings) -> None:
    """What is open to every local user shows metrics and health, and nothing else."""
    settings = replace(settings, metrics=MetricsSettings("127.0.0.1:0"))
    async with running(settings) as server, aiohttp.ClientSession(f"http://127.0.0.1:{port_of(server)}") as session:
        for path, status in (("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/v1/pods", 404)):
            async with session.get(path) as response:
                assert response.status == status
        async with session.post("/v1/reload") as response:
            assert response.status == 404


async def test_a_taken_metrics_port_is_said_and_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program on 9911 never keeps the pods from being supervised, and metrics come when it goes."""
    monkeypatch.setattr(server_module, "RETRY_S", 0.02)
    # Below the ports that the kernel gives to others: nobody takes it between our end and the daemon's.
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with structlog.testing.capture_logs() as logs:
            async with running(replace(settings, metrics=MetricsSettings(address))) as server:
                assert await ask(settings.api.socket) == 200
                retrying = asyncio.create_task(server.run())
                await asyncio.sleep(0.1)
                other.close()
                async with asyncio.timeout(60):
                    while len(server.addresses) < 2:
                        await asyncio.sleep(0.01)
                await server.stop()
                await retrying
    said = [entry["event"] for entry in logs if entry.get("address") == address]
    assert said == ["cannot listen: the daemon goes on without it and tries again", "listening at last"]


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:9911", Address("127.0.0.1", 9911), True),
        ("localhost:1", Address("localhost", 1), True),
        ("[::1]:9911", Address("::1", 9911), True),
        (":80", Address("", 80), False),
        ("example.org:80", Address("example.org", 80), False),
    ],
)
def test_addresses(text: str, address: Address, *, loopback: bool) -> None:
    """Addresses are read as people write them, and only this host's count as loopback."""
    assert parse_address(text, "x") == address
    assert address.loopback is loopback
    assert str(address) == text


@pytest.mark.parametrize("text", ["9911", "host:", "host:http", "host:70000", "::1:9911", "[::1]"])
def test_wrong_addresses(text: str) -> None:
    """An address that is half one is refused with an example."""
    with pytest.raises(ConfigError, match="cannot listen on"):
        parse_address(text, "metrics.listen")
    assert ApiSettings().listen == ""


async def test_connections_that_ask_nothing_do_not_use_the_daemon_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may connect can take the metrics away from others, and none of the descriptors that pods need."""
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 2)
    async with running(replace(settings, metrics=MetricsSettings(listen="127.0.0.1:0"))) as server:
        port = port_of(server)
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        assert await ask(server.addresses[0]) == 200, "the control socket has room of its own"
        for _, writer_held in [*held, (reader, writer)]:
            writer_held.close()
            await writer_held.wait_closed()


async def test_a_tcp_socket_of_systemd_is_refused(settings: Settings) -> None:
    """A slip in the unit opens the control endpoint to nobody: over TCP it asks for a token."""
    meter = PrometheusMeter()
    with socket.create_server(("127.0.0.1", 0)) as passed:
        server = WebServer(FakeControl(), meter, settings, (passed,))
        with pytest.raises(FatalError, match="it is no unix socket"):
            await server.start()
        await server.stop()


async def test_who_does_not_ask_is_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that send nothing, half a header or no body give their room back to those who ask."""
    monkeypatch.setattr(server_module, "IDLE_S", 0.2)
    monkeypatch.setattr(handlers, "BODY_S", 0.2)
    post = b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{"
    async with running(settings) as server:
        for sent, status in (
            (b"", b""),
            (b"GET /healthz HTTP/1.1\r\nHos", b""),
            (post, b"HTTP/1.1 408 Request Timeout"),
        ):
            reader, writer = await asyncio.open_unix_connection(server.addresses[0])
            writer.write(sent)
            async with asyncio.timeout(30):
                assert (await reader.readline()).rstrip() == status
            writer.close()
            await writer.wait_closed()


async def test_who_does_not_read_metrics_is_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes nothing of a long answer gives its room back."""
    monkeypatch.setattr(server_module, "UNREAD_S", 0.2)
    async with running(replace(settings, metrics=MetricsSettings(listen="127.0.0.1:0"))) as server:
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            slow.connect(("127.0.0.1", port_of(server)))
            # More answers than the buffers of both sides hold.
            slow.settimeout(30)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                await asyncio.to_thread(_ask_for_ever, slow)


def _ask_for_ever(connected: socket.socket) -> None:
    while True:
        connected.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9911", 200),
        ("[::1]:9911", 200),
        ("localhost:9911", 200),
        ("gateway", 200),
        ("host.containers.internal:9911", 200),
        (socket.gethostname(), 200),
        ("evil.example.com:9911", 421),
        ("127.0.0.1.evil.example.com", 421),
    ],
)
async def test_metrics_of_this_host_are_no_pages(settings: Settings, host: str, status: int) -> None:
    """A page in a browser on this machine reads no pod's name by having its own name mean 127.0.0.1."""
    async with (
        running(replace(settings, metrics=MetricsSettings("127.0.0.1:0"))) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{port_of(server)}") as session,
        session.get("/metrics", headers={"Host": host}) as response,
    ):
        assert response.status == status


async def test_metrics_of_every_address_answer_to_every_name(settings: Settings) -> None:
    """A Prometheus elsewhere scrapes a host by whatever name it has for it."""
    async with (
        running(replace(settings, metrics=MetricsSettings("0.0.0.0:0"))) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{port_of(server)}") as session,
        session.get("/metrics", headers={"Host": "gateway.example.com:9911"}) as response,
    ):
        assert response.status == 200
