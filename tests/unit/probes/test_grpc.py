"""The grpc probe from the host, against the reference implementation of gRPC and against what is not gRPC."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest
from fakes.serving import serving

from podsupd.model.spec import GrpcCheck, ProbeSpec, ProbeType, Vantage
from podsupd.ports import Attempt, ProbeTarget
from podsupd.probes import ProbeRunner

UNKNOWN = "NOT_FOUND (the server does not know this service)"


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Return the ports of servers on this host."""
    with serving() as found:
        yield found


async def ask(prober: ProbeRunner, port: int, service: str = "", timeout_s: float = 30.0) -> Attempt:
    """Make one attempt."""
    spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, GrpcCheck(port, service), timeout_s=timeout_s)
    return await prober.attempt(spec, ProbeTarget("shop"))


@pytest.mark.parametrize(
    ("service", "good", "words"),
    [
        ("", True, "health of localhost:PORT is SERVING"),
        ("shop.Cart", True, "health of shop.Cart at localhost:PORT is SERVING"),
        ("shop.Broken", False, "health of shop.Broken at localhost:PORT is NOT_SERVING, not SERVING"),
        ("shop.Nowhere", False, f"cannot ask for the health of shop.Nowhere at localhost:PORT: {UNKNOWN}"),
        ("x" * 300, False, f"cannot ask for the health of {'x' * 119}\u2026 at localhost:PORT: {UNKNOWN}"),
    ],
)
async def test_health_of_a_service(
    prober: ProbeRunner,
    ports: dict[str, int],
    service: str,
    good: bool,  # noqa: FBT001  a column
    words: str,
) -> None:
    """Only SERVING is healthy, and the message says what the server said of which service."""
    attempt = await ask(prober, ports["grpc"], service)
    assert (attempt.successful, attempt.message) == (good, words.replace("PORT", str(ports["grpc"])))


async def test_a_server_without_the_health_service(prober: ProbeRunner, ports: dict[str, int]) -> None:
    """Whoever forgot to register the health service learns just that."""
    attempt = await ask(prober, ports["grpc_without_health"])
    assert not attempt.successful
    assert "UNIMPLEMENTED (the server does not have the health service grpc.health.v1.Health)" in attempt.message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("good", "the server does not speak HTTP/2"),
        ("closed", "connection refused"),
        ("tls", "the server closed the connection without an answer"),
    ],
)
async def test_what_is_not_grpc(prober: ProbeRunner, ports: dict[str, int], name: str, words: str) -> None:
    """A wrong port is told as what it is."""
    attempt = await ask(prober, ports[name])
    assert not attempt.successful
    assert words in attempt.message, attempt.message


async def test_a_silent_server_is_a_failure_in_time(prober: ProbeRunner) -> None:
    """A hung gRPC server fails its probe at timeoutSeconds."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempt = await ask(prober, port, timeout_s=0.2)
    expected = f"cannot ask for the health of localhost:{port}: timed out after 0.2 s"
    assert (attempt.successful, attempt.message) == (False, expected)


async def test_what_an_attempt_went_through(prober: ProbeRunner, ports: dict[str, int]) -> None:
    """A person can see where the time of a call went, and what came back."""
    detail = (await ask(prober, ports["grpc"])).detail
    assert detail.address == f"127.0.0.1:{ports['grpc']}"
    assert detail.connect_s is not None
    assert detail.first_byte_s is not None
    assert b"grpc-status: 0" in detail.head


def test_nobody_pays_for_grpc_who_has_no_such_probe() -> None:
    """A daemon without grpc probes and expectations has neither library in its memory."""
    script = "import sys, podsupd.probes, podsupd.manifest; print({'h2', 'regex'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
