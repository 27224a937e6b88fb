"""The host has no more PIDs: it is said, nothing is lost, and the pods come up when there are some again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, pod_manifest, until
from podman import PodmanClient

from bench.podman_service import PodmanService

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


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PodmanService]:
    """Run a Podman API that the test may starve."""
    with PodmanService(tmp_path / "podman.sock") as running:
        yield running


def test_without_pids_it_waits_says_so_and_goes_on(
    make_daemon: Callable[..., Daemon], witness: PodmanClient, service: PodmanService, cgroup: Path, name: str
) -> None:
    """Neither Podman nor podsupd can start a process or a thread: what runs is let be, a new manifest is read."""
    assert service.process is not None
    daemon = make_daemon(podman_url=service.url)
    daemon.write("old.yaml", pod_manifest(f"{name}-old", containers={"main": POLITE}))
    daemon.start()
    daemon.wait_pod(f"{name}-old")
    before = witness.containers.get(f"{name}-old-main").attrs
    for pid in (service.process.pid, daemon.pid):
        (cgroup / "cgroup.procs").write_text(str(pid))
    (cgroup / "pids.max").write_text((cgroup / "pids.current").read_text())
    daemon.write("new.yaml", pod_manifest(f"{name}-new", containers={"main": POLITE}))

    def words() -> Any:
        return daemon.container(f"{name}-new", "main")["state"].get("waiting", {}).get("message", "")

    # Podman's words depend on who of netavark, conmon and the runtime is the first that cannot fork.
    until(lambda: words().startswith("cannot "), "the refusal", 60)
    assert daemon.alive()
    assert daemon.get("/healthz").status == 200
    assert daemon.ready(f"{name}-old")
    (cgroup / "pids.max").write_text("max")
    daemon.wait_pod(f"{name}-new", 90)
    now = witness.containers.get(f"{name}-old-main").attrs
    assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert "Traceback" not in daemon.log.read_text()
