"""What has to follow a signal, checked whenever one happens: PodPolicy's signals.expect.

A container's first process got a signal; the worker that looks at its pod tells how it ended, if it did. An end for
another reason within the time (a newer signal, a sandbox that died) says nothing, and is neither met nor breached.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from podsupd.core import signal_words as words
from podsupd.model.observed import Incarnation
from podsupd.model.plan import Death
from podsupd.model.signal_policy import Expectation

SLACK_S = 2.0
"""Podman's word on a death is waited for so long beyond the time that the process had."""

CLOCK_STEP_S = 1.0
"""A death so much before the signal was another one: the newest life was not observed yet."""


class Outcome(StrEnum):
    """What became of an expectation."""

    MET = "met"
    BREACHED = "breached"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An expectation that was checked. took_s: from the signal to the end, None when there was none."""

    pod: str
    rule: Expectation
    outcome: Outcome
    message: str
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A signal that was got at this time: at in seconds of Now.awake, epoch on the wall."""

    pod: str
    rule: Expectation
    life: Incarnation
    at: float
    epoch: float

    @property
    def deadline(self) -> float:
        """When it is judged at the latest."""
        return self.at + self.rule.within_s + SLACK_S


@dataclass(slots=True)
class Expectations:
    """Those that wait for what follows."""

    pending: dict[tuple[str, Expectation], Pending] = field(default_factory=dict)

    def begin(
        self, pod: str, rule: Expectation, life: Incarnation, at: float, epoch: float, *, anew: bool = False
    ) -> None:
        """Take note of a signal; a second one while the first is pending changes nothing, unless it counts anew."""
        before = self.pending.get((pod, rule))
        if anew or before is None or before.life != life:
            self.pending[pod, rule] = Pending(pod, rule, life, at, epoch)

    def resume(self, waiting: Iterable[Pending]) -> None:
        """Take what waited when podsupd was restarted, but for what has begun anew since."""
        for pending in waiting:
            self.pending.setdefault((pending.pod, pending.rule), pending)

    @property
    def due(self) -> float | None:
        """Return when something has to be judged at the latest, None when nothing waits."""
        return min((p.deadline for p in self.pending.values()), default=None)

    def judge(self, deaths: Mapping[Incarnation, Death], lost: frozenset[str], now: float) -> tuple[Verdict, ...]:
        """Return what is known by now, each once.

        deaths: by the life that they ended. lost: pods that cannot be looked at, or that are gone.
        """
        verdicts: list[Verdict] = []
        for key, pending in list(self.pending.items()):
            death = deaths.get(pending.life)
            if death is not None and death.finished_epoch + CLOCK_STEP_S >= pending.epoch:
                verdicts.append(_ended(pending, death, now))
            elif now >= pending.deadline:
                verdicts.append(_runs(pending, unseen=death is not None or pending.pod in lost))
            else:
                continue
            del self.pending[key]
        return tuple(verdicts)

    def forget(self, rules: frozenset[tuple[str, Expectation]]) -> None:
        """Drop what waits for expectations that are not among these: nobody declares them any more."""
        self.pending = {key: pending for key, pending in self.pending.items() if key in rules}


def _runs(pending: Pending, *, unseen: bool) -> Verdict:
    rule = pending.rule
    if unseen:
        return Verdict(pending.pod, rule, Outcome.INCONCLUSIVE, f"{rule.sentence}: the pod could not be looked at")
    if rule.exits:
        return Verdict(pending.pod, rule, Outcome.BREACHED, f"{rule.sentence}: it still runs")
    return Verdict(pending.pod, rule, Outcome.MET, f"{rule.sentence}: it runs on")


def _ended(pending: Pending, death: Death, now: float) -> Verdict:
    rule = pending.rule
    # The wall clock may have been set meanwhile; what was noticed in time was in time.
    took = death.finished_epoch - pending.epoch
    took = min(now - pending.at, took) if took >= 0 else now - pending.at
    how = f"it exited with code {death.exit_code}" if death.signal is None else f"it was ended by {death.signal}"
    said = f"{rule.sentence}: {how} after {words.duration(took)}"

    def verdict(outcome: Outcome, message: str = said) -> Verdict:
        return Verdict(pending.pod, rule, outcome, message, took)

    if death.cause_signal and death.cause_signal != rule.signal:
        return verdict(Outcome.INCONCLUSIVE, f"{said}, by {death.cause_signal}")
    if death.signal not in {None, rule.signal} and not death.cause_signal:
        return verdict(Outcome.INCONCLUSIVE)
    in_time = took <= rule.within_s
    if not rule.exits:
        return verdict(Outcome.BREACHED if in_time else Outcome.MET)
    if not in_time:
        return verdict(Outcome.BREACHED)
    right = rule.exit_code is None or death.exit_code == rule.exit_code
    return verdict(Outcome.MET if right else Outcome.BREACHED)
