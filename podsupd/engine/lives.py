"""Watches the first processes of a pod's containers by pidfd: a death is noticed at once, Podman's word comes later."""

from collections.abc import Callable

from podsupd import log
from podsupd.errors import PodsupdError
from podsupd.model.observed import ObservedContainer, ObservedPod
from podsupd.ports import Clock, Processes

logger = log.get("lives")

Key = tuple[str, str, int]  # container id, started_at, host pid


class Lives:
    """The lives of one pod's containers. on_death is called once for each."""

    def __init__(self, processes: Processes, clock: Clock, on_death: Callable[[], None]) -> None:
        self._processes = processes
        self._clock = clock
        self._on_death = on_death
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
        self._on_death()

    def gone(self) -> dict[str, float]:
        """Return container ids whose first process is gone, with the boottime at which that was noticed."""
        return {key[0]: at for key, at in self._died.items()}

    def noticed(self, container_id: str) -> float | None:
        """Return when the death of a container's last life was noticed."""
        return self.gone().get(container_id)

    def close(self) -> None:
        """Stop watching."""
        for cancel in self._watched.values():
            if cancel:
                cancel()
        self._watched.clear()


def _key(container: ObservedContainer) -> Key:
    return (container.id, container.started_at, container.pid)
