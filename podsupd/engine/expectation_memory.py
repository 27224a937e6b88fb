"""Keeps what pods expect of signals over a restart of podsupd: what waits for its outcome, and what it came to last.

A signal is followed by an end that Podman records with its time and code, whoever looks: a daemon that was restarted
meanwhile can judge it as one that was not. Of another boot no time is comparable, and no process is left.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from podsupd import log
from podsupd.core.expectations import Pending, Verdict
from podsupd.errors import StateUnavailable
from podsupd.ports import Clock, State

logger = log.get("signal-policies")


@dataclass(frozen=True, slots=True)
class Saved:
    """One pod's: waiting by the clock of boot_id, and the last verdicts."""

    boot_id: str = ""
    waiting: tuple[Pending, ...] = ()
    last: tuple[Verdict, ...] = ()


NOTHING = Saved()
_FORM: TypeAdapter[Saved] = TypeAdapter(Saved)


class ExpectationMemory:
    """Saves what changed, and hands back what an earlier daemon saved."""

    def __init__(self, state: State, clock: Clock, texts: Mapping[str, str]) -> None:
        """Take what was saved, by pod; what does not parse is not known any more, and said."""
        self._state = state
        self._clock = clock
        self._saved: dict[str, Saved] = {}
        self._restored: dict[str, Saved] = {}
        for pod, text in texts.items():
            try:
                self._restored[pod] = _FORM.validate_json(text)
            except ValidationError as error:
                logger.warning("what is expected of signals begins anew", pod=pod, error=str(error))

    def take(self, pod: str) -> Saved:
        """Return what was saved of a pod, once; nothing of another boot waits any more."""
        found = self._restored.pop(pod, NOTHING)
        self._saved[pod] = found
        waiting = found.waiting if found.boot_id == self._clock.now().boot_id else ()
        return Saved(found.boot_id, waiting, found.last)

    async def keep(self, pods: Iterable[str], waiting: Iterable[Pending], last: Iterable[Verdict]) -> None:
        """Save what differs from what is on disk, of pods that were taken. Never raises: it is no pod's need."""
        boot_id = self._clock.now().boot_id
        waiting, last = tuple(waiting), tuple(last)
        for pod in pods:
            if pod not in self._saved:
                continue
            mine = tuple(p for p in waiting if p.pod == pod), tuple(v for v in last if v.pod == pod)
            now = Saved(boot_id if mine[0] else "", *mine)
            if now == self._saved[pod]:
                continue
            try:
                await self._state.save_expectations(pod, _FORM.dump_json(now).decode())
            except StateUnavailable as error:
                logger.warning("what is expected of signals is not saved", pod=pod, error=str(error))
            else:
                self._saved[pod] = now

    def forget_others(self, pods: Iterable[str]) -> None:
        """Drop what is known of pods that are not among these: their rows go with them."""
        kept = set(pods)
        self._saved = {pod: saved for pod, saved in self._saved.items() if pod in kept}
