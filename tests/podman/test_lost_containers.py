"""Processes of a container that Podman has lost, found by the name of its cgroup."""

import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest

from podsupd.signals import Shelters

pytestmark = pytest.mark.podman

IMAGE = "docker.io/library/busybox:latest"


def podman(*args: str) -> str:
    """Run podman."""
    return subprocess.run(["podman", *args], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.fixture
def container() -> Iterator[str]:
    """Run a container of two processes; return its id."""
    name = f"lost-{uuid.uuid4().hex[:8]}"
    made = podman("run", "-d", "--name", name, IMAGE, "sh", "-c", "sleep 1000 & exec sleep 1001")
    yield made
    podman("rm", "-f", "-t", "0", name)


async def test_everyone_of_a_lost_container_is_found_and_ended(container: str) -> None:
    """Without Podman's word for it, by nothing but its id; its first process is no exception."""
    first = int(podman("inspect", "--format", "{{.State.Pid}}", container))
    shelters = Shelters()
    try:
        assert await shelters.look({container: 0}) == {}
        shelters.gather(container)
        found = await shelters.look({container: 0})
        assert len(found[container]) == 2
        assert first in found[container]
        assert len(await shelters.signal(container, "SIGKILL", 0, 0)) == 2
        end = time.monotonic() + 30
        while await shelters.look({container: 0}) != {container: ()}:
            assert time.monotonic() < end
        await shelters.remove(container)
        shelters.gather(container)
        assert await shelters.look({container: 0}) == {}
    finally:
        shelters.close()
