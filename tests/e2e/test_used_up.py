"""podsupd can start no process and no thread any more: it is said, and everything else goes on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.harness import Daemon, pod_manifest, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


@pytest.fixture
def cgroup(name: str) -> Iterator[Path]:
    """Make a cgroup in which PIDs can be limited; it goes when nobody is in it any more."""
    v1 = Path("/sys/fs/cgroup/pids")
    made = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / name
    made.mkdir()
    yield made

    def gone() -> bool:
        for pid in (made / "cgroup.procs").read_text().split():
            (made.parent / "cgroup.procs").write_text(pid)
        made.rmdir()
        return True

    until(gone, "the cgroup empty")


PROBED = """\
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1, timeoutSeconds: 20}
"""


def test_without_pids_it_says_so_and_goes_on(daemon: Daemon, witness: PodmanClient, cgroup: Path, name: str) -> None:
    """A crash is healed and a new manifest is carried out; a probe that needs a process is unrunnable, not failed."""
    daemon.write("old.yaml", pod_manifest(f"{name}-old", containers={"main": POLITE}) + PROBED)
    daemon.start()
    daemon.wait_pod(f"{name}-old")
    until(lambda: daemon.pod(f"{name}-old")["podsupd"]["probes"][0]["result"] == "successful", "the probe")
    (cgroup / "cgroup.procs").write_text(str(daemon.pid))
    (cgroup / "pids.max").write_text("1")
    until(lambda: daemon.condition(f"{name}-old", "ProbesRunnable") == "False", "the probe called unrunnable")
    daemon.write("new.yaml", pod_manifest(f"{name}-new", containers={"main": POLITE}))
    daemon.wait_pod(f"{name}-new")
    os.kill(witness.containers.get(f"{name}-new-main").attrs["State"]["Pid"], signal.SIGKILL)
    until(lambda: daemon.container(f"{name}-new", "main")["restartCount"] == 1, "the crash healed")
    assert daemon.container(f"{name}-old", "main")["restartCount"] == 0
    assert daemon.get("/healthz").status == 200
    (cgroup / "pids.max").write_text("max")
    until(lambda: daemon.condition(f"{name}-old", "ProbesRunnable") == "", "the probe running again")
    assert daemon.container(f"{name}-old", "main")["restartCount"] == 0
