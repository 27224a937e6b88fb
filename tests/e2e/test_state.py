"""The disk under the state directory is full or damaged, or podsupd dies again and again: the pods go on."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, pod_manifest, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
BLOCK = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small file system where the daemon's state will be; it outlives the clean-up, which reads the owner."""
    where = tmp_path / "d" / "state"
    where.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(where)], check=True, timeout=10)
    yield where
    subprocess.run(["umount", str(where)], check=True, timeout=10)


@pytest.fixture
def cramped(small_disk: Path, make_daemon: Callable[..., Daemon], name: str) -> Daemon:
    """Run a daemon with one Ready pod whose state is on that small disk."""
    daemon = make_daemon()
    assert daemon.state == small_disk
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": POLITE, "other": POLITE}))
    daemon.start()
    daemon.wait_pod(name)
    return daemon


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits, and return it."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(BLOCK))
        except OSError as error:
            assert error.strerror == "No space left on device"  # noqa: PT017  the end of the loop, not its subject
    return path


def attrs(witness: PodmanClient, name: str) -> dict[str, Any]:
    """Ask the independent client for a container."""
    found: dict[str, Any] = witness.containers.get(name).attrs
    return found


def test_a_full_disk_stops_what_would_destroy_and_nothing_else(
    cramped: Daemon, witness: PodmanClient, small_disk: Path, name: str
) -> None:
    """Crashes are healed, new pods made; replacements and removals wait, say why, and follow when there is room."""
    cramped.write("doomed.yaml", pod_manifest(f"{name}-doomed", containers={"main": POLITE}))
    cramped.wait_pod(f"{name}-doomed")
    filler = fill(small_disk)
    before = attrs(witness, f"{name}-main")
    os.kill(attrs(witness, f"{name}-other")["State"]["Pid"], signal.SIGKILL)
    until(lambda: cramped.container(name, "other")["restartCount"] == 1, "the crash healed")
    cramped.wait_pod(name)
    cramped.write("new.yaml", pod_manifest(f"{name}-new"))
    cramped.wait_pod(f"{name}-new")
    cramped.write("pod.yaml", pod_manifest(name, containers={"main": POLITE + " # new", "other": POLITE}))
    (cramped.manifests / "doomed.yaml").unlink()
    for pod in (name, f"{name}-doomed"):
        until(lambda pod=pod: cramped.events(pod, "StateUnavailable"), f"{pod} waits for the disk")
        assert "state.db can be written" in cramped.events(pod, "StateUnavailable")[0]["message"]
    answer = cramped.post(f"/v1/pods/{name}/stop")
    assert answer.status == 503, answer.text
    assert "make room" in answer.json["detail"]
    now = attrs(witness, f"{name}-main")
    assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert attrs(witness, f"{name}-doomed-main")["State"]["Running"]
    assert "No space left" in cramped.log.read_text() or "disk is full" in cramped.log.read_text()
    until(lambda: cramped.get("/readyz").status == 200, "a fresh look at Podman")
    filler.unlink()
    until(lambda: attrs(witness, f"{name}-main")["Id"] != before["Id"], "the replacement, with room again")
    until(lambda: not witness.pods.exists(f"{name}-doomed"), "the removal, with room again")


def test_damaged_databases_are_set_aside_and_said(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Garbage in state.db and history.db costs memory and history, never a pod."""
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": POLITE}))
    daemon.start()
    daemon.wait_pod(name)
    before = attrs(witness, f"{name}-main")
    daemon.kill()
    for database in ("state.db", "history.db"):
        for path in daemon.state.glob(f"{database}-*"):
            path.unlink()
        (daemon.state / database).write_bytes(os.urandom(3 * BLOCK))
    daemon.start()
    daemon.wait_pod(name)
    now = attrs(witness, f"{name}-main")
    assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    os.kill(now["State"]["Pid"], signal.SIGKILL)
    until(lambda: daemon.events(name, "Died"), "history kept again")
    for database in ("state.db", "history.db"):
        assert (daemon.state / f"{database}.corrupt-1").exists()
        assert f"it is set aside as {database}.corrupt-1" in daemon.log.read_text()


def test_kill_9_again_and_again_at_its_start_loses_nothing(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Whatever it was doing when it died: the pod is not touched, the count is kept, no database is damaged."""
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": POLITE}))
    daemon.start()
    daemon.wait_pod(name)
    os.kill(attrs(witness, f"{name}-main")["State"]["Pid"], signal.SIGKILL)
    until(lambda: daemon.container(name, "main")["restartCount"] == 1, "one restart")
    daemon.wait_pod(name)
    before = attrs(witness, f"{name}-main")
    daemon.kill()
    for lines in range(1, 5):
        said = len(daemon.log.read_text().splitlines())
        daemon.start(wait=False)
        until(
            lambda said=said, lines=lines: len(daemon.log.read_text().splitlines()) >= said + lines,
            f"{lines} lines of log",
            every=0.001,
        )
        daemon.kill()
    daemon.start()
    assert daemon.container(name, "main")["restartCount"] == 1
    now = attrs(witness, f"{name}-main")
    assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert list(daemon.state.glob("*.corrupt-*")) == []
