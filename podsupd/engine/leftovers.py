"""Who is left of a pod's containers: in cgroups of ours during a stop, or of a container that Podman has lost.

Podman can lose a container that runs: ``podman rm -f`` stops it and removes it in two steps, and a start between the
two is not undone (measured on 4.3.1). Its processes go on in the pod's namespaces, on its ports.
"""

from collections.abc import Callable, Mapping

from podsupd import log
from podsupd.core import naming
from podsupd.errors import CgroupUnavailable
from podsupd.model.observed import CONTAINER_LABEL, ObservedPod, RuntimeInfo
from podsupd.model.plan import ContainerMemory, PodMemory
from podsupd.ports import Runtime, Shelters

logger = log.get("leftovers")

_NO_MEMORY = ContainerMemory()


class Leftovers:
    """Looks for those of one pod."""

    def __init__(
        self, shelters: Shelters, runtime: Runtime, info: Callable[[], RuntimeInfo | None], owner: str
    ) -> None:
        self._shelters = shelters
        self._runtime = runtime
        self._info = info
        self._owner = owner
        self._found: frozenset[str] = frozenset()
        self._ours: frozenset[str] = frozenset()

    async def look(self, pod: str, seen: ObservedPod | None, memory: PodMemory) -> Mapping[str, tuple[int, ...]] | None:
        """Return container id -> pids, of those who are left; None when it cannot be known."""
        if not self._runtime.sees_processes():
            return None
        ours = naming.ours(seen, self._owner) if seen else ()
        lost: frozenset[str] = frozenset()
        if seen and seen.infra and seen.infra.pid:
            lost = self._ours - {container.id for container in ours}
            for container_id in lost:
                self._shelters.gather(container_id, seen.infra.id, seen.infra.pid)
        # Of one that was removed by hand, too, until its cgroup is gone.
        lives = dict.fromkeys(self._found | lost, 0)
        for mine in memory.containers.values():
            if mine.stop:
                lives[mine.stop.incarnation.container_id] = 0
        info = self._info()
        # Without cgroups (v1, or none delegated to the user) a runtime kills nobody when a first process ends: where
        # that may be so each container is looked after.
        bare = info is not None and info.rootless and info.cgroup_manager == "cgroupfs"
        for container in ours:
            stop = memory.containers.get(container.label(CONTAINER_LABEL), _NO_MEMORY).stop
            in_flight = stop is not None and stop.sheltered and stop.incarnation == container.incarnation
            lives[container.id] = container.pid if (in_flight or bare) and container.state.alive else 0
        found: Mapping[str, tuple[int, ...]] = {}
        if lives:
            try:
                found = await self._shelters.look(lives)
            except CgroupUnavailable as error:
                logger.warning("leftovers unknown", pod=pod, error=str(error))
                return None
        self._found = frozenset(found)
        self._ours = frozenset(container.id for container in ours)
        return found
