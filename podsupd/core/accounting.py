"""Keeping the books: what happened since the last plan, told from the observation alone.

A container's new life, its death and whether we brought it about, failures in a row and the back-off that follows, and
marks: lives that have to end and begin again (a failed probe, an operator's restart, a dead sandbox).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from podsupd.core import hooks, ladder, naming, signal_words, stuck
from podsupd.core.backoff import crash_delay
from podsupd.core.ladder import Climbed, Restart
from podsupd.model.life import RestartMark
from podsupd.model.observed import CONTAINER_LABEL, Incarnation, ObservedContainer, ObservedPod
from podsupd.model.plan import (
    CallWebhook,
    ContainerMemory,
    Death,
    Facts,
    Intent,
    Note,
    Now,
    PodMemory,
)
from podsupd.model.sending import Purpose
from podsupd.model.signals import DeathCause
from podsupd.model.spec import PodSpec, ProbeType

INFRA = ""  # the infra container's key among a pod's container memories
KILLED_CODE = 137
TOGETHER_S = 1.0  # the kernel ends a PID namespace within milliseconds; Podman writes the times a little apart
OUT_OF_MEMORY = "OOMKilled"
KERNEL = "kernel"  # who ends for want of memory, whether or not the trace was there to tell
SANDBOX_REASON = "SandboxDied"
SANDBOX_DIED = "ended with the pod's infra container"


@dataclass(frozen=True, slots=True)
class Books:
    """The memory after accounting, what is worth telling, webhooks to call, and when to look again at the latest."""

    memory: PodMemory
    notes: tuple[Note, ...] = ()
    calls: tuple[CallWebhook, ...] = ()
    wake_at: float | None = None


def signal_name(exit_code: int) -> str | None:
    """Name the signal that an exit code above 128 stands for, None when it stands for none."""
    number = exit_code - 128  # the shell's offset
    return signal_words.name(number) if 0 < number <= signal_words.LAST else None


def _describe_exit(container: ObservedContainer, *, out_of_memory: bool) -> tuple[str, str]:
    """Give Kubernetes' reason and a sentence for a death."""
    if out_of_memory:
        return OUT_OF_MEMORY, "killed by the kernel: out of memory"
    name = signal_name(container.exit_code)
    if container.exit_code == 0:
        return "Completed", "exited with code 0"
    if name:
        return "Error", f"ended by {name} (exit code {container.exit_code})"
    return "Error", f"exited with code {container.exit_code}" + (f": {container.error}" if container.error else "")


def _with_sandbox(container: ObservedContainer, infra: ObservedContainer | None) -> bool:
    """Say whether a container was killed by the kernel because the first process of its PID namespace ended."""
    if infra is None or not infra.state.dead or container.exit_code != KILLED_CODE or container.oom_killed:
        return False
    return abs(container.finished_epoch - infra.finished_epoch) <= TOGETHER_S


def _forgive(memory: ContainerMemory) -> ContainerMemory:
    """Take back a failure that turned out to be the sandbox's."""
    death = memory.last_death
    if death is None or death.ours:
        return memory
    death = replace(death, reason=SANDBOX_REASON, message=SANDBOX_DIED, ours=True)
    return replace(memory, failures=max(0, memory.failures - 1), not_before=0.0, recreate=False, last_death=death)


def _bury(
    pod: str,
    name: str,
    container: ObservedContainer,
    memory: ContainerMemory,
    want: PodSpec | None,
    now: Now,
    cause: DeathCause | None,
) -> tuple[ContainerMemory, Note | None]:
    """Record a death once. cause: who ended it, where the kernel told."""
    # Podman's word depends on an event that it can miss (conmon on cgroup v1), the kernel's trace on being there.
    out_of_memory = container.oom_killed or (cause is not None and cause.out_of_memory)
    reason, message = _describe_exit(container, out_of_memory=out_of_memory)
    if cause and not out_of_memory:
        message += f" {cause.text}" if cause.text.startswith("after ") else f": {cause.text}"
    mark = memory.mark if memory.mark and memory.mark.incarnation == container.incarnation else None
    stop = memory.stop if memory.stop and memory.stop.incarnation == container.incarnation else None
    by_us = stop is not None
    # An operator who tries a signal out (a drill) says nothing of the container's health; who sends one does as a kill.
    drilled = cause is not None and cause.purpose == Purpose.DRILL and not by_us
    wanted = drilled or (cause is not None and cause.purpose == Purpose.SIGNAL)
    counts = mark.counts if mark and by_us else not by_us and not drilled
    if by_us and stop is not None:
        message = f"{message}; podsupd: {stop.why}"
    death = Death(
        container.incarnation,
        container.exit_code,
        signal_name(container.exit_code),
        reason,
        message,
        container.started_epoch,
        container.finished_epoch,
        ours=(by_us or drilled) and not counts,
        cause=cause.text if cause else "",
        sender_origin=cause.origin if cause else KERNEL if out_of_memory else "",
        cause_signal=cause.signal if cause else "",
    )
    failures, not_before, recreate = memory.failures, 0.0, memory.recreate
    if counts and want is not None:
        ran = now.boottime - memory.running_since
        known = memory.current == container.incarnation and memory.boot_id == now.boot_id
        if known and ran >= want.backoff.reset_s:
            failures = 0
        failures += 1
        not_before = now.boottime + crash_delay(failures, want.backoff, f"{pod}/{name}")
        every = want.backoff.recreate_after_failures
        recreate = recreate or (every > 0 and failures % every == 0)
    buried = replace(
        memory,
        failures=failures,
        not_before=not_before,
        boot_id=now.boot_id,
        last_death=death,
        current=container.incarnation,
        stop=None,
        mark=None,
        recreate=recreate,
    )
    return buried, _obituary(pod, name, death, by_us=by_us, wanted=wanted)


