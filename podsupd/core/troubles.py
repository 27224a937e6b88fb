"""What Podman refused, and when it is tried again: never given up, never hammered."""

from collections.abc import Mapping
from dataclasses import replace

from podsupd.core import stopping
from podsupd.core.backoff import retry_delay
from podsupd.model.life import HookKind, Trouble
from podsupd.model.plan import (
    Action,
    CallWebhook,
    CreateContainer,
    CreatePod,
    Now,
    PodMemory,
    PullImage,
    RemoveContainer,
    RemovePod,
    RunHook,
    SignalContainer,
    SignalLeftovers,
    UpdateContainer,
)

FIRST_S = 1.0
CAP_S = 60.0
STALE_FIRST_S = 0.01
STALE_CAP_S = 2.0


def subject(action: Action) -> str:
    """Name what an action is about: a container by its manifest name, a probe's webhook, or empty for the pod."""
    match action:
        case CreatePod() | RemovePod() | PullImage():
            return ""
        case CreateContainer(container=spec):
            return spec.name
        case CallWebhook(probe=probe):
            return f"webhook {probe}"
        case _:
            return action.container


def refused(memory: PodMemory, action: Action, message: str, now: Now, *, stale: bool, reason: str = "") -> PodMemory:
    """Remember a refusal and its reason; stale: our picture was (a clean-up in progress, an object gone)."""
    key = subject(action)
    before = memory.troubles.get(key)
    kind = type(action).__name__
    again = before is not None and (before.boot_id, before.action) == (now.boot_id, kind)
    failures = before.failures + 1 if before and again else 1
    first, cap = (STALE_FIRST_S, STALE_CAP_S) if stale else (FIRST_S, CAP_S)
    retry_at = now.boottime + retry_delay(failures, first, cap, message)
    trouble = Trouble(message, failures, retry_at, now.boot_id, reason, kind)
    return replace(memory, troubles={**memory.troubles, key: trouble})


def _tells_to_end(action: Action) -> bool:
    """Say whether a container that got this is on its way out: a preStop hook may end it as a signal does."""
    return isinstance(action, SignalContainer | SignalLeftovers) or (
        isinstance(action, RunHook) and action.kind is HookKind.PRE_STOP
    )


def succeeded(memory: PodMemory, action: Action) -> PodMemory:
    """Note that an action was carried out: its subject's trouble is over, a stop's signal is on its way.

    What we removed is not missed by the next plan.
    """
    key = subject(action)
    if _tells_to_end(action) and key in memory.containers:
        memory = replace(memory, containers={**memory.containers, key: stopping.sent(memory.containers[key])})
    if isinstance(action, UpdateContainer) and key in memory.containers:
        mine = memory.containers[key]
        if mine.current:
            done = replace(mine, limited=(mine.current, action.mark))
            memory = replace(memory, containers={**memory.containers, key: done})
    if isinstance(action, RemoveContainer) and key in memory.containers:
        memory = replace(memory, containers={**memory.containers, key: replace(memory.containers[key], current=None)})
    if isinstance(action, RemovePod):
        memory = replace(memory, containers={n: replace(m, current=None) for n, m in memory.containers.items()})
    if isinstance(action, CallWebhook) and action.probe in memory.ladders:
        called = replace(memory.ladders[action.probe], sent=True)
        memory = replace(memory, ladders={**memory.ladders, action.probe: called})
    if key not in memory.troubles:
        return memory
    return replace(memory, troubles={k: t for k, t in memory.troubles.items() if k != key})


def active(troubles: Mapping[str, Trouble], key: str, now: Now) -> Trouble | None:
    """Return the trouble that forbids an action on the subject right now."""
    trouble = troubles.get(key)
    if trouble is None or trouble.boot_id != now.boot_id or trouble.retry_at <= now.boottime:
        return None
    return trouble
