"""How a worker looks at its pod: at the whole of it, and at first after a death only at the container that died."""

from collections.abc import Callable

from podsupd.engine.lives import Lives
from podsupd.model.observed import ObservedPod
from podsupd.ports import Clock, Runtime

ALONE_S = 0.05
"""So long after a death Podman has recorded it; if not, whatever else may be wrong is looked at."""


class Looking:
    """Looks at one pod. again: called when the whole pod has to be looked at as soon as the restart is under way.

    count: how often it has looked. whole: the next look is at the whole pod; set that after anything that concerns
    more than one container: actions of ours, a Podman that was away.
    """

    def __init__(self, pod: str, runtime: Runtime, clock: Clock, lives: Lives, again: Callable[[], None]) -> None:
        self._pod = pod
        self._runtime = runtime
        self._clock = clock
        self._lives = lives
        self._again = again
        self._seen: ObservedPod | None = None
        self.count = 0
        self.whole = True

    async def look(self) -> ObservedPod | None:
        """Observe the pod; after a death its container alone, because the restart waits for that.

        Whoever poked meanwhile may have meant something else in the pod: the next look is at the whole of it.
        """
        dead = self._dead_alone()
        if dead is None:
            self._seen = await self._runtime.observe_pod(self._pod)
        else:
            self._seen = await self._runtime.observe_death(self._pod, dead)
        self.count += 1
        if self._runtime.sees_processes():
            self._lives.watch(self._seen)
        self.whole = dead is not None and dead not in self._lives.unrecorded()
        if self.whole:
            self._again()
        return self._seen

    def _dead_alone(self) -> str | None:
        """Return whose death Podman may not have recorded yet, where nothing else is known to have changed."""
        deaths = self._lives.unrecorded()
        if len(deaths) != 1 or self.whole or self._seen is None:
            return None
        [(dead, noticed)] = deaths.items()
        late = self._clock.now().boottime - noticed > ALONE_S
        return dead if not late and any(c.id == dead for c in self._seen.containers) else None
