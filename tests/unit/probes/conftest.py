"""Servers that misbehave in the ways that real ones do, on ports of the kernel's choice."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from podsupd.model.observed import ExecResult
from podsupd.ports import Runtime
from podsupd.probes import ProbeRunner

Talk = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[..., Awaitable[int]]


async def nobody(left: Callable[[], Sequence[object]]) -> None:
    """Wait until nobody is left: who was killed ends when a busy machine lets it run again."""
    async with asyncio.timeout(60):
        while left():
            await asyncio.sleep(0.01)


class NoPodman(Runtime):
    """A runtime whose exec answers as told."""

    def __init__(self) -> None:
        self.answer: ExecResult | Exception = ExecResult(0, "")
        self.calls: list[tuple[str, tuple[str, ...], float]] = []

    async def exec(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """Answer."""
        self.calls.append((container_id, tuple(command), timeout_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def podman() -> NoPodman:
    """Return the runtime behind the prober."""
    return NoPodman()


@pytest.fixture
async def prober(podman: NoPodman, tmp_path: Path) -> AsyncIterator[ProbeRunner]:
    """Return a prober, closed at the end of the test."""
    runner = ProbeRunner(podman, user_agent="kube-probe/podsupd", run_dir=str(tmp_path))
    yield runner
    await runner.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return a function that starts a server which reads a request's head, then talks; it returns the port."""
    async with AsyncExitStack() as stack:

        async def start(talk: Talk, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> int:
            async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await talk(head, writer)
                    await writer.drain()
                except (ConnectionError, asyncio.IncompleteReadError):
                    pass
                finally:
                    writer.close()

            server = await asyncio.start_server(handle, host, 0, ssl=tls)
            await stack.enter_async_context(server)
            port: int = server.sockets[0].getsockname()[1]
            return port

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Return a server's context with a self-signed certificate for a name that nobody asks for."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=nobody.invalid", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
