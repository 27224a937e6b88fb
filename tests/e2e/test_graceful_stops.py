"""A stop that reaches everyone: those that a first process leaves behind get the signal and the rest of the grace."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, pod_manifest, podman, until
from e2e.services import PodmanService

pytestmark = pytest.mark.podman

ROOT = Path(__file__).parents[2]

# The child needs a second after SIGTERM; the first process waits for nobody, as a careless entrypoint.
CHILD = (
    'sh -c \'trap "echo told > /out/told; sleep 1; echo done > /out/child; exit 0" TERM;'
    " echo up > /out/up; while :; do sleep 0.1; done'"
)
LEAVES = f"trap 'exit 3' TERM; {CHILD} & while :; do sleep 0.1; done"
DEAF = "sh -c 'trap \"\" TERM; echo up > /out/up; while :; do sleep 0.1; done'"
LEAVES_DEAF = f"trap 'exit 3' TERM; {DEAF} & while :; do sleep 0.1; done"
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


@pytest.fixture
def name() -> str:
    """Return a pod name that nobody else uses."""
    return f"stop-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a directory that the containers see as /out."""
    path = tmp_path / "out"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture(params=["runc", "crun"])
def podman_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a Podman of the test's own that runs containers with this OCI runtime."""
    conf = tmp_path / "containers.conf"
    conf.write_text(
        f"""
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=10000:10000"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "{request.param}"
[engine.runtimes]
crun = ["{ROOT / "tests/hosts/crun-hybrid"}"]
"""
    )
    monkeypatch.setenv("CONTAINERS_CONF", str(conf))
    with PodmanService(tmp_path / "podman.sock") as service:
        yield service.url


def manifest(name: str, out: Path, containers: dict[str, str], *, grace: int = 20, stop: str = "", **more: Any) -> str:
    """Return the manifest of a pod whose containers see ``out``, with a PodPolicy when ``stop`` is given."""
    text = pod_manifest(name, containers=containers, grace=grace, **more)
    text = text.replace("    command:", "    volumeMounts: [{name: out, mountPath: /out}]\n    command:")
    text = text.replace("  containers:\n", f"  volumes: [{{name: out, hostPath: {{path: {out}}}}}]\n  containers:\n")
    if stop:
        text += f"---\napiVersion: podsupd.io/v1\nkind: PodPolicy\nmetadata: {{name: {name}}}\nspec: {{stop: {stop}}}\n"
    return text


def cgroups_of_ours(container_id: str) -> list[str]:
    """Return the cgroups of podsupd's own that exist for a container, in any hierarchy."""
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if f"podsupd-{container_id}" in folder]


def processes_of(container_id: str) -> list[int]:
    """Return the processes that are in a cgroup of the container's or of ours for it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container_id in stat.read_text() and "State:\tZ" not in (stat.parent / "status").read_text():
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


class Stopped:
    """A pod whose container ``main`` is to be stopped, and its sibling ``other``."""

    def __init__(self, daemon: Daemon, name: str, out: Path, script: str, **options: Any) -> None:
        self.daemon, self.name, self.out = daemon, name, out
        self.text = manifest(name, out, {"main": script, "other": IDLE}, **options)
        self.path = daemon.write("pod.yaml", self.text)
        daemon.start()
        daemon.wait_pod(name)
        until((out / "up").exists, "the child up")
        self.main, self.other = self.inspect("main"), self.inspect("other")

    def inspect(self, container: str) -> tuple[str, int, str]:
        """Return id, pid and start time of a container."""
        text = podman("inspect", f"{self.name}-{container}", "--format", "{{.Id}} {{.State.Pid}} {{.State.StartedAt}}")
        identity, pid, started = text.split(" ", 2)
        return identity, int(pid), started

    def exit_code(self) -> int:
        """Return the exit code that Podman recorded."""
        return int(podman("inspect", f"{self.name}-main", "--format", "{{.State.ExitCode}}"))

    def stop(self) -> None:
        """Have the container stopped and wait until podsupd says that it is."""
        self.daemon.cli("stop", f"{self.name}/main")

    def assert_clean(self) -> None:
        """None is left, our cgroup is gone, and the sibling lives on."""
        assert processes_of(self.main[0]) == []
        assert cgroups_of_ours(self.main[0]) == []
        assert self.inspect("other") == self.other

    def killed(self) -> float:
        """Return how many processes had to be killed."""
        return self.daemon.metric(f'podsupd_stop_killed_processes_total{{container="main",pod="{self.name}"}}')


def test_a_child_that_cleans_up_is_waited_for(
    podman_url: str, make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A child that needs a second after SIGTERM has it, under every runtime, and the container starts again."""
    pod = Stopped(make_daemon(podman_url=podman_url), name, out, LEAVES)
    pod.stop()
    assert (out / "child").read_text() == "done\n"
    assert pod.exit_code() == 3
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")
    pod.daemon.cli("start", f"{name}/main")
    pod.daemon.wait_pod(name)
    assert pod.inspect("main")[0] == pod.main[0]