def _obituary(pod: str, name: str, death: Death, *, by_us: bool, wanted: bool) -> Note | None:
    """Tell of a death. by_us: a stop brought it about; wanted: an operator's signal did."""
    if name == INFRA:
        return None if by_us else Note("Warning", SANDBOX_REASON, f"the pod's infra container {death.message}")
    if by_us:
        return Note("Normal", "Stopped", f"container {name} {death.message}", name)
    hint = ""
    by_hand = death.sender_origin in {"", "host", "podman", "unknown"}
    if death.signal in {"SIGKILL", "SIGTERM"} and by_hand and death.reason != OUT_OF_MEMORY:
        hint = f"; if that was you, `podsupd stop {pod}/{name}` makes it last"
    kind = "Normal" if death.exit_code == 0 or wanted else "Warning"
    return Note(kind, "Died", f"container {name} {death.message}{hint}", name)


def _greet(container: ObservedContainer, memory: ContainerMemory, now: Now) -> ContainerMemory:
    """Record a new life once; a life that went on over a restart of podsupd is not new."""
    again = memory.current is not None or memory.last_death is not None
    return replace(
        memory,
        restarts=memory.restarts + (1 if again else 0),
        current=container.incarnation,
        running_since=now.boottime,
        boot_id=now.boot_id,
        not_before=0.0,
        stop=memory.stop if memory.stop and memory.stop.incarnation == container.incarnation else None,
        mark=memory.mark if memory.mark and memory.mark.incarnation == container.incarnation else None,
        start_requested=False,
        remade=False,
    )


def _miss(pod: str, name: str, memory: ContainerMemory, life: Incarnation) -> tuple[ContainerMemory, Note]:
    """Record that a container is gone that we did not remove."""
    message = f"removed by hand; `podsupd stop {pod}/{name}` is what lasts"
    death = memory.last_death
    if death is None or death.incarnation != life:
        death = Death(life, 0, None, "Removed", message)
    gone = replace(memory, current=None, last_death=death, stop=None, mark=None)
    return gone, Note("Warning", "Removed", f"container {name} was {message}", name)


def _settle_container(
    pod: str,
    name: str,
    container: ObservedContainer | None,
    memory: ContainerMemory,
    want: PodSpec | None,
    facts: Facts,
    now: Now,
) -> tuple[ContainerMemory, Note | None]:
    if memory.boot_id and memory.boot_id != now.boot_id:
        # Times of another boot mean nothing in this one; a reboot starts everything without waiting.
        memory = replace(
            memory, not_before=0.0, running_since=now.boottime, boot_id=now.boot_id, stop=None, pull_asked_at=None
        )
    if container is None:
        if memory.current is not None:
            return _miss(pod, name, memory, memory.current)
        return replace(memory, stop=None, mark=None), None
    if container.state.dead and container.started_epoch > 0:
        left = container.id in facts.leftovers
        if memory.last_death is None or memory.last_death.incarnation != container.incarnation:
            if left and memory.stop and memory.stop.incarnation == container.incarnation:
                # It is not called stopped before those that it left behind are gone.
                return memory, None
            if memory.current != container.incarnation:
                memory = _greet(container, memory, now)
            buried, note = _bury(pod, name, container, memory, want, now, facts.causes.get(container.id))
            words = facts.words.get(container.id, "")
            if words and buried.last_death:
                buried = replace(buried, last_death=replace(buried.last_death, words=words))
            return buried, note
        return memory if left else replace(memory, stop=None), None
    if container.state.alive and memory.current != container.incarnation:
        return _greet(container, memory, now), None
    return memory, None


