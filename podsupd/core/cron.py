"""CronJobs: a job that is begun anew whenever its schedule says so, as Kubernetes' CronJob controller does it.

https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/. Of runs that were missed only the newest is made
up for, and none is begun twice: what counts is the time on the schedule, whatever the clock does in between. A clock
that is put forward makes up for one run; one that is put back begins none until the newest one's time has passed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from podsupd.core.stamps import stamp
from podsupd.model.life import CronRun
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import Facts, Intent, Note, Now, PodMemory
from podsupd.model.spec import CronSpec, PodSpec

LOOK_AGAIN_S = 30.0
MISSED = "MissSchedule"
BEGUN = "JobStarted"


@dataclass(frozen=True, slots=True)
class Turn:
    """The memory with the run in force, what to tell, when to look again, and when the next run is due, in words."""

    memory: PodMemory
    notes: tuple[Note, ...] = ()
    wake_at: float | None = None
    coming: str = ""


def latest(cron: CronSpec, after: float, until: float) -> float | None:
    """Return the newest time of the schedule (epoch seconds) after one moment and not after another, None for none."""
    if until <= after:
        return None
    # From just after the moment backwards, so that the moment itself is found.
    found = next(_times(cron, until + 1, reverse=True), None)
    return found if found is not None and found > after else None


def following(cron: CronSpec, after: float) -> float | None:
    """Return the next time of the schedule, None when there is none any more."""
    return next(_times(cron, after, reverse=False), None)


def _times(cron: CronSpec, start: float, *, reverse: bool) -> Iterator[float]:
    begin = datetime.fromtimestamp(int(start), UTC).astimezone(ZoneInfo(cron.time_zone))
    return (time.timestamp() for time in CronSim(cron.schedule, begin, reverse=reverse))


def shown(time: float) -> str:
    """Render a time of a schedule."""
    return stamp(time, "minutes")


def observe(want: PodSpec, intent: Intent, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now) -> Turn:
    """Begin the run that is due."""
    cron = want.cron
    if cron is None:
        return Turn(replace(memory, cron=None))
    state = memory.cron
    if state is None:
        # What is there of a job whose memory was lost, or that was none of a schedule, is its present run.
        state = CronRun(facts.wall, facts.wall if seen is not None else None)
    if state.fresh and seen is None:
        state = replace(state, fresh=False)
        memory = replace(memory, containers={}, troubles={}, initialized=None, active=None, ending_since=None)
    notes: tuple[Note, ...] = ()
    due = latest(cron, state.since, facts.wall)
    busy = state.run is not None and memory.done is None
    if due is not None and not (cron.suspend or intent.stopped):
        if cron.deadline_s is not None and facts.wall - due > cron.deadline_s:
            text = (
                f"the run of {shown(due)} is missed: it is later than startingDeadlineSeconds ({cron.deadline_s:g} s)"
            )
            notes, state = (Note("Warning", MISSED, text),), replace(state, since=due)
        elif cron.replace or not busy:
            notes = (Note("Normal", BEGUN, f"the run of {shown(due)} begins"),)
            state = CronRun(due, due, fresh=seen is not None)
            memory = replace(memory, done=None)
    return Turn(replace(memory, cron=state), notes, _wake_at(cron, state, facts, now), _coming(cron, state, facts))


def _wake_at(cron: CronSpec, state: CronRun, facts: Facts, now: Now) -> float:
    """Look again when the next run is due, and at an interval: the clock may be put to another time meanwhile."""
    coming = following(cron, max(state.since, facts.wall))
    return now.boottime + min(LOOK_AGAIN_S, LOOK_AGAIN_S if coming is None else max(0.0, coming - facts.wall))


def _coming(cron: CronSpec, state: CronRun, facts: Facts) -> str:
    """Say when the next run is due."""
    if cron.suspend:
        return "suspended"
    coming = following(cron, max(state.since, facts.wall))
    return "no run is due any more" if coming is None else f"the next run is due at {shown(coming)}"
