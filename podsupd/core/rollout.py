"""Updates with a way back: a changed spec has to prove itself within a deadline, or the last good one comes back.

While the new images and the pods that it needs are not here, the old spec stays in force. From then on the clock runs:
Ready without a break for minHealthySeconds within progressDeadlineSeconds makes the new spec the good one. If not, the
good one is in force again, with the very images that it ran, and the new one is not tried again until the file changes,
or what its images' names mean (core.freshness).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from podsupd.core import containers, dependencies, freshness, health, initializing, naming, references, specs, whole
from podsupd.core.accounting import INFRA
from podsupd.core.digest import whole_digest
from podsupd.model.life import Failed, Good, Rollout
from podsupd.model.observed import ContainerState, ObservedContainer, ObservedPod
from podsupd.model.plan import ContainerMemory, Facts, ImageState, Intent, Note, Now, PodMemory
from podsupd.model.spec import ContainerSpec, PodSpec, ProbeType, UpdateSpec

SUCCEEDED = "UpdateSucceeded"
ROLLED_BACK = "RolledBack"
FAILED = "UpdateFailed"
OUTCOMES = {SUCCEEDED: "succeeded", ROLLED_BACK: "rolled_back", FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The spec in force. preparing: containers of wanted whose images are fetched while it still is."""

    spec: PodSpec
    memory: PodMemory
    notes: tuple[Note, ...] = ()
    preparing: tuple[ContainerSpec, ...] = ()
    wanted: PodSpec | None = None
    waiting: tuple[str, str] | None = None
    wake_at: float | None = None
    why: str = ""


def images_needed(want: PodSpec, seen: ObservedPod | None, memory: PodMemory, owner: str) -> tuple[str, ...]:
    """Name the images whose state a plan depends on: of containers to be made as the file or the good spec says."""
    infra, made_of = memory.containers.get(INFRA), whole.made_of(seen, owner, memory)
    # The pod as a whole may have to be made anew, with nothing of it changed.
    anew = infra is not None and infra.stuck is not None
    names = containers.images_needed(want, None if anew else seen, owner, made_of)
    if want.update:
        names |= containers.images_needed(freshness.aimed(want, seen, Facts(owner), memory), seen, owner, made_of)
        looked_up = freshness.under_check(want, memory)
        # A newer image of an init container makes the pod anew with all of it, in the turn that finds it.
        names |= looked_up
        if any(c.image in looked_up for c in want.steps):
            names |= containers.images_needed(want, None, owner, made_of)
    good = good_spec(memory.good, Facts(owner)) if memory.good and want.update else None
    if good:
        by_name = replace(good, containers=tuple(replace(c, image_id="") for c in good.containers))
        for spec in (good, by_name):
            names |= containers.images_needed(spec, seen, owner, made_of)
    return tuple(sorted(names))


@dataclass(frozen=True, slots=True)
class _Case:
    """What an update is judged by. want: bound to the images that its names mean now; named: as the file says it.

    before: the last good spec, None when there is none.
    """

    want: PodSpec
    named: PodSpec
    update: UpdateSpec
    intent: Intent
    seen: ObservedPod | None
    facts: Facts
    now: Now
    before: PodSpec | None


def relies_on(want: PodSpec | None, memory: PodMemory) -> tuple[str, ...]:
    """Name the pods that the file's spec is after, and those that the good one is."""
    good = specs.load(memory.good.spec) if want and want.update and memory.good else None
    return tuple(dict.fromkeys([*(want.after if want else ()), *(good.after if good else ())]))


def choose(
    want: PodSpec, intent: Intent, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now
) -> Choice:
    """Choose between what the file says and what was good before."""
    if want.update is None:
        return Choice(want, replace(memory, good=None, rollout=None, failed=None))
    named, update = want, want.update
    want = freshness.aimed(named, seen, facts, memory)
    mark = specs.fingerprint(want)
    good = memory.good
    case = _Case(want, named, update, intent, seen, facts, now, good_spec(good, facts) if good else None)
    failed = memory.failed if memory.failed and memory.failed.fingerprint == mark else None
    if failed and case.before:
        why = f"the last good version: the file's was {failed.message}"
        return Choice(case.before, replace(memory, rollout=None), why=why)
    memory = replace(memory, failed=failed)
    if good and good.digest == whole_digest(want) and want == named:
        # Nothing is made anew for it, so there is nothing to prove.
        if good.fingerprint != mark:
            good = replace(good, fingerprint=mark, spec=specs.dump(want))
        return Choice(want, replace(memory, good=good, rollout=None))
    if intent.stopped:
        return Choice(want, replace(memory, rollout=None))
    rollout = memory.rollout if memory.rollout and memory.rollout.fingerprint == mark else Rollout(mark)
    if case.before and rollout.began_at is None:
        preparing = _changed(case, memory)
        waiting = _unprepared(want, preparing, facts, memory, now)
        if waiting:
            kept = replace(memory, rollout=rollout)
            return Choice(case.before, kept, preparing=preparing, wanted=want, waiting=waiting, why=waiting[1])
    notes: tuple[Note, ...] = ()
    began = rollout.began_at
    if began is None or rollout.boot_id != now.boot_id:
        began = now.boottime
        rollout = Rollout(mark, began, now.boot_id)
        bound = [f"{c.name} to {c.image} ({c.image_id[:12]})" for c in want.every if c.image_id]
        text = f"pod {want.name} is updated" + (f": {', '.join(bound)}" if bound else "")
        notes = (Note("Normal", "Updating", text),) if case.before else ()
    choice = _prove(case, rollout, began, memory)
    return replace(choice, notes=notes + choice.notes)