def _mark(
    memory: ContainerMemory,
    incarnation: Incarnation,
    reason: str,
    message: str,
    *,
    counts: bool,
    grace_s: float | None = None,
) -> ContainerMemory:
    """Mark a life to be ended and begun again; the first mark of a life stays."""
    if memory.mark is not None and memory.mark.incarnation == incarnation:
        return memory
    return replace(memory, mark=RestartMark(incarnation, reason, message, counts, grace_s))


def _failed_probes(want: PodSpec, seen: ObservedPod, facts: Facts) -> list[Restart]:
    """List every container that a failed liveness or startup probe wants restarted."""
    found = naming.by_name(seen, facts.owner)
    failed: list[Restart] = []
    for probe in want.all_probes:
        verdict, container = facts.verdicts.get(probe.name), found.get(probe.container or "")
        if probe.type not in {ProbeType.LIVENESS, ProbeType.STARTUP} or verdict is None or container is None:
            continue
        if verdict.failed and verdict.incarnation == container.incarnation:
            message = f"{probe.type} probe failed: {verdict.message}"
            failed.append(Restart(container.label(CONTAINER_LABEL), message, probe.grace_s))
    return failed


def _mark_by_probes(
    asked: Iterable[Restart], memories: dict[str, ContainerMemory], found: Mapping[str, ObservedContainer]
) -> list[Note]:
    notes: list[Note] = []
    for restart in asked:
        name, container = restart.container, found[restart.container]
        if container.state.alive and name in memories:
            memory = _mark(
                memories[name],
                container.incarnation,
                "Unhealthy",
                restart.message,
                counts=True,
                grace_s=restart.grace_s,
            )
            if memory is not memories[name]:
                memories[name] = memory
                text = f"container {name} will be restarted: {restart.message}"
                notes.append(Note("Warning", "Unhealthy", text, name))
    return notes


def _mark_by_operator(
    want: PodSpec,
    intent: Intent,
    memory: PodMemory,
    memories: dict[str, ContainerMemory],
    found: Mapping[str, ObservedContainer],
) -> list[Note]:
    notes: list[Note] = []
    whole_pod = intent.restart_generation > memory.restart_generation
    steps = {c.name for c in want.steps}
    for name, old in [pair for pair in memories.items() if pair[0] != INFRA]:
        asked = intent.container_restarts.get(name, 0)
        if not whole_pod and asked <= old.restart_generation:
            continue
        container = found.get(name)
        # What an init container has done is done: a restart makes no new sandbox.
        done = name in steps and (container is None or (container.state.dead and container.exit_code == 0))
        new = replace(old, restart_generation=asked, failures=0, not_before=0.0, start_requested=not done)
        if container is not None and container.state.alive:
            new = _mark(new, container.incarnation, "Restarted", "restart asked by an operator", counts=False)
            notes.append(Note("Normal", "Restarting", f"container {name} is restarted: asked by an operator", name))
        memories[name] = new
    return notes


def _mark_by_sandbox(
    seen: ObservedPod, memories: dict[str, ContainerMemory], found: Mapping[str, ObservedContainer]
) -> list[Note]:
    """A container older than its infra container is in namespaces that nobody else can reach any more."""
    if not naming.infra_running(seen) or seen.infra is None:
        return []
    notes: list[Note] = []
    for name, container in found.items():
        # Podman's times are the wall clock's, which may have been set back between two starts: a life first seen
        # in this sandbox is in it.
        in_it = memories[name].sandbox == seen.infra.incarnation and memories[name].current == container.incarnation
        if container.state.alive and 0 < container.started_epoch < seen.infra.started_epoch and not in_it:
            new = _mark(
                memories[name],
                container.incarnation,
                "SandboxChanged",
                "the pod's infra container is new",
                counts=False,
            )
            if new is not memories[name]:
                memories[name] = new
                notes.append(
                    Note("Warning", "SandboxChanged", f"container {name} is restarted: it is in a dead sandbox", name)
                )
    return notes


def _hooked(
    want: PodSpec, facts: Facts, now: Now, memories: dict[str, ContainerMemory], found: Mapping[str, ObservedContainer]
) -> list[Note]:
    notes: list[Note] = []
    for spec in want.every:
        container = found.get(spec.name)
        if container is not None and container.state.alive:
            memories[spec.name], note = hooks.settle(spec, container, memories[spec.name], facts, now)
            notes += [note] if note else []
    return notes


