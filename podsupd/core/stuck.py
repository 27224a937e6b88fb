"""Containers that Podman holds in a state which they do not leave by themselves, and the ladder out of each.

As met in Podman's issues and made by force on Podman 4.3: a `podman stop` or `podman rm` that was killed in the middle
(11274, 15740), a conmon that was killed or stopped (439, 19629), a process that SIGKILL does not end. A step has a
deadline; after the last one it is told what a person can do. Steps go from what harms nobody to removal by force, which
costs the writable layer of one container of ours, and never a volume.
"""

from dataclasses import dataclass, replace

from podsupd.core.backoff import retry_delay
from podsupd.model.life import Stuck
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, MonitorState, ObservedContainer
from podsupd.model.plan import (
    Action,
    ContainerMemory,
    Facts,
    Note,
    Now,
    RemoveContainer,
    SignalContainer,
    WakeMonitor,
)

EXITING = "ExitNotRecorded"
STOPPING = "StopNotFinished"
REMOVING = "RemovalNotFinished"
UNKNOWN = "StateUnknown"
KILLED = "StillThereAfterKill"

WAKE = "wake its conmon"
KILL = "kill it"
REMOVE = "remove it"
FORCE = "remove it by force"

BETWEEN_S = 5.0
"""A step has so long to show before the next one, whatever that one's deadline."""
REPORT_S = 10.0
"""The last step has so long before it is told that it did not help."""
AGAIN_S = 1.0
AGAIN_FIRST_S = 60.0
AGAIN_CAP_S = 600.0
STOP_MARGIN_S = 10.0
"""Beyond a container's own stop timeout somebody else's stop is not under way any more."""

