"""Hooks of a container's life, Kubernetes' postStart and preStop: operations with a deadline that block nobody.

A hook is begun at least once: what a daemon that was killed had begun is begun again by the next one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from podsupd.model.life import HookFact, HookKind, HookRun, RestartMark
from podsupd.model.observed import CONTAINER_LABEL, Incarnation, ObservedContainer
from podsupd.model.plan import ContainerMemory, Facts, Note, Now, RunHook, Stop
from podsupd.model.spec import ContainerSpec, Hook, Sleep

# Kubernetes lets a postStart hook take for ever, and the pod with it.
POST_START_S = 600.0
PRE_STOP_STAGE = "PreStop"


def key(container: str, kind: HookKind) -> str:
    """Name a container's hook in the facts."""
    return f"{container}/{kind}"


def _fact(facts: Mapping[str, HookFact], container: str, kind: HookKind, life: Incarnation) -> HookFact | None:
    fact = facts.get(key(container, kind))
    return fact if fact and fact.incarnation == life else None


def pending(memory: ContainerMemory, life: Incarnation) -> bool:
    """Say whether the postStart hook of this life has not ended yet: until then it is not started, nor probed."""
    run = memory.post_start
    return run is not None and run.incarnation == life and not run.done


def greet(
    spec: ContainerSpec | None, container: ObservedContainer, memory: ContainerMemory, now: Now
) -> ContainerMemory:
    """Note for a life that has just begun that its postStart hook is due."""
    if spec is None or spec.post_start is None or not container.state.alive:
        return memory
    return replace(memory, post_start=HookRun(container.incarnation, now.boottime, now.boot_id))


def settle(
    spec: ContainerSpec, container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now
) -> tuple[ContainerMemory, Note | None]:
    """Take in how the postStart hook ended; a failed one has its container killed, as in Kubernetes."""
    run = memory.post_start
    if run is None or not pending(memory, container.incarnation):
        return memory, None
    if spec.post_start is None:
        return replace(memory, post_start=None), None
    done = replace(memory, post_start=replace(run, done=True))
    if isinstance(spec.post_start, Sleep):
        return (done, None) if now.boottime >= run.began_at + spec.post_start.seconds else (memory, None)
    fact = _fact(facts.hooks, spec.name, HookKind.POST_START, container.incarnation)
    if fact is None or not fact.ended:
        return memory, None
    if not fact.failed:
        return done, _unrunnable(fact, spec.name, HookKind.POST_START)
    message = f"postStart hook failed: {fact.failed}"
    note = Note("Warning", "FailedPostStartHook", f"container {spec.name} will be restarted: {message}", spec.name)
    if memory.mark is None or memory.mark.incarnation != container.incarnation:
        mark = RestartMark(container.incarnation, "PostStartHookError", message, counts=True)
        done = replace(done, mark=mark)
    return done, note


def _unrunnable(fact: HookFact, name: str, kind: HookKind) -> Note | None:
    if not fact.warning:
        return None
    return Note("Warning", f"Failed{kind}Hook", f"container {name} goes on without its hook: {fact.warning}", name)


def post_start(
    spec: ContainerSpec, container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now
) -> tuple[RunHook | None, float] | None:
    """Return what the postStart hook needs now and when to look again; None when nothing is waited for."""
    run = memory.post_start
    if run is None or spec.post_start is None or not pending(memory, container.incarnation):
        return None
    if isinstance(spec.post_start, Sleep):
        return None, run.began_at + spec.post_start.seconds
    if _fact(facts.hooks, spec.name, HookKind.POST_START, container.incarnation):
        return None, now.boottime + POST_START_S
    life = container.incarnation
    why = "it was started"
    action = RunHook(container.id, spec.name, HookKind.POST_START, spec.post_start, life, POST_START_S, why)
    return action, now.boottime + POST_START_S


@dataclass(frozen=True, slots=True)
class PreStop:
    """A stop before its first signal: over when the hook has ended; else what to do and when to look again."""

    stop: Stop
    over: bool
    action: RunHook | None = None
    wake_at: float = 0.0
    note: Note | None = None


def pre_stop(
    hook: Hook, container: ObservedContainer, stop: Stop | None, why: str, grace_s: float, facts: Facts, now: Now
) -> PreStop | None:
    """Advance the preStop hook of a stop; None when it is past it.

    The hook counts within the grace period: at its end the signal goes out all the same.
    """
    if stop is None or stop.incarnation != container.incarnation:
        stop = Stop(container.incarnation, now.boottime, now.boot_id, why, PRE_STOP_STAGE, now.boottime)
    if stop.stage != PRE_STOP_STAGE:
        return None
    name = container.label(CONTAINER_LABEL)
    left = stop.started_at + grace_s - now.boottime
    fact = _fact(facts.hooks, name, HookKind.PRE_STOP, container.incarnation)
    over, note = left <= 0, None
    if isinstance(hook, Sleep):
        left = min(left, stop.started_at + hook.seconds - now.boottime)
        over = left <= 0
    elif fact is not None and fact.ended:
        over, note = True, _unrunnable(fact, name, HookKind.PRE_STOP)
        if fact.failed:
            note = Note("Warning", "FailedPreStopHook", f"container {name}: preStop hook failed: {fact.failed}", name)
    elif over:
        note = Note("Warning", "FailedPreStopHook", f"container {name}: preStop hook not done in {grace_s:g} s", name)
    if over:
        return PreStop(replace(stop, stage="", signals_at=now.boottime, sent=False), over=True, note=note)
    action = None
    if not isinstance(hook, Sleep) and fact is None:
        action = RunHook(container.id, name, HookKind.PRE_STOP, hook, container.incarnation, left, why)
    return PreStop(stop, over=False, action=action, wake_at=now.boottime + left)
