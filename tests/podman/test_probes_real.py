"""Probes in real pods: from inside their network namespace, and by the OCI runtime's own exec."""

import asyncio
import gc
import json
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop
from e2e.harness import until

from podsupd.engine.threads import ready_threads
from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import ExecCommand, HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import ProbeTarget, Runtime
from podsupd.probes import ProbeRunner, tree

pytestmark = pytest.mark.podman

NGINX, BUSYBOX = "docker.io/library/nginx:latest", "docker.io/library/busybox:latest"
POD = f"probes-{os.getpid()}"  # of this run's own, so that two runs on one machine do not meet
RUNTIMES = [name for name in ("runc", "crun") if shutil.which(name)]
HYBRID = Path("/sys/fs/cgroup/unified")  # crun refuses to run where both versions of cgroups are mounted

L, P = ProbeType.LIVENESS, ProbeType.POLICY


def run(*command: str) -> str:
    """Run a command; return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def infra_of(pod: str) -> str:
    """Return the id of a pod's infra container."""
    return run("podman", "pod", "inspect", pod, "--format", "{{.InfraContainerID}}").strip()


def inspect(name: str) -> dict[str, Any]:
    """Return Podman's view of a container."""
    seen: dict[str, Any] = json.loads(run("podman", "inspect", "--type=container", name))[0]
    return seen


def target_of(container: str, infra: str = "") -> ProbeTarget:
    """Return what the engine would hand to the prober."""
    seen = inspect(container)
    target = ProbeTarget(
        POD,
        container_id=seen["Id"],
        container_pid=seen["State"]["Pid"],
        oci_runtime=seen["OCIRuntime"],
        oci_config_path=seen["OCIConfigPath"],
    )
    if not infra:
        return target
    pod = inspect(infra)
    networks = pod["NetworkSettings"]["Networks"].values()
    return replace(target, netns_pid=pod["State"]["Pid"], infra_id=pod["Id"], ip=next(n["IPAddress"] for n in networks))


@pytest.fixture(scope="module")
def infra() -> Iterator[str]:
    """Run nginx and busybox in a pod that publishes nothing; return the infra container's id."""
    run("podman", "pod", "create", "--replace", "--name", POD, "--share", "net,pid")
    run("podman", "run", "-d", "--pod", POD, "--name", f"{POD}-web", NGINX)
    run("podman", "run", "-d", "--pod", POD, "--name", f"{POD}-client", BUSYBOX, "sleep", "100000")
    yield infra_of(POD)
    run("podman", "pod", "rm", "--force", "--time=0", POD)


@pytest.fixture(scope="module")
def target(infra: str) -> ProbeTarget:
    """Return the client container of the pod."""
    return target_of(f"{POD}-client", infra)


class NoFallback(Runtime):
    """Fails the test when an exec goes through Podman: the runtime's own must do."""


@pytest.fixture
async def prober(tmp_path: Path) -> AsyncIterator[ProbeRunner]:
    """Return a prober, closed at the end of the test."""
    runner = ProbeRunner(NoFallback(), user_agent="kube-probe/podsupd", run_dir=str(tmp_path))
    yield runner
    await runner.close()


def probe(
    handler: HttpGet | TcpSocket | ExecCommand,
    kind: ProbeType = P,
    vantage: Vantage = Vantage.POD,
    timeout_s: float = 30,
) -> ProbeSpec:
    """Return a probe, from inside the pod."""
    vantage = Vantage.CONTAINER if isinstance(handler, ExecCommand) else vantage
    return ProbeSpec("p", kind, vantage, handler, timeout_s=timeout_s)


@pytest.fixture(scope="module", autouse=True)
def nginx_answers(target: ProbeTarget) -> None:
    """Wait until nginx listens, by the pod's own wget."""
    script = "until wget -q -O /dev/null http://127.0.0.1/; do sleep 0.05; done"
    run("timeout", "100", "podman", "exec", target.container_id, "sh", "-c", script)


@pytest.mark.parametrize("kind", [P, L])
@pytest.mark.parametrize("handler", [HttpGet(80), TcpSocket(80)])
async def test_an_unpublished_port_is_reached_from_inside(
    prober: ProbeRunner, target: ProbeTarget, handler: HttpGet | TcpSocket, kind: ProbeType
) -> None:
    """A service is probed where it listens, without publishing its port on the host."""
    inside = await prober.attempt(probe(handler, kind), target)
    assert inside.successful, inside.message
    place = "localhost" if kind is P else target.ip
    assert place in inside.message


async def test_localhost_of_the_pod_is_not_the_hosts(prober: ProbeRunner, target: ProbeTarget) -> None:
    """A server on the host's localhost is never taken for the pod's, nor the other way round."""
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await prober.attempt(probe(TcpSocket(port), vantage=Vantage.HOST), target)).successful
        inside = await prober.attempt(probe(TcpSocket(port)), target)
    assert (inside.successful, inside.message) == (False, f"cannot connect to localhost:{port}: connection refused")