WORDS = {
    EXITING: "its process is gone and Podman calls it running",
    STOPPING: "somebody's stop of it was not finished, nor will it be",
    REMOVING: "somebody's removal of it was not finished",
    UNKNOWN: "Podman does not know its state",
    KILLED: "its process is still there after SIGKILL",
}
_MONITOR = {
    MonitorState.GONE: " (its conmon is gone, so nobody records the exit)",
    MonitorState.STOPPED: " (its conmon is stopped by a signal)",
}


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now: name is one of the constants above; action None where the caller has to find one."""

    name: str
    memory: ContainerMemory
    action: Action | None
    note: Note


def kind_of(container: ObservedContainer, memory: ContainerMemory, facts: Facts) -> str:
    """Name the state that a container has to leave by itself, empty when it is in none."""
    state = container.state
    ours = memory.stop is not None and memory.stop.incarnation == container.incarnation
    if state.alive and container.id in facts.gone:
        return EXITING
    if state is ContainerState.REMOVING:
        return REMOVING
    if state is ContainerState.UNKNOWN:
        return UNKNOWN
    if ours and memory.stop and memory.stop.stage.startswith("Killed") and state.alive:
        return KILLED
    return STOPPING if state is ContainerState.STOPPING and not ours else ""


def observe(container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now) -> ContainerMemory:
    """Note since when a container is in a state that it has to leave, and forget it when it has left."""
    kind, known = kind_of(container, memory, facts), memory.stuck
    if not kind:
        return replace(memory, stuck=None) if known else memory
    if known and (known.kind, known.incarnation, known.boot_id) == (kind, container.incarnation, now.boot_id):
        return memory
    return replace(memory, stuck=Stuck(kind, container.incarnation, now.boottime, now.boot_id))


def _ladder(container: ObservedContainer, kind: str, monitor: MonitorState | None) -> tuple[tuple[float, str], ...]:
    """Return the steps, each with the seconds after which it is taken at the earliest."""
    match kind:
        case "ExitNotRecorded" if monitor is MonitorState.GONE:
            return ((5.0, FORCE),)
        case "ExitNotRecorded" if monitor is MonitorState.STOPPED:
            return ((3.0, WAKE), (60.0, FORCE))
        case "ExitNotRecorded":
            # It may be that the machine is overloaded: conmon is there to write the exit down.
            return ((10.0, KILL), (60.0, FORCE))
        case "StopNotFinished":
            until = container.stop_timeout_s + STOP_MARGIN_S
            return ((until, KILL), (until + 30.0, FORCE))
        case "RemovalNotFinished":
            return ((10.0, REMOVE), (20.0, FORCE))
        case "StateUnknown":
            return ((10.0, FORCE),)
        case _:
            return ((30.0, FORCE),)


def _next(container: ObservedContainer, mine: Stuck, facts: Facts) -> tuple[float, str]:
    """Return the next step and the boottime at which it is due; the last one is repeated for ever."""
    steps = _ladder(container, mine.kind, facts.monitors.get(container.id))
    for after, name in steps:
        if name not in mine.done:
            return max(mine.since + after, mine.at + BETWEEN_S), name
    again = retry_delay(len(mine.done) - len(steps) + 1, AGAIN_FIRST_S, AGAIN_CAP_S, container.id)
    return mine.at + again, steps[-1][1]


def look_at(container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now) -> float | None:
    """Return the boottime of the next step, None when nothing is stuck.

    One that is due may have to wait for another container: then it is looked at once a second, not all the time.
    """
    mine = memory.stuck
    if mine is None:
        return None
    at = _next(container, mine, facts)[0]
    if _exhausted(container, mine, facts) and not mine.told:
        at = min(at, mine.at + REPORT_S)
    return at if at > now.boottime else now.boottime + AGAIN_S


def _exhausted(container: ObservedContainer, mine: Stuck, facts: Facts) -> bool:
    return all(name in mine.done for _, name in _ladder(container, mine.kind, facts.monitors.get(container.id)))


def due(container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now) -> Step | None:
    """Return the step whose time has come; its memory says that it was taken."""
    mine = memory.stuck
    if mine is None:
        return None
    at, name = _next(container, mine, facts)
    if now.boottime < at:
        return None
    taken = replace(memory, stuck=replace(mine, done=(*mine.done, name), at=now.boottime))
    note = Note("Warning", "Stuck", f"{words(container, mine, facts)}: tries to {name}", _name(container) or None)
    return Step(name, taken, _action(container, name, WORDS[mine.kind]), note)


def report(
    container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now
) -> tuple[ContainerMemory, Note | None]:
    """Tell, once, that all steps were taken and none helped."""
    mine = memory.stuck
    if mine is None or mine.told or not _exhausted(container, mine, facts) or now.boottime < mine.at + REPORT_S:
        return memory, None
    text = f"{words(container, mine, facts)}: nothing helped; {way_out(container, mine)}"
    return replace(memory, stuck=replace(mine, told=True)), Note("Warning", "Stuck", text, _name(container) or None)


def words(container: ObservedContainer, mine: Stuck, facts: Facts | None = None) -> str:
    """Say what is stuck, and why as far as that is known."""
    name = _name(container)
    what = f"container {name}" if name else "the pod's infra container"
    monitor = facts.monitors.get(container.id) if facts and mine.kind == EXITING else None
    more = _MONITOR.get(monitor, "") if monitor else ""
    if mine.kind == UNKNOWN and container.error:
        more = f" ({container.error})"
    return f"{what}: {WORDS[mine.kind]}{more}"


def way_out(container: ObservedContainer, mine: Stuck) -> str:
    """Say what a person can do where podsupd is at its end."""
    if mine.kind == KILLED:
        return (
            f"process {container.pid} waits in the kernel, for a disk or a file server mostly (`cat"
            f" /proc/{container.pid}/stack`): what it waits for has to come back, or the host be rebooted"
        )
    if not _name(container):
        return f"`podman pod rm -f -t 0` removes its pod; podsupd makes it anew (container {container.name})"
    return f"`podman rm -f -t 0 {container.name}` removes it, or says what is in the way; podsupd makes it anew"


def _name(container: ObservedContainer) -> str:
    return container.label(CONTAINER_LABEL)


def _action(container: ObservedContainer, step: str, why: str) -> Action | None:
    name = _name(container)
    match step:
        case "wake its conmon":
            return WakeMonitor(container.id, name, container.monitor_pid, why)
        case "kill it":
            return SignalContainer(container.id, name, "SIGKILL", why, container.pid, again=True)
        case _ if not name:
            # Podman removes an infra container with its pod only.
            return None
        case _:
            return RemoveContainer(container.id, name, why, force=step == FORCE)
