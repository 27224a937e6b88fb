"""A graceful stop as an operation: a state and a deadline in the memory, advanced step by step, blocking nobody.

The first process gets the stop signal, at the end of the grace period SIGKILL, and SIGKILL again for as long as it is
there. A newer wish takes effect with the next step, since nothing here waits.
"""

from dataclasses import dataclass, replace

from podsupd.core.backoff import retry_delay
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, ObservedContainer
from podsupd.model.plan import ContainerMemory, Now, SignalContainer, Stop

SIGNALLED = "Signalled"
KILLED = "Killed"
KILL_AGAIN_S = 5.0
KILL_AGAIN_CAP_S = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """The stop's new state, a signal to send or none, and when to look again."""

    stop: Stop
    action: SignalContainer | None
    wake_at: float


def advance(container: ObservedContainer, stop: Stop | None, why: str, grace_s: float, now: Now) -> Step:
    """Advance the stop of a live container that has to go; grace_s is the current wish, so a shorter one counts."""
    name = container.label(CONTAINER_LABEL)
    if stop is None or stop.incarnation != container.incarnation:
        stop = Stop(container.incarnation, now.boottime, now.boot_id, why, SIGNALLED, now.boottime)
    deadline = stop.started_at + grace_s
    if stop.stage == SIGNALLED:
        if now.boottime < deadline:
            action = None if stop.sent else SignalContainer(container.id, name, container.stop_signal, why)
            return Step(stop, action, deadline)
        return _kill(container, stop, f"{why}; not gone after {grace_s:g} s", now)
    again = stop.stage_at + retry_delay(_kills(stop), KILL_AGAIN_S, KILL_AGAIN_CAP_S, container.id)
    if now.boottime < again:
        return Step(stop, None if stop.sent else _sigkill(container, why), again)
    return _kill(container, stop, f"{why}; still there after SIGKILL", now)


def _kills(stop: Stop) -> int:
    """Count the kills sent so far; the stage carries it as ``Killed N``."""
    return int(stop.stage.removeprefix(KILLED).strip() or "1")


def _kill(container: ObservedContainer, stop: Stop, why: str, now: Now) -> Step:
    kills = _kills(stop) + 1 if stop.stage.startswith(KILLED) else 1
    after = replace(stop, stage=f"{KILLED} {kills}", stage_at=now.boottime, sent=False)
    again = now.boottime + retry_delay(kills, KILL_AGAIN_S, KILL_AGAIN_CAP_S, container.id)
    return Step(after, _sigkill(container, why), again)


def _sigkill(container: ObservedContainer, why: str) -> SignalContainer:
    return SignalContainer(container.id, container.label(CONTAINER_LABEL), "SIGKILL", why)


def sent(memory: ContainerMemory) -> ContainerMemory:
    """Note that the signal of the stop's stage went out."""
    return replace(memory, stop=replace(memory.stop, sent=True)) if memory.stop else memory


def can_be_signalled(container: ObservedContainer) -> bool:
    """A paused container does not take a signal; it is the operator's to unpause (DESIGN D8)."""
    return container.state in {ContainerState.RUNNING, ContainerState.STOPPING}
