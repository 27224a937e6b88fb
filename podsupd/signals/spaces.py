"""Containers of a Podman that makes no cgroups for them (rootless without systemd): told by their mount namespaces.

There the runtime kills nobody when a first process ends: whoever it leaves behind lives on, stopped or crashed, and
holds what the next life needs. Each container has a mount namespace of its own, which all of its processes are in
but those that made themselves another one.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podsupd.signals import held
from podsupd.signals.proc import pids

_FLAGS = os.O_RDONLY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Space:
    """Held open: the number of a namespace that is gone is given to the next one."""

    descriptor: int
    number: int


class Spaces:
    """The mount namespaces of such containers, by container id; all on one thread."""

    def __init__(self) -> None:
        self._held: dict[str, _Space] = {}

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._held

    def take(self, container_id: str, first: int) -> bool:
        """Hold the namespace of a container's first process; False when it is not such a container's. Raises OSError.

        Who its conmon is tells that the process is the container's.
        """
        if self.holds(container_id, first):
            return True
        if held.ANY_CONTAINER.search(Path(f"/proc/{first}/cgroup").read_bytes()):
            return False
        descriptor = os.open(f"/proc/{first}/ns/mnt", _FLAGS)
        try:
            if container_id.encode() not in held.parent_arguments(first):
                os.close(descriptor)
                return False
            space = _Space(descriptor, os.fstat(descriptor).st_ino)
        except OSError:
            os.close(descriptor)
            raise
        self.drop(container_id)
        self._held[container_id] = space
        return True

    def pids(self, container_id: str) -> list[int]:
        """Return who is in a container's namespace, its first process included; none for one that is not held."""
        space = self._held.get(container_id)
        if space is None:
            return []
        return [pid for pid in pids() if _number(pid) == space.number]

    def holds(self, container_id: str, pid: int) -> bool:
        """Say whether a process is in a container's namespace."""
        space = self._held.get(container_id)
        return space is not None and _number(pid) == space.number

    def outlived(self, container_id: str, first: int) -> bool:
        """Say whether a container has another namespace than the one that is held: somebody restarted it by hand."""
        return container_id in self._held and _number(first) not in {0, self._held[container_id].number}

    def drop(self, container_id: str) -> None:
        """Let go of a namespace."""
        if space := self._held.pop(container_id, None):
            os.close(space.descriptor)

    def drop_all(self) -> None:
        """Let go of all."""
        for container_id in list(self._held):
            self.drop(container_id)


def _number(pid: int) -> int:
    with suppress(OSError):
        return Path(f"/proc/{pid}/ns/mnt").stat().st_ino
    return 0