async def test_only_the_helper_thread_leaves_the_hosts_namespace(prober: ProbeRunner, target: ProbeTarget) -> None:
    """Probing a pod moves nothing else of podsupd into it: neither its loop, nor its threads, nor what it starts."""
    here = Path("/proc/self/ns/net").readlink()
    assert (await prober.attempt(probe(HttpGet(80)), target)).successful
    of_threads = {}
    for thread in threading.enumerate():
        with suppress(OSError):  # one that an earlier test left may end meanwhile
            of_threads[thread.name] = Path(f"/proc/self/task/{thread.native_id}/ns/net").readlink()
    away = [name for name, namespace in of_threads.items() if namespace != here]
    assert [name.split("_")[0] for name in away] == ["podsupd-netns"]
    assert await asyncio.to_thread(Path("/proc/thread-self/ns/net").readlink) == here
    assert run("readlink", "/proc/self/ns/net") == str(here)


async def test_another_containers_process_is_not_entered(prober: ProbeRunner, target: ProbeTarget) -> None:
    """A PID that now belongs to something else is refused instead of probed in the wrong namespace."""
    with pytest.raises(ProbeUnrunnable, match="the pod's infra container is not running"):
        await prober.attempt(probe(HttpGet(80)), replace(target, netns_pid=os.getpid()))


@pytest.fixture(scope="module", params=RUNTIMES)
def container(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProbeTarget]:
    """Run a container under each OCI runtime of this host."""
    runtime = shutil.which(request.param)
    assert runtime is not None
    if request.param == "crun" and HYBRID.exists():
        wrapper = tmp_path_factory.mktemp("bin") / "crun"
        wrapper.write_text(
            "#!/bin/sh\nexec unshare -m --propagation private "
            f"""sh -c 'umount {HYBRID}; exec {runtime} "$@"' crun "$@"\n"""
        )
        wrapper.chmod(0o755)
        runtime = str(wrapper)
    name = f"{POD}-exec-{request.param}"
    run("podman", "--runtime", runtime, "run", "-d", "--replace", "--name", name, "--init", "--env", "COLOUR=blue",
        "--user", "1000:1000", "--workdir", "/tmp", BUSYBOX, "sleep", "100000")  # fmt: skip
    target = target_of(name)
    until(lambda: len(processes_in(target.container_id)) == 2, "the init process and its child")
    yield target
    run("podman", "--runtime", runtime, "rm", "--force", "--time=0", name)


async def test_exec_runs_as_the_containers_process_does(prober: ProbeRunner, container: ProbeTarget) -> None:
    """A probe sees the container's user, directory and environment."""
    script = 'echo "$COLOUR $(id -u) $(pwd)"'
    attempt = await prober.attempt(probe(ExecCommand(("sh", "-c", script))), container)
    assert attempt.successful, attempt.message
    assert attempt.message.endswith("exited with 0: blue 1000 /tmp")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", "echo no >&2; exit 3"), "exited with 3: no"),
        (("sh", "-c", "kill -9 $$"), "exited with 137"),
        (("nosuchcommand",), "cannot run `nosuchcommand`: "),
        (("/etc",), "cannot run `/etc`: "),
    ],
)
async def test_a_failed_command(
    prober: ProbeRunner, container: ProbeTarget, command: tuple[str, ...], words: str
) -> None:
    """A command that fails, dies or is not there fails the probe, with the reason."""
    attempt = await prober.attempt(probe(ExecCommand(command)), container)
    assert not attempt.successful
    assert words in attempt.message


def processes_in(container_id: str) -> set[int]:
    """Return the host PIDs of a container's living processes."""
    found = set()
    for pid in (int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()):
        with suppress(OSError):
            if container_id in Path(f"/proc/{pid}/cgroup").read_text():
                seen = tree.read(pid)
                found |= {pid} if seen is not None and seen.state != "Z" else set()
    return found


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000 & sleep 1000",
        "setsid sleep 1000 & sleep 1000",
        "sh -c 'sleep 1000 & sleep 1000' & wait",
        "(setsid sleep 1000 &) ; sleep 1000",
    ],
)
async def test_a_late_command_is_killed_with_its_tree(prober: ProbeRunner, container: ProbeTarget, script: str) -> None:
    """A hung probe leaves no process in the container and does not touch those that were there."""
    before = processes_in(container.container_id)
    attempt = await prober.attempt(probe(ExecCommand(("sh", "-c", script)), timeout_s=1), container)
    assert not attempt.successful
    assert attempt.message.endswith("timed out after 1 s")
    # A killed process ends when it next runs.
    until(lambda: processes_in(container.container_id) == before, "its processes gone")


async def test_what_a_gone_command_left_is_killed_when_it_holds_the_probe(
    prober: ProbeRunner, target: ProbeTarget
) -> None:
    """Under runc a background process that keeps the probe waiting is found by its session and killed."""
    before = processes_in(target.container_id)
    attempt = await prober.attempt(probe(ExecCommand(("sh", "-c", "sleep 1000 & exit 0")), timeout_s=1), target)
    if attempt.successful:  # crun does not wait: the command was over, and what it left is the container's
        left = processes_in(target.container_id) - before
        subprocess.run(["kill", "-9", *map(str, left)], check=True)
        assert len(left) == 1
    until(lambda: processes_in(target.container_id) <= before, "its processes gone")