def _last_word(want: PodSpec, memories: Mapping[str, ContainerMemory]) -> dict[str, ContainerMemory]:
    """Keep what the manifest says of a container's end, for when there is no manifest any more."""
    places = {c.name: place for place, c in enumerate(want.sidecars)}
    return {
        c.name: replace(
            memories[c.name],
            grace_s=want.grace_s,
            stop_spec=want.stop,
            stop_signal=c.stop_signal,
            pre_stop=c.pre_stop,
            sidecar=places.get(c.name),
        )
        for c in want.every
    }


def _stuck(
    container: ObservedContainer | None, memory: ContainerMemory, facts: Facts, now: Now
) -> tuple[ContainerMemory, list[Note]]:
    """Note since when a container is in a state that it does not leave, and tell when nothing helps."""
    if container is None:
        return replace(memory, stuck=None), []
    memory, note = stuck.report(container, stuck.observe(container, memory, facts, now), facts, now)
    return memory, [note] if note else []


def _in_service(want: PodSpec, seen: ObservedPod | None, found: Mapping[str, ObservedContainer]) -> bool:
    """Say whether a pod of which nothing is remembered runs, so that its init containers have done their work."""
    running = [found[c.name] for c in want.containers if c.name in found and found[c.name].state.alive]
    return bool(want.init_containers and running) and seen is not None and naming.infra_running(seen)


def account(
    want: PodSpec | None, intent: Intent, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now
) -> Books:
    """Bring the memory up to what is seen. Pure and idempotent: accounting twice changes nothing more."""
    pod = want.name if want else (seen.name if seen else "")
    found = naming.by_name(seen, facts.owner) if seen else {}
    names = list(dict.fromkeys([*(c.name for c in want.every), *found])) if want else list(found)
    memories: dict[str, ContainerMemory] = {}
    notes: list[Note] = []
    infra = seen.infra if seen else None
    if infra is not None:
        books = memory.containers.get(INFRA, ContainerMemory())
        memories[INFRA], note = _settle_container(pod, INFRA, infra, books, want, facts, now)
        notes += [note] if note else []
        memories[INFRA], told = _stuck(infra, memories[INFRA], facts, now)
        notes += told
    for name in names:
        old = memory.containers.get(name, ContainerMemory(restart_generation=intent.container_restarts.get(name, 0)))
        container = found.get(name)
        memories[name], note = _settle_container(pod, name, container, old, want, facts, now)
        if container is not None and container.state.dead and _with_sandbox(container, infra):
            memories[name] = _forgive(memories[name])
            note = note and Note("Warning", "Died", f"container {name} {SANDBOX_DIED}", name)
        if note:
            notes.append(note)
        memories[name], told = _stuck(container, memories[name], facts, now)
        notes += told
        if infra is not None and memories[name].current not in {old.current, None}:
            # Of a life that began before anything was remembered only the clock can tell.
            unknown = name not in memory.containers
            older = container is not None and unknown and container.started_epoch < infra.started_epoch
            memories[name] = replace(memories[name], sandbox=None if older else infra.incarnation)
            spec = want.container(name) if want else None
            if container is not None and name in memory.containers:
                # A life that was there before anything was remembered has had its hook.
                memories[name] = hooks.greet(spec, container, memories[name], now)
    if want is not None:
        memories |= _last_word(want, memories)
    climbed = Climbed(memory.ladders)
    if want is not None and seen is not None:
        notes += _mark_by_sandbox(seen, memories, found)
        climbed = ladder.climb_all(want, seen, facts, memory.ladders, now)
        notes += _mark_by_probes([*_failed_probes(want, seen, facts), *climbed.restarts], memories, found)
        notes += climbed.notes
        notes += _hooked(want, facts, now, memories, found)
    if want is not None:
        notes += _mark_by_operator(want, intent, memory, memories, found)
    there = {**found, INFRA: infra} if infra is not None else found
    looks = [stuck.look_at(container, memories[name], facts, now) for name, container in there.items()]
    adopted = want is not None and memory.initialized is None and _in_service(want, seen, found)
    return Books(
        replace(
            memory,
            containers=memories,
            initialized=infra.incarnation if adopted and infra else memory.initialized,
            ending_since=memory.ending_since if memory.boot_id == now.boot_id else None,
            restart_generation=intent.restart_generation if want else memory.restart_generation,
            ladders=climbed.ladders,
        ),
        tuple(notes),
        climbed.calls,
        min((at for at in (climbed.wake_at, *looks) if at is not None), default=None),
    )
