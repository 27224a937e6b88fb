"""(f) What one probe costs, ours and Podman's ways, on the same pod in the same run.

CPU is that of everybody involved, in user space and kernel: of this process and all that it starts (podman, the OCI
runtime, a Podman service of its own), by a cgroup of their own, and of the pod's cgroup, with the server that answers
and conmon. So it is what the whole machine spends on it, and the machine need not be idle for it.
"""

import ctypes
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.podman_api import wait
from bench.podman_command import podman, target_of
from bench.rows import Options, Row, samples
from podsupd.libpod import LibpodRuntime
from podsupd.model.spec import ExecCommand, GrpcCheck, Handler, HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import ProbeTarget
from podsupd.probes import ProbeRunner
from podsupd.web import PrometheusMeter
from tests.fakes.serving import serving

name = "what a probe costs"

NGINX, BUSYBOX = "docker.io/library/nginx:latest", "docker.io/library/busybox:latest"
GET = ("wget", "-q", "-O", "/dev/null", "http://localhost:80")
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CHEAP_TIMES, GRPC_TIMES, EXEC_TIMES, PODMAN_TIMES = 500, 100, 8, 3


@dataclass(frozen=True)
class Cost:
    """Milliseconds a probe."""

    cpu: list[float]
    wall: list[float]


