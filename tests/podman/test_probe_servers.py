"""Probes from each vantage against servers that misbehave, in a real pod with IPv4 and IPv6."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.serving import serving

from podsupd.model.spec import GrpcCheck, HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import Attempt, ProbeTarget, Runtime
from podsupd.probes import ProbeRunner

pytestmark = pytest.mark.podman

POD = f"servers-{os.getpid()}"
SLOW_S = 1.0  # what the servers that never answer are given; the others get much more than they need
# The server, how it is asked for what (gRPC: for which service), whether that succeeds, and what the message holds.
CASES = [
    ("good", "http", "/", True, "answered 200"),
    ("slow", "http", "/", False, "timed out after 1 s"),
    ("slow", "tcp", "/", True, "connected to"),
    ("half_open", "http", "/", False, "timed out after 1 s"),
    ("redirecting", "http", "/", True, "/there answered 200"),
    ("redirecting", "http", "/away", True, "redirected to another host, not followed: http://elsewhere.invalid/"),
    ("old", "http", "/", True, "answered 200"),
    ("endless", "http", "/", True, "answered 200"),
    ("tls", "https", "/", True, "answered 200"),
    ("tls", "http", "/", False, "the server closed the connection without an answer"),
    ("good", "https", "/", False, "TLS handshake failed"),
    ("closed", "http", "/", False, "connection refused"),
    ("closed", "tcp", "/", False, "connection refused"),
    ("grpc", "grpc", "", True, "is SERVING"),
    ("grpc", "grpc", "shop.Broken", False, "is NOT_SERVING"),
    ("grpc", "grpc", "shop.Nowhere", False, "NOT_FOUND"),
    ("grpc_without_health", "grpc", "", False, "UNIMPLEMENTED"),
    ("good", "grpc", "", False, "does not speak HTTP/2"),
    ("slow", "grpc", "", False, "timed out after 1 s"),
    ("closed", "grpc", "", False, "connection refused"),
]


def podman(*command: str) -> str:
    """Run podman; return what it printed."""
    done = subprocess.run(["podman", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def target() -> Iterator[ProbeTarget]:
    """Return a pod with nothing in it but its infra container."""
    podman("pod", "create", "--replace", "--name", POD, "--share", "net")
    podman("pod", "start", POD)
    try:
        infra = podman("pod", "inspect", POD, "--format", "{{.InfraContainerID}}").strip()
        seen: dict[str, Any] = json.loads(podman("inspect", "--type=container", infra))[0]
        ip = next(n["IPAddress"] for n in seen["NetworkSettings"]["Networks"].values())
        yield ProbeTarget(POD, netns_pid=seen["State"]["Pid"], infra_id=infra, ip=ip)
    finally:
        podman("pod", "rm", "--force", "--time=0", POD)


@pytest.fixture(scope="module")
def ports(target: ProbeTarget) -> Iterator[dict[Vantage, dict[str, int]]]:
    """Return the ports of the servers in the pod and on the host."""
    with serving(target.netns_pid) as inside, serving() as outside:
        yield {Vantage.POD: inside, Vantage.HOST: outside}


@pytest.fixture
async def prober(tmp_path: Path) -> AsyncIterator[ProbeRunner]:
    """Return a prober, closed at the end of the test."""

    class NoPodman(Runtime):
        """Fails the test when Podman is asked for anything."""

    runner = ProbeRunner(NoPodman(), user_agent="kube-probe/podsupd", run_dir=str(tmp_path))
    yield runner
    await runner.close()


def handler_of(kind: str, port: int, path: str, host: str | None) -> HttpGet | TcpSocket | GrpcCheck:
    """Return what to ask."""
    match kind:
        case "tcp":
            return TcpSocket(port, host)
        case "grpc":
            return GrpcCheck(port, path)
        case _:
            return HttpGet(port, path, kind.upper(), host)


@pytest.mark.parametrize(
    ("vantage", "kind", "host"),
    [
        (Vantage.POD, ProbeType.LIVENESS, None),
        (Vantage.POD, ProbeType.POLICY, None),
        (Vantage.POD, ProbeType.POLICY, "::1"),
        (Vantage.HOST, ProbeType.POLICY, None),
        (Vantage.HOST, ProbeType.POLICY, "::1"),
    ],
    ids=["pod, its IP", "pod, localhost", "pod, IPv6", "host, localhost", "host, IPv6"],
)
async def test_servers_that_misbehave(
    prober: ProbeRunner,
    target: ProbeTarget,
    ports: dict[Vantage, dict[str, int]],
    vantage: Vantage,
    kind: ProbeType,
    host: str | None,
) -> None:
    """Each kind of server is judged as a kubelet would and told apart, from the host and from inside the pod."""

    async def ask(name: str, how: str, path: str) -> Attempt:
        never = name in {"slow", "half_open"} and how != "tcp"
        handler = handler_of(how, ports[vantage][name], path, host)
        return await prober.attempt(ProbeSpec("p", kind, vantage, handler, timeout_s=SLOW_S if never else 30.0), target)

    cases = [case for case in CASES if not (host and case[1] == "grpc")]  # whose host is not for the manifest to say
    tasks = [asyncio.create_task(ask(*case[:3])) for case in cases]
    for (*what, good, words), task in zip(cases, tasks, strict=True):
        attempt = await task
        said = f"{attempt.message} {attempt.warning}"
        assert (attempt.successful, words in said) == (good, True), (what, said)


@pytest.mark.parametrize("vantage", [Vantage.POD, Vantage.HOST])
async def test_a_server_that_flaps(
    prober: ProbeRunner, target: ProbeTarget, ports: dict[Vantage, dict[str, int]], vantage: Vantage
) -> None:
    """Every attempt is a request of its own: a server that fails every second one is seen to do so."""
    spec = ProbeSpec("p", ProbeType.POLICY, vantage, HttpGet(ports[vantage]["flapping"]), timeout_s=30)
    assert [(await prober.attempt(spec, target)).successful for _ in range(6)] == [True, False] * 3