async def test_a_paused_container_is_no_verdict(prober: ProbeRunner, infra: str) -> None:
    """An operator's podman pause fails no exec probe."""
    name = f"{POD}-paused"
    run("podman", "run", "-d", "--replace", "--pod", POD, "--name", name, BUSYBOX, "sleep", "1000")
    try:
        target = target_of(name, infra)
        run("podman", "pause", name)
        with pytest.raises(ProbeUnrunnable, match="the container is paused"):
            await prober.attempt(probe(ExecCommand(("true",))), target)
        run("podman", "unpause", name)
        assert (await prober.attempt(probe(ExecCommand(("true",))), target)).successful
    finally:
        run("podman", "rm", "--force", "--time=0", name)


async def test_a_dead_pod_is_no_verdict_and_is_let_go(prober: ProbeRunner) -> None:
    """A probe of a pod that has just gone blames nothing, and keeps nothing of the pod alive."""
    pod = f"{POD}-gone"
    run("podman", "pod", "create", "--replace", "--name", pod, "--share", "net,pid")
    try:
        run("podman", "run", "-d", "--pod", pod, "--name", f"{pod}-c", BUSYBOX, "sleep", "1000")
        target = target_of(f"{pod}-c", infra_of(pod))
        namespace = str(Path(f"/proc/{target.netns_pid}/ns/net").readlink())
        assert not (await prober.attempt(probe(TcpSocket(80)), target)).successful
    finally:
        run("podman", "pod", "rm", "--force", "--time=0", pod)
    with pytest.raises(ProbeUnrunnable, match="the pod's infra container is not running"):
        await prober.attempt(probe(TcpSocket(80)), target)
    held = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            held.append(str(fd.readlink()))
    assert namespace not in held


def conmons() -> int:
    """Return how many conmon processes serve our pod's containers."""
    lines = run("ps", "-eo", "args").splitlines()
    return sum(1 for line in lines if "conmon" in line.split(" ")[0] and POD in line)


def usage(target: ProbeTarget) -> dict[str, object]:
    """Return everything that an attempt could leave behind."""
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, check=False)
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "children": len(children.stdout.split()),
        "processes": processes_in(target.container_id),
        "conmons": conmons(),
        "sessions": inspect(target.container_id)["ExecIDs"],
    }


def steady(target: ProbeTarget) -> dict[str, object] | None:
    """Return the usage when it is what it was a moment ago: what has ended may be about to go."""
    first = usage(target)
    return first if usage(target) == first else None


def back_at(before: dict[str, object], target: ProbeTarget) -> bool:
    """Fail as long as anything is left behind."""
    assert usage(target) == before
    return True


def resident_kib() -> int:
    """Return our resident memory, after what is garbage was collected."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("new_loop", "https", "execs"),
    [(uvloop.new_event_loop, 10_000, 500), (asyncio.new_event_loop, 500, 40)],
    ids=["uvloop", "asyncio"],
)
def test_nothing_is_left_behind(
    target: ProbeTarget, tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop], https: int, execs: int
) -> None:
    """Weeks of probes cost no descriptor, process, thread, memory, conmon or exec session."""

    async def main() -> None:
        # All of its threads at once, as in the daemon: a pool of the loop's own makes one now and then.
        asyncio.get_running_loop().set_default_executor(ready_threads())
        prober = ProbeRunner(NoFallback(), user_agent="kube-probe/podsupd", run_dir=str(tmp_path))

        async def several(handler: HttpGet | ExecCommand, times: int, at_once: int) -> None:
            for _ in range(times // at_once):
                attempts = (prober.attempt(probe(handler, timeout_s=60), target) for _ in range(at_once))
                assert all(a.successful for a in await asyncio.gather(*attempts))

        await several(HttpGet(80), 400, 8)  # what is made once is made now: caches, arenas
        await several(ExecCommand(("true",)), 40, 4)
        gc.collect()  # what other tests left open
        before = until(partial(steady, target), "nothing of it under way")
        for _ in range(2):
            memory = resident_kib()
            await several(HttpGet(80), https, 8)
            await several(ExecCommand(("true",)), execs, 4)
            grown = resident_kib() - memory
            # An attempt that kept a hundred bytes would be seen each time: 10,000 of them are a mebibyte. An arena
            # that the allocator opens, because other tests ran in this process before, is opened once.
            if grown < 1024:
                break
        assert grown < 1024
        late = await prober.attempt(probe(ExecCommand(("sleep", "100")), timeout_s=0.5), target)
        assert late.message == "cannot run `sleep 100`: timed out after 0.5 s"
        until(partial(back_at, before, target), "the usage as it was")
        await prober.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