class Account:
    """The CPU time of a cgroup of ours, which this process is in meanwhile, and of a pod's."""

    def __init__(self, pod_id: str) -> None:
        self._root = Path("/sys/fs/cgroup/cpuacct")
        self._file, self._unit_ms = "cpuacct.usage", 1e-6
        if not self._root.is_dir():
            self._root, self._file, self._unit_ms = Path("/sys/fs/cgroup"), "cpu.stat", 1e-3
        self._ours = self._root / f"podsupd-bench-{os.getpid()}"
        self._pod = next(path for path in self._root.rglob(f"*{pod_id}*") if path.is_dir())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the cgroup."""
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        key = "cpuacct" if self._file == "cpuacct.usage" else ""
        before = next(path for _, name, path in (line.split(":", 2) for line in lines) if key in name.split(","))
        self._ours.mkdir()
        try:
            (self._ours / "cgroup.procs").write_text(str(os.getpid()))
            yield
        finally:
            Path(f"{self._root}{before}", "cgroup.procs").write_text(str(os.getpid()))
            for pid in (self._ours / "cgroup.procs").read_text().split():
                Path(self._root, "cgroup.procs").write_text(pid)  # conmons that Podman's exec leaves for a while
            self._ours.rmdir()

    def spent_ms(self) -> float:
        """Return the CPU time so far."""
        return sum(self._read(path / self._file) for path in (self._ours, self._pod)) * self._unit_ms

    def _read(self, path: Path) -> int:
        text = path.read_text()
        return int(text) if path.name == "cpuacct.usage" else int(text.split("usage_usec ")[1].split()[0])


def run(options: Options) -> list[Row]:
    """Measure in rounds of everything, so that what else the machine does hits all alike."""
    pod = f"{options.prefix}-probes"
    port = _free_port()
    podman("pod", "create", "--replace", "--name", pod, "--share", "net,pid", "-p", f"{port}:80")
    try:
        podman("run", "-d", "--pod", pod, "--name", f"{pod}-web", NGINX)
        health = ["--health-cmd", " ".join(GET), "--health-interval", "disable"]
        podman("run", "-d", "--pod", pod, "--name", f"{pod}-client", *health, BUSYBOX, "sleep", "1000000")
        target = target_of(pod, f"{pod}-client")
        wait(lambda: _answers(port), 30)
        account = Account(podman("pod", "inspect", pod, "--format", "{{.Id}}").strip())
        with (
            account.entered(),
            tempfile.TemporaryDirectory() as folder,
            _service(folder) as url,
            serving(target.netns_pid) as ports,
        ):
            costs = uvloop.run(_measure(account, options, target, (port, ports["grpc"]), Path(folder), url))
    finally:
        podman("pod", "rm", "--force", "--time=0", pod)
    return _rows(costs)


async def _measure(
    account: Account, options: Options, target: ProbeTarget, ports: tuple[int, int], folder: Path, url: str
) -> dict[str, Cost]:
    """Return what each way costs; ports: that publishes the web server on the host, and that of gRPC in the pod."""
    client = f"{target.pod}-client"
    port, grpc_port = ports
    async with LibpodRuntime(url, meter=PrometheusMeter(), request_timeout_s=30) as runtime:
        prober = ProbeRunner(runtime, user_agent="kube-probe/bench", run_dir=str(folder))

        def probe(handler: Handler, vantage: Vantage) -> Callable[[int], Awaitable[None]]:
            spec = ProbeSpec("p", ProbeType.POLICY, vantage, handler, timeout_s=30)

            async def attempts(times: int) -> None:
                for _ in range(times):
                    made = await prober.attempt(spec, target)
                    assert made.successful, made

            return attempts

        async def floor(times: int) -> None:
            _bare_gets(target.netns_pid, times)

        async def commands(times: int, *command: str) -> None:
            for _ in range(times):
                podman(*command)

        async def by_rest(times: int) -> None:
            for _ in range(times):
                assert (await runtime.exec(target.container_id, GET, 30)).exit_code == 0

        ways: dict[str, tuple[int, Callable[[int], Awaitable[None]]]] = {
            "floor": (CHEAP_TIMES, floor),
            "httpGet in the pod": (CHEAP_TIMES, probe(HttpGet(80), Vantage.POD)),
            "httpGet from the host": (CHEAP_TIMES, probe(HttpGet(port), Vantage.HOST)),
            "tcpSocket in the pod": (CHEAP_TIMES, probe(TcpSocket(80), Vantage.POD)),
            "grpc in the pod": (GRPC_TIMES, probe(GrpcCheck(grpc_port), Vantage.POD)),
            "exec of wget": (EXEC_TIMES, probe(ExecCommand(GET), Vantage.CONTAINER)),
            "podman healthcheck run": (PODMAN_TIMES, lambda times: commands(times, "healthcheck", "run", client)),
            "podman exec": (PODMAN_TIMES, lambda times: commands(times, "exec", client, *GET)),
            "exec by Podman's API": (PODMAN_TIMES, by_rest),
        }
        costs = {way: Cost([], []) for way in ways}
        for count in range(options.repeats + 1):
            for way, (times, attempts) in ways.items():
                spent, began = account.spent_ms(), time.monotonic()
                await attempts(times)
                if count:  # the first round warms up
                    costs[way].cpu.append((account.spent_ms() - spent) / times)
                    costs[way].wall.append((time.monotonic() - began) * 1000 / times)
        await prober.close()
    return costs


def _rows(costs: dict[str, Cost]) -> list[Row]:
    floor, check, command = costs["floor"], costs["podman healthcheck run"], costs["podman exec"]
    http, shell = costs["httpGet in the pod"], costs["exec of wget"]
    rows = [
        _row("httpGet in the pod: CPU", http.cpu, check.cpu, "podman healthcheck run", 0.01),
        _row("httpGet in the pod: CPU", http.cpu, floor.cpu, "a socket in its namespace", 2.0),
        _row("exec of wget: CPU", shell.cpu, command.cpu, "podman exec", 1 / 3),
    ]
    rows += [
        _row(f"{way}: CPU", costs[way].cpu, check.cpu, "podman healthcheck run")
        for way in ("httpGet from the host", "tcpSocket in the pod", "grpc in the pod")
    ]
    rows.append(_row("exec by Podman's API: CPU", costs["exec by Podman's API"].cpu, command.cpu, "podman exec"))
    rows.append(_row("httpGet in the pod: wall", http.wall, check.wall, "podman healthcheck run"))
    rows.append(_row("httpGet in the pod: wall", http.wall, floor.wall, "a socket in its namespace"))
    rows.append(_row("exec of wget: wall", shell.wall, command.wall, "podman exec"))
    walls = ("httpGet from the host", "tcpSocket in the pod", "grpc in the pod", "exec by Podman's API")
    return [*rows, *(_row(f"{way}: wall", costs[way].wall) for way in walls)]


def _row(
    metric: str, ours: list[float], peer: list[float] | None = None, of: str = "", bound: float | None = None
) -> Row:
    return Row(metric, "ms", samples(ours), samples(peer) if peer else None, of, bound)


def _bare_gets(pid: int, times: int) -> None:
    """Get the page over plain sockets, in a process that has entered the namespace and does nothing else."""
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return
    code = 1
    try:
        with Path(f"/proc/{pid}/ns/net").open() as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
        for _ in range(times):
            with socket.create_connection(("127.0.0.1", 80)) as sock:
                sock.sendall(REQUEST)
                while sock.recv(65536):
                    pass
        code = 0
    finally:
        os._exit(code)


@contextmanager
def _service(folder: str) -> Iterator[str]:
    """Run a Podman service of our own, so that its CPU is accounted."""
    path = Path(folder) / "podman.sock"
    with subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{path}"]) as service:
        try:
            wait(path.exists, 30)
            yield f"unix://{path}"
        finally:
            service.terminate()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as sock:
            sock.sendall(REQUEST)
            return bool(sock.recv(1))
    except OSError:
        return False
