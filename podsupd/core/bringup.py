"""Bringing all of a pod up: init containers and sidecars in their order, then the containers together."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from podsupd.core import containers, health, initializing, naming, teardown
from podsupd.core.accounting import INFRA
from podsupd.core.containers import Decision
from podsupd.core.draft import Draft
from podsupd.core.stopping import Rule
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import CreateContainer, Facts, StartContainer
from podsupd.model.spec import ContainerSpec, PodSpec

INITIALIZING = "PodInitializing"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a pod's containers are brought up in.

    seen: the pod, or what it will be when its creation has succeeded. may_start: its namespaces are held, or will be.
    stopped: containers that an operator stopped.
    """

    want: PodSpec
    seen: ObservedPod
    stopped: frozenset[str]
    may_start: bool = True


def bring_up_all(draft: Draft, stage: Stage, facts: Facts) -> list[str]:
    """Decide on every wanted container; return what is waited for, by container."""
    want, seen = stage.want, stage.seen
    found = naming.by_name(seen, facts.owner)
    over = initializing.finished(want, found, draft.memories) and not stage.stopped
    failed = initializing.failed(want, found, draft.memories)
    if (over or failed) and want.init_containers:
        why = f"init container {failed} failed" if failed else "the pod's containers have ended"
        teardown.take_down_sidecars(draft, want, seen, why, facts)
        if failed:
            return [why]
        return _containers(draft, stage, facts, held="")
    held = _initialize(draft, stage, facts)
    if not held and want.init_containers and seen.infra is not None and naming.infra_running(seen):
        draft.memory = replace(draft.memory, initialized=seen.infra.incarnation)
    return _containers(draft, stage, facts, held=held)


def _initialize(draft: Draft, stage: Stage, facts: Facts) -> str:
    """Bring the init containers up as far as their order allows; return which one is waited for, or nothing."""
    want, seen = stage.want, stage.seen
    found = naming.by_name(seen, facts.owner)
    done = initializing.initialized(want, seen, draft.memory)
    sidecars = {c.name for c in want.sidecars}
    held = ""
    for spec in want.init_containers:
        container = found.get(spec.name)
        if spec.name in sidecars:
            _bring_up(draft, stage, spec, facts, held="" if done else held)
            ready = container is not None and health.started(spec, container, draft.of(spec.name), facts.verdicts)
            if not (done or ready or spec.name in stage.stopped):
                held = held or spec.name
            continue
        if done or initializing.complete(container, draft.of(spec.name), seen):
            if container is not None and container.id in facts.leftovers:
                _bring_up(draft, stage, spec, facts, held=spec.name)
            continue
        if container is not None and container.state.dead and container.exit_code == 0:
            # It ended well in a sandbox that is gone, or because the pod was stopped: its work is done anew.
            draft.memories[spec.name] = replace(draft.of(spec.name), start_requested=True)
        _bring_up(draft, stage, spec, facts, held=held)
        held = held or spec.name
    return held


def _containers(draft: Draft, stage: Stage, facts: Facts, *, held: str) -> list[str]:
    """Bring the containers up; held: the init container that they have to wait for."""
    whys = [f"{name}: {what[1]}" for name, what in draft.waiting.items() if name]
    for spec in stage.want.containers:
        decision = _bring_up(draft, stage, spec, facts, held=held)
        if decision.waiting:
            whys.append(f"{spec.name}: {decision.waiting[1]}")
    return whys


def _bring_up(draft: Draft, stage: Stage, spec: ContainerSpec, facts: Facts, *, held: str) -> Decision:
    """Bring one container up, or down when an operator stopped it; held: the init container that it waits for."""
    want, seen = stage.want, stage.seen
    container = naming.by_name(seen, facts.owner).get(spec.name)
    if spec.name in stage.stopped:
        if container is None:
            return Decision(draft.of(spec.name))
        rule = Rule(want.grace_s, want.stop, naming.shares_pids(seen))
        stopped = containers.take_down(
            container, draft.of(spec.name), "stopped by an operator", rule, facts, draft.now, remove=False
        )
        draft.take(spec.name, stopped)
        return Decision(draft.of(spec.name))
    before = replace(draft.memory, containers=draft.memories)
    decision = containers.bring_up(want, spec, seen, container, before, facts, draft.now)
    if held and any(isinstance(a, CreateContainer | StartContainer) for a in decision.actions):
        message = f"waits for init container {held}"
        decision = Decision(draft.of(spec.name), waiting=(INITIALIZING, message))
    elif held and not decision.waiting:
        decision = replace(decision, waiting=(INITIALIZING, f"waits for init container {held}"))
    elif not stage.may_start:
        # Nothing is started in a pod whose namespaces are not held yet; stops and creations go on.
        kept = tuple(a for a in decision.actions if not isinstance(a, StartContainer))
        waiting = decision.waiting if kept == decision.actions else draft.waiting.get(INFRA, decision.waiting)
        decision = replace(decision, actions=kept, waiting=waiting)
    return draft.take(spec.name, decision)


def prepare(draft: Draft, want: PodSpec, facts: Facts) -> bool:
    """Have the images pulled that a pod needs to be made; say whether they are all here."""
    return not fetch(draft, want, want.every, facts)


def fetch(draft: Draft, want: PodSpec, specs: Iterable[ContainerSpec], facts: Facts) -> list[str]:
    """Have the images of these containers pulled as their policies want it; return whose are not here."""
    missing: list[str] = []
    for spec in specs:
        gate = containers.images_gate(want, spec, draft.of(spec.name), facts, draft.now)
        if gate:
            draft.take(spec.name, gate)
            missing.append(spec.name)
    return missing
