"""Keeps probe states over a restart of podsupd: saved when a verdict changes and at the end, handed back at the start.

Not at every result: that would wear cheap flash, and a streak that is a little old costs one attempt more.
"""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from podsupd import log
from podsupd.engine.probe_entries import SavedProbe
from podsupd.engine.prober import ProbeScheduler
from podsupd.errors import StateUnavailable
from podsupd.ports import State

logger = log.get("prober")

_FORM: TypeAdapter[tuple[SavedProbe, ...]] = TypeAdapter(tuple[SavedProbe, ...])


class ProbeMemory:
    """Saves what the prober exports, and restores it."""

    def __init__(self, prober: ProbeScheduler, state: State) -> None:
        self._prober = prober
        self._state = state
        self._saved: dict[str, tuple[object, ...]] = {}

    def restore(self, texts: Mapping[str, str]) -> None:
        """Hand saved states to the prober, before its first sync; what does not parse is begun anew, and said."""
        for pod, text in texts.items():
            try:
                self._prober.restore(pod, _FORM.validate_json(text))
            except ValidationError as error:
                logger.warning("probe states begin anew", pod=pod, error=str(error))

    def changed(self, pod: str) -> bool:
        """Say whether a verdict of the pod's changed since they were saved."""
        return _verdicts(self._prober.export(pod)) != self._saved.get(pod, ())

    async def keep(self, pod: str) -> None:
        """Save the pod's states if a verdict changed since the last time."""
        states = self._prober.export(pod)
        verdicts = _verdicts(states)
        if verdicts != self._saved.get(pod, ()) and await self._save(pod, states):
            self._saved[pod] = verdicts

    async def keep_all(self, pods: list[str]) -> None:
        """Save everything, with streaks and histories: the end is near."""
        for pod in pods:
            await self._save(pod, self._prober.export(pod))

    async def _save(self, pod: str, states: tuple[SavedProbe, ...]) -> bool:
        """Save states, and say whether they are: what is not is tried again with the worker's next turn."""
        if not states and pod not in self._saved:
            return True
        try:
            await self._state.save_probes(pod, _FORM.dump_json(states).decode())
        except StateUnavailable as error:
            logger.warning("probe states not saved", pod=pod, error=str(error))
            return False
        return True

    def forget(self, pod: str) -> None:
        """Drop what is known of a pod that is gone."""
        self._saved.pop(pod, None)
        self._prober.forget(pod)


def _verdicts(states: tuple[SavedProbe, ...]) -> tuple[object, ...]:
    return tuple((s.name, s.fingerprint, s.state.incarnation, s.state.passing, s.state.on_hold) for s in states)
