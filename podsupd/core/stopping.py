"""A graceful stop as an operation: a state and a deadline in the memory, advanced step by step, blocking nobody.

The first process gets the stop signal; whoever it leaves behind in a cgroup of ours gets it then, and the rest of the
grace period; at its end SIGKILL, and SIGKILL again for as long as one is there. A newer wish takes effect with the next
step, since nothing here waits.
"""

from dataclasses import dataclass, field, replace

from podsupd.core.backoff import retry_delay
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, ObservedContainer
from podsupd.model.plan import ContainerMemory, Facts, Now, SignalContainer, SignalLeftovers, Stop
from podsupd.model.spec import StopScope, StopSpec, StopStep

SIGNALLED = "Signalled"
LEFTOVERS = "LeftoversSignalled"
KILLED = "Killed"
LEFTOVERS_KILLED = "LeftoversKilled"
KILL_AGAIN_S = 5.0
KILL_AGAIN_CAP_S = 60.0
LEAST_S = 2.0  # what is left at least when something before the signal took the grace period, as in the kubelet


@dataclass(frozen=True, slots=True)
class Rule:
    """How a container is to be stopped, by the newest wish. grace_s: the whole of it, whatever the sequence says.

    shared: it shares the pod's PID namespace. If not, its first process is PID 1 and the kernel ends the rest with it,
    so that nobody can be left behind.
    """

    grace_s: float
    spec: StopSpec = field(default_factory=StopSpec)
    shared: bool = False

    @property
    def shelters(self) -> bool:
        """Whether the other processes outlive the first one, to have their own share of the grace period."""
        return self.shared and self.spec.scope is not StopScope.MAIN_PROCESS

    def deadline(self, stop: Stop) -> float:
        """Return the boottime of SIGKILL: a preStop hook that used the grace period up leaves 2 s for the signal."""
        if stop.signals_at is None:
            return stop.started_at + self.total_s
        whole = min(stop.started_at + self.grace_s, stop.signals_at + self.total_s)
        return max(whole, stop.signals_at + min(self.grace_s, LEAST_S))

    @property
    def total_s(self) -> float:
        """Seconds from the first signal to SIGKILL."""
        if not self.spec.sequence:
            return self.grace_s
        return min(self.grace_s, sum(step.seconds for step in self.spec.sequence))


MAIN_ONLY = StopSpec(StopScope.MAIN_PROCESS)


@dataclass(frozen=True, slots=True)
class Step:
    """The stop's new state, a signal to send or none, and when to look again."""

    stop: Stop
    action: SignalContainer | SignalLeftovers | None
    wake_at: float


def ended(container: ObservedContainer, facts: Facts) -> bool:
    """Say whether the first process is gone, recorded by Podman or not."""
    return container.state.dead or container.id in facts.gone


def advance(container: ObservedContainer, stop: Stop | None, why: str, rule: Rule, now: Now, *, first: bool) -> Step:
    """Advance the stop of a container that has to go; rule is the current wish, so a shorter grace counts.

    first: its first process is there; otherwise only those that it left behind are.
    """
    if stop is None or stop.incarnation != container.incarnation:
        stop = Stop(container.incarnation, now.boottime, now.boot_id, why, "", now.boottime)
    deadline = rule.deadline(stop)
    if stop.stage.split(" ")[0] in {KILLED, LEFTOVERS_KILLED} or now.boottime >= deadline:
        return _kill(container, stop, why, rule, now, first=first)
    index, signal, until = _due(container, stop, rule, now)
    stage = SIGNALLED if first else LEFTOVERS
    if (stage, index) != (stop.stage, stop.step):
        stop = replace(stop, stage=stage, step=index, stage_at=now.boottime, sent=False)
    wake_at = min(until, deadline)
    if stop.sent:
        return Step(stop, None, wake_at)
    if not first:
        return Step(stop, SignalLeftovers(container.id, container.label(CONTAINER_LABEL), signal, why, index), wake_at)
    everyone = rule.spec.scope is StopScope.ALL
    action = _signal(container, signal, why, step=index, shelter=rule.shelters, everyone=everyone)
    return Step(replace(stop, sheltered=stop.sheltered or rule.shelters), action, wake_at)


def _due(container: ObservedContainer, stop: Stop, rule: Rule, now: Now) -> tuple[int, str, float]:
    """Return index and signal of the sequence's step that is due, and when the next one is; none comes twice."""
    sequence = rule.spec.sequence or (StopStep(container.stop_signal, rule.total_s),)
    at = stop.started_at if stop.signals_at is None else stop.signals_at
    for index, step in enumerate(sequence[:-1]):
        at += step.seconds
        if now.boottime < at and index >= stop.step:
            return index, step.signal, at
    return len(sequence) - 1, sequence[-1].signal, rule.deadline(stop)


def _kill(container: ObservedContainer, stop: Stop, why: str, rule: Rule, now: Now, *, first: bool) -> Step:
    stage = KILLED if first else LEFTOVERS_KILLED
    word, _, number = stop.stage.partition(" ")
    kills = int(number or "1") if word == stage else 0
    again = stop.stage_at + retry_delay(kills, KILL_AGAIN_S, KILL_AGAIN_CAP_S, container.id)
    if kills and stop.sent and now.boottime < again:
        return Step(stop, None, again)
    if not kills or now.boottime >= again:
        kills += 1
        stop = replace(stop, stage=f"{stage} {kills}", stage_at=now.boottime, sent=False)
        again = now.boottime + retry_delay(kills, KILL_AGAIN_S, KILL_AGAIN_CAP_S, container.id)
    why = f"{why}; still there after SIGKILL" if kills > 1 else f"{why}; not gone after {rule.total_s:g} s"
    if not first:
        return Step(stop, SignalLeftovers(container.id, container.label(CONTAINER_LABEL), "SIGKILL", why), again)
    everyone = rule.shelters or rule.spec.scope is StopScope.ALL
    return Step(stop, _signal(container, "SIGKILL", why, everyone=everyone, again=kills > 1), again)


def _signal(
    container: ObservedContainer,
    signal: str,
    why: str,
    *,
    step: int = 0,
    shelter: bool = False,
    everyone: bool = False,
    again: bool = False,
) -> SignalContainer:
    name = container.label(CONTAINER_LABEL)
    return SignalContainer(container.id, name, signal, why, container.pid, shelter, everyone, again, step)


def sent(memory: ContainerMemory) -> ContainerMemory:
    """Note that the signal of the stop's stage went out."""
    return replace(memory, stop=replace(memory.stop, sent=True)) if memory.stop else memory


def can_be_signalled(container: ObservedContainer) -> bool:
    """A paused container does not take a signal; it is the operator's to unpause (DESIGN D8)."""
    return container.state in {ContainerState.RUNNING, ContainerState.STOPPING}
