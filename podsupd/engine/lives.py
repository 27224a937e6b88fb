"""Watches the processes that a pod waits for, by pidfd: a death is noticed at once, Podman's word comes later.

These are the first processes of its containers, and during a stop those that a first process left behind.
"""

from collections.abc import Callable, Mapping

from podsupd import log
from podsupd.errors import PodsupdError
from podsupd.model.observed import ObservedContainer, ObservedPod
from podsupd.ports import Clock, Processes

logger = log.get("lives")

# Descriptors held for the leftovers of one pod: who comes after those is watched when they have ended.
LEFTOVERS_AT_ONCE = 64

Key = tuple[str, str, int]  # container id, started_at, host pid


class Lives:
    """The lives of one pod's containers. on_death is called once for each, with the container's id.

    on_empty is called when all leftovers that are watched have ended.
    """

    def __init__(
        self,
        processes: Processes,
        clock: Clock,
        on_death: Callable[[str], None],
        on_empty: Callable[[], None],
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._on_death = on_death
        self._on_empty = on_empty
        self._left: dict[int, Callable[[], None]] = {}
        self._watched: dict[Key, Callable[[], None] | None] = {}
        self._died: dict[Key, float] = {}

    def watch(self, seen: ObservedPod | None) -> None:
        """Watch exactly the lives that are there now; what ended stays known while its container is not restarted."""
        containers = [*seen.containers, *([seen.infra] if seen.infra else [])] if seen else []
        keys = {_key(c): c for c in containers if c.state.alive and c.pid > 0}
        for key in [k for k in self._watched if k not in keys]:
            cancel = self._watched.pop(key)
            if cancel:
                cancel()
        ids = {c.id for c in containers}
        self._died = {
            k: at for k, at in self._died.items() if k[0] in ids and not any(n[0] == k[0] and n != k for n in keys)
        }
        for key in keys:
            if key not in self._watched:
                self._watched[key] = self._open(key)

    def _open(self, key: Key) -> Callable[[], None] | None:
        try:
            cancel = self._processes.watch(key[2], lambda: self._ended(key))
        except PodsupdError as error:
            # Podman's events and the relist still tell of the death, later.
            logger.warning("cannot watch a process", pid=key[2], error=str(error))
            return None
        if cancel is None:
            self._ended(key)
        return cancel

    def _ended(self, key: Key) -> None:
        self._died.setdefault(key, self._clock.now().boottime)
        self._on_death(key[0])

    def watch_left(self, left: Mapping[str, tuple[int, ...]]) -> None:
        """Watch leftovers, by container id; who is in our cgroup is not replaced by a stranger of the same PID."""
        wanted = [pid for pids in left.values() for pid in pids][:LEFTOVERS_AT_ONCE]
        for pid in set(self._left) - set(wanted):
            self._left.pop(pid)()
        for pid in wanted:
            if pid not in self._left:
                self._watch_one_left(pid)
        if wanted and not self._left:
            self._on_empty()

    def _watch_one_left(self, pid: int) -> None:
        try:
            cancel = self._processes.watch(pid, lambda: self._left_ended(pid))
        except PodsupdError as error:
            logger.warning("cannot watch a process", pid=pid, error=str(error))
            return
        if cancel is not None:
            self._left[pid] = cancel

    def _left_ended(self, pid: int) -> None:
        self._left.pop(pid, None)
        if not self._left:
            self._on_empty()

    def gone(self) -> dict[str, float]:
        """Return container ids whose first process is gone, with the boottime at which that was noticed."""
        return {key[0]: at for key, at in self._died.items()}

    def unrecorded(self) -> dict[str, float]:
        """Return those of ``gone`` that Podman took for alive when the pod was last looked at."""
        return {key[0]: at for key, at in self._died.items() if key in self._watched}

    def noticed(self, container_id: str) -> float | None:
        """Return when the death of a container's last life was noticed."""
        return self.gone().get(container_id)

    def close(self) -> None:
        """Stop watching."""
        for cancel in self._watched.values():
            if cancel:
                cancel()
        self._watched.clear()
        for cancel_left in self._left.values():
            cancel_left()
        self._left.clear()


def _key(container: ObservedContainer) -> Key:
    return (container.id, container.started_at, container.pid)