def test_podman_stop_kills_the_same_child(podman_url: str, name: str, out: Path) -> None:
    """What podsupd is for: Podman's own stop ends that child before its handler is done."""
    podman("--url", podman_url, "pod", "create", "--name", name, "--share", "net,pid")
    try:
        podman(
            *("--url", podman_url, "run", "-d", "--pod", name, "--name", f"{name}-main", "-v", f"{out}:/out"),
            *("docker.io/library/busybox:latest", "sh", "-c", LEAVES),
        )
        until((out / "up").exists, "the child up")
        container = podman("inspect", f"{name}-main", "--format", "{{.Id}}")
        podman("--url", podman_url, "stop", "-t", "20", f"{name}-main")
        until(lambda: not processes_of(container), "its processes gone")
        assert not (out / "child").exists()
    finally:
        podman("--url", podman_url, "pod", "rm", "-f", "-t", "0", name)


def test_a_child_that_ignores_the_signal_is_killed_at_the_deadline(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """It has the rest of the grace period, then it is killed, named and counted; and not before."""
    pod = Stopped(make_daemon(), name, out, LEAVES_DEAF, grace=3)
    began = time.monotonic()
    pod.stop()
    assert time.monotonic() - began >= 3
    pod.assert_clean()
    assert pod.exit_code() == 3
    (event,) = pod.daemon.events(name, "Killed")
    assert "sh (pid " in event["message"]
    # The shell, and the sleep that it happened to wait for.
    assert pod.killed() in {1, 2}


def test_scope_main_process_is_podmans_own_stop(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """Whoever wants the runtime's last kill can have it."""
    pod = Stopped(make_daemon(), name, out, LEAVES, stop="{scope: MainProcess}")
    pod.stop()
    until(lambda: not processes_of(pod.main[0]), "its processes gone")
    assert not (out / "child").exists()
    pod.assert_clean()


def test_scope_all_tells_everyone_at_once(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """A first process that waits for its children, but never tells them, need not be killed."""
    script = f"trap : TERM; {CHILD} & child=$!; while kill -0 $child; do wait $child; done; exit 5"
    pod = Stopped(make_daemon(), name, out, script, stop="{scope: All}")
    pod.stop()
    assert (out / "child").read_text() == "done\n"
    assert pod.exit_code() == 5
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_a_sequence_goes_on_to_the_signal_that_is_obeyed(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A process that only ends on SIGINT gets it as the second step, instead of SIGKILL."""
    script = "trap : TERM; trap 'exit 6' INT; echo up > /out/up; while :; do sleep 0.1; done"
    stages = "{sequence: [{signal: SIGTERM, seconds: 1}, {signal: SIGINT, seconds: 15}]}"
    pod = Stopped(make_daemon(), name, out, script, stop=stages)
    pod.stop()
    assert pod.exit_code() == 6
    pod.assert_clean()


def test_a_child_that_is_started_during_the_stop_has_its_time(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A handler that leaves the clean-up to a new process and ends is a stop like any other."""
    late = "sh -c 'trap : TERM; sleep 1; sleep 1; echo done > /out/late' & exit 0"
    script = f'trap "{late}" TERM; echo up > /out/up; while :; do sleep 0.1; done'
    pod = Stopped(make_daemon(), name, out, script)
    pod.stop()
    assert (out / "late").read_text() == "done\n"
    assert pod.exit_code() == 0
    pod.assert_clean()


def test_a_shell_that_stops_its_own_jobs_is_not_disturbed(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A supervisor tells its children itself: each gets SIGTERM once, from it, and its exit code is its own."""
    job = 'trap "echo term >> /out/job; exit 0" TERM; echo up > /out/up; while :; do sleep 0.1; done'
    script = f"trap 'kill $a $b; wait $a; wait $b; exit 7' TERM; sh -c '{job}' & a=$!; sh -c '{job}' & b=$!; wait; wait"
    pod = Stopped(make_daemon(), name, out, script)
    pod.stop()
    assert (out / "job").read_text() == "term\nterm\n"
    assert pod.exit_code() == 7
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_ten_megabytes_written_while_it_stops_block_nobody(
    podman_url: str, make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """What the first process says is all in the log; what the others say after it and conmon ended blocks nobody."""
    write = "yes xxxxxxxxx | head -c 10485760"
    child = f"sh -c 'trap \"{write} && echo done > /out/child; exit 0\" TERM; while :; do sleep 0.1; done'"
    script = f'{child} & trap "{write}; exit 4" TERM; echo up > /out/up; while :; do sleep 0.1; done'
    pod = Stopped(make_daemon(podman_url=podman_url), name, out, script)
    pod.stop()
    assert pod.exit_code() == 4
    assert (out / "child").read_text() == "done\n"
    assert podman("logs", f"{name}-main").count("x") == 9 * 1024 * 1024
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_nginx_and_its_workers_stop_as_nginx_wants_it(daemon: Daemon, name: str) -> None:
    """The image's SIGQUIT reaches the master, which ends its workers itself: exit code 0, nobody is killed."""
    manifest_of_nginx = pod_manifest(name, containers={"web": "x"}, grace=20)
    head, _, _ = manifest_of_nginx.partition("    command:")
    daemon.write("pod.yaml", head.replace("busybox:latest", "nginx:latest"))
    daemon.start()
    daemon.wait_pod(name)
    container = podman("inspect", f"{name}-web", "--format", "{{.Id}}")
    until(lambda: len(processes_of(container)) > 1, "the workers")
    daemon.cli("stop", f"{name}/web")
    assert podman("inspect", f"{name}-web", "--format", "{{.State.ExitCode}}") == "0"
    assert processes_of(container) == []
    assert cgroups_of_ours(container) == []
    assert not daemon.events(name, "Killed")
    assert not daemon.events(name, "StopDegraded")


def test_a_removed_pod_waits_for_those_left_behind(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """A deleted manifest ends the pod as gracefully as a stop; nothing of it stays."""
    pod = Stopped(make_daemon(), name, out, LEAVES)
    pod.path.unlink()
    until(
        lambda: (
            podman("pod", "exists", name, check=False) == "" and not podman("pod", "ps", "-q", "-f", f"name={name}")
        ),
        "the pod removed",
    )
    assert (out / "child").read_text() == "done\n"
    assert processes_of(pod.main[0]) == []
    assert cgroups_of_ours(pod.main[0]) == []


def test_a_daemon_killed_in_the_middle_of_a_stop_leaves_nothing_frozen(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """Without a daemon those left behind finish their work; with the next one the stop is finished."""
    pod = Stopped(make_daemon(), name, out, LEAVES)
    pod.daemon.post(f"/v1/pods/{name}/containers/main/stop")
    until((out / "told").exists, "those left behind signalled", every=0.01)
    pod.daemon.kill()
    until((out / "child").exists, "the child's handler done")
    until(lambda: not processes_of(pod.main[0]), "its processes gone")
    assert cgroups_of_ours(pod.main[0])
    pod.daemon.start()
    until(lambda: pod.daemon.events(name, "Stopped"), "the stop finished")
    pod.assert_clean()


def test_the_next_daemon_finishes_the_stop_that_it_finds(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """One that does not end is killed at the deadline that the first daemon had set."""
    pod = Stopped(make_daemon(), name, out, LEAVES_DEAF, grace=4)
    pod.daemon.post(f"/v1/pods/{name}/containers/main/stop")
    until(lambda: len(pod.daemon.events(name, "Killing")) == 2, "those left behind signalled", every=0.01)
    pod.daemon.kill()
    assert processes_of(pod.main[0])
    pod.daemon.start()
    until(lambda: pod.daemon.events(name, "Stopped"), "the stop finished")
    pod.assert_clean()
    assert len(pod.daemon.events(name, "Killed")) == 1


def test_a_restart_waits_for_those_left_behind(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """The next life of a container begins when the last one is over for everyone."""
    pod = Stopped(make_daemon(), name, out, LEAVES)
    pod.daemon.cli("restart", f"{name}/main")
    assert (out / "child").read_text() == "done\n"
    identity, pid, _ = pod.inspect("main")
    assert identity == pod.main[0]
    assert pid != pod.main[1]
    assert cgroups_of_ours(identity) == []
    assert pod.inspect("other") == pod.other
