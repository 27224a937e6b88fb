"""Stopping all of a pod: its containers together, then its sidecars in reverse order, all within one grace period."""

from dataclasses import replace

from podsupd.core import containers, naming
from podsupd.core.draft import Draft
from podsupd.core.stopping import LEAST_S, Rule
from podsupd.model.observed import CONTAINER_LABEL, ObservedContainer, ObservedPod
from podsupd.model.plan import Facts
from podsupd.model.spec import PodSpec


def take_down_all(draft: Draft, want: PodSpec | None, seen: ObservedPod, why: str, facts: Facts) -> bool:
    """Advance the stop of every container of ours; say whether one of them is still there.

    want: for its rules; None when the manifest is gone, then the memory has its last word.
    """
    if draft.memory.ending_since is None:
        draft.memory = replace(draft.memory, ending_since=draft.now.boottime, boot_id=draft.now.boot_id)
    ours = naming.ours(seen, facts.owner)
    busy = False
    for container in ours:
        if draft.of(container.label(CONTAINER_LABEL)).sidecar is None:
            busy = _take_down(draft, want, seen, container, why, facts) or busy
    return busy or take_down_sidecars(draft, want, seen, why, facts)


def take_down_sidecars(draft: Draft, want: PodSpec | None, seen: ObservedPod, why: str, facts: Facts) -> bool:
    """Advance the stop of the last sidecar that is there; say whether one is."""
    sidecars: list[tuple[int, ObservedContainer]] = []
    for container in naming.ours(seen, facts.owner):
        place = draft.of(container.label(CONTAINER_LABEL)).sidecar
        if place is not None:
            sidecars.append((place, container))
    for _, container in sorted(sidecars, key=lambda pair: -pair[0]):
        if _take_down(draft, want, seen, container, why, facts):
            return True
    return False


def _take_down(
    draft: Draft, want: PodSpec | None, seen: ObservedPod, container: ObservedContainer, why: str, facts: Facts
) -> bool:
    name = container.label(CONTAINER_LABEL)
    memory = draft.of(name)
    known = container.stop_timeout_s if memory.grace_s is None else memory.grace_s
    grace_s, spec = (want.grace_s, want.stop) if want else (known, memory.stop_spec)
    since = draft.memory.ending_since
    if memory.sidecar is not None and since is not None:
        began = memory.stop.started_at if memory.stop else draft.now.boottime
        grace_s = max(grace_s - (began - since), min(grace_s, LEAST_S))
    rule = Rule(grace_s, spec, naming.shares_pids(seen))
    decision = containers.take_down(container, memory, why, rule, facts, draft.now, remove=False)
    draft.take(name, decision)
    return decision.waiting is not None
