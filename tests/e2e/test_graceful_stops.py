"""A stop that reaches everyone: those that a first process leaves behind get the signal and the rest of the grace."""

import os
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
CHILD = "sh -c 'trap \"sleep 1; echo done > /out/child; exit 0\" TERM; echo up > /out/up; while :; do sleep 0.1; done'"
LEAVES = f"trap 'exit 3' TERM; {CHILD} & while :; do sleep 0.1; done"
DEAF = "sh -c 'trap \"\" TERM; echo up > /out/up; while :; do sleep 0.1; done'"
LEAVES_DEAF = f"trap 'exit 3' TERM; {DEAF} & while :; do sleep 0.1; done"
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


@pytest.fixture
def name() -> str:
    """Return a pod name that nobody else uses."""
    return f"s2-{uuid.uuid4().hex[:8]}"


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
