"""Processes of a container that Podman has lost, found by the name of its cgroup."""

import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest
from e2e.harness import until
from e2e.stopped import processes_of

from podsupd.signals import Shelters

pytestmark = pytest.mark.podman

IMAGE = "docker.io/library/busybox:latest"


def podman(*args: str) -> str:
    """Run podman."""
    return subprocess.run(["podman", *args], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.fixture
def pod() -> Iterator[str]:
    """Run a pod with a container of two processes; return its name, of which the container's is NAME-c."""
    name = f"lost-{uuid.uuid4().hex[:8]}"
    podman("pod", "create", "--name", name, "--share", "net,pid")
    podman("run", "-d", "--pod", name, "--name", f"{name}-c", IMAGE, "sh", "-c", "sleep 1000 & exec sleep 1001")
    until(lambda: len(processes_of(inspected(f"{name}-c")[0])) == 2, "both processes")
    yield name
    until(lambda: not left(name), "the pod's end")


def left(pod: str) -> bool:
    """Remove a pod, which fails while Podman cleans up after its dead; say whether it is there yet."""
    done = subprocess.run(["podman", "pod", "rm", "-f", "-i", "-t", "0", pod], capture_output=True, check=False)
    return done.returncode != 0


def inspected(container: str) -> tuple[str, int]:
    """Return a container's id and the pid of its first process."""
    found, pid = podman("inspect", "--format", "{{.Id}} {{.State.Pid}}", container).split()
    return found, int(pid)


async def test_everyone_of_a_lost_container_is_found_and_ended(pod: str) -> None:
    """Without Podman's word for it, by nothing but its id; its first process is no exception, its pod goes on."""
    infra = inspected(podman("pod", "inspect", "--format", "{{.InfraContainerID}}", pod))
    container, first = inspected(f"{pod}-c")
    shelters = Shelters()
    try:
        assert await shelters.look({container: 0}) == {}
        shelters.gather(container, *infra)
        found = await shelters.look({container: 0})
        assert len(found[container]) == 2
        assert first in found[container]
        assert len(await shelters.signal(container, "SIGKILL", 0, 0)) == 2
        end = time.monotonic() + 30
        while await shelters.look({container: 0}) != {container: ()}:
            assert time.monotonic() < end
        await shelters.remove(container)
        shelters.gather(container, *infra)
        assert await shelters.look({container: 0}) == {}
        assert inspected(infra[0]) == infra
    finally:
        shelters.close()