def _prove(case: _Case, rollout: Rollout, began_at: float, memory: PodMemory) -> Choice:
    """Take the new spec until it has proved itself or its time is over."""
    want, update, seen, now = case.want, case.update, case.seen, case.now.boottime
    life, why = _healthy(case, memory)
    if life != rollout.life:
        rollout = replace(rollout, healthy_since=now if life else None, life=life)
    healthy_at = None if rollout.healthy_since is None else rollout.healthy_since + update.min_healthy_s
    if healthy_at is not None and now >= healthy_at and seen is not None:
        images = whole.made_of(seen, case.facts.owner, memory)
        good = Good(rollout.fingerprint, whole_digest(want), specs.dump(case.named), images)
        told = (Note("Normal", SUCCEEDED, f"pod {want.name} runs as its manifest says now"),) if case.before else ()
        return Choice(want, replace(memory, good=good, rollout=None, failed=None), told)
    deadline = max(began_at, case.facts.watching_since) + update.progress_deadline_s
    paused = seen is not None and any(c.state is ContainerState.PAUSED for c in seen.containers)
    notes: tuple[Note, ...] = ()
    if case.before and now >= deadline and not paused and not rollout.late:
        message = (
            f"not Ready for {update.min_healthy_s:g} s within {update.progress_deadline_s:g} s: {why or 'too late'}"
        )
        if update.rollback:
            text = f"pod {want.name} goes back to its last good version, until {freshness.next_try(want)}: {message}"
            failed = Failed(rollout.fingerprint, message)
            told = (Note("Warning", ROLLED_BACK, text),)
            return Choice(case.before, replace(memory, rollout=None, failed=failed), told, why=text)
        notes = (Note("Warning", FAILED, f"the update of pod {want.name} failed: {message}"),)
        rollout = replace(rollout, late=True)
    wake_at = min((t for t in (healthy_at, deadline) if t is not None and t > now), default=None)
    proving = f"the update is to be Ready for {update.min_healthy_s:g} s" + (f": {why}" if why else "")
    kept = replace(memory, rollout=rollout)
    return Choice(want, kept, notes, wake_at=wake_at, why=proving if case.before else "")


def good_spec(good: Good, facts: Facts) -> PodSpec | None:
    """Return the last good spec with the images that it ran, or None when this release cannot read it.

    An image that somebody removed meanwhile is asked for by its name.
    """
    spec = specs.load(good.spec)
    if spec is None:
        return None

    def pinned(container: ContainerSpec) -> ContainerSpec:
        image = good.images.get(container.name, "")
        fact = facts.images.get(image)
        if not image or (fact is not None and fact.state is ImageState.ABSENT):
            return container
        return replace(container, image_id=image)

    return replace(
        spec,
        containers=tuple(pinned(c) for c in spec.containers),
        init_containers=tuple(pinned(c) for c in spec.init_containers),
    )


def _changed(case: _Case, memory: PodMemory) -> tuple[ContainerSpec, ...]:
    """Return the containers that the update makes anew."""
    owner = case.facts.owner
    needed = containers.images_needed(case.want, case.seen, owner, whole.made_of(case.seen, owner, memory))
    return tuple(c for c in case.want.every if c.reference in needed)


def _unprepared(
    want: PodSpec, preparing: tuple[ContainerSpec, ...], facts: Facts, memory: PodMemory, now: Now
) -> tuple[str, str] | None:
    """Say what an update waits for before it stops anything."""
    for spec in preparing:
        mine = memory.containers.get(spec.name, ContainerMemory())
        gate = containers.images_gate(want, spec, mine, facts, now)
        if gate and gate.waiting:
            return gate.waiting[0], f"the update waits for an image before anything stops: {gate.waiting[1]}"
        if missing := references.missing(want, spec):
            return "CreateContainerConfigError", f"the update waits before anything stops: {missing}"
    return dependencies.waits(want, facts)


def _healthy(case: _Case, memory: PodMemory) -> tuple[str, str]:
    """Return the key of the lives that are all healthy under this spec, or else why they are not."""
    want, seen, facts = case.want, case.seen, case.facts
    found = naming.by_name(seen, facts.owner) if seen else {}
    if seen is None or whole.replaced(want, seen, whole.made_of(seen, facts.owner, memory)) or not _made(want, found):
        return "", "not all of it could be made"
    if initializing.finished(want, found, memory.containers):
        bad = [c.name for c in want.containers if found[c.name].exit_code != 0]
        return ("", f"failed: {', '.join(bad)}") if bad else (naming.pod_incarnation(seen).started_at, "")
    asked = [c for c in want.lasting if c.name not in case.intent.stopped_containers]
    unready = [c.name for c in asked if not _ready(c, found[c.name], memory.containers, facts)]
    if unready:
        return "", f"containers with unready status: [{' '.join(unready)}]"
    policies = {p.name for p in want.probes if p.type is ProbeType.POLICY}
    failing = [v for v in facts.verdicts.values() if v.probe in policies and v.passing is False]
    if failing:
        return "", f"probe {failing[0].probe} failed: {failing[0].message}"
    return naming.pod_incarnation(seen).started_at, ""


def _made(want: PodSpec, found: Mapping[str, ObservedContainer]) -> bool:
    """Say whether all containers that go on running were made as this spec says."""
    return all(c.name in found and not containers.differs(want, c, found[c.name]) for c in want.lasting)


def _ready(
    spec: ContainerSpec, container: ObservedContainer, memories: Mapping[str, ContainerMemory], facts: Facts
) -> bool:
    mine = memories.get(spec.name, ContainerMemory())
    ending = mine.stop is not None and mine.stop.incarnation == container.incarnation
    gone = container.id in facts.gone
    current = {n: v for n, v in facts.verdicts.items() if v.incarnation == container.incarnation}
    return not ending and not gone and health.ready(spec, container, mine, current)
