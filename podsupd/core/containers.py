"""What to do next with one container, wanted or not: small decisions, each from what is seen now."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from podsupd.core import hooks, references, stopping, stuck, whole
from podsupd.core.accounting import SANDBOX_REASON
from podsupd.core.backoff import crash_delay
from podsupd.core.digest import changed_fields, container_digest
from podsupd.core.limits import update_due
from podsupd.core.naming import by_name, shares_pids
from podsupd.core.stopping import Rule
from podsupd.model.life import Trouble
from podsupd.model.observed import (
    CONTAINER_LABEL,
    DIGEST_LABEL,
    POD_IP_LABEL,
    ContainerState,
    ObservedContainer,
    ObservedPod,
)
from podsupd.model.plan import (
    Action,
    ContainerMemory,
    CreateContainer,
    Facts,
    ImageFact,
    ImageState,
    Note,
    Now,
    PodMemory,
    PullImage,
    RemoveContainer,
    RemoveShelter,
    SignalContainer,
    SignalLeftovers,
    StartContainer,
    UpdateContainer,
    WakeMonitor,
)
from podsupd.model.spec import ContainerSpec, PodSpec, PullPolicy, RestartPolicy
from podsupd.model.volumes import ImageVolume

LOOK_AGAIN_S = 1.0
IMAGE_LOOK_AGAIN_S = 10.0
GONE_FIRST_S = 0.008
DURABLE_LOOK_AGAIN_S = 5.0
REFUSALS = 5  # of one action before another way is taken: half a minute


@dataclass(frozen=True, slots=True)
class Decision:
    """Actions on one container, its memory after them, what is waited for (reason, message), when to look again."""

    memory: ContainerMemory
    actions: tuple[Action, ...] = ()
    waiting: tuple[str, str] | None = None
    wake_at: float | None = None
    notes: tuple[Note, ...] = ()


def until_recorded(container: ObservedContainer, memory: ContainerMemory, facts: Facts, now: Now) -> Decision | None:
    """Return the wait for Podman, which has not recorded the exit of a process that is gone (a pidfd said so)."""
    noticed = facts.gone.get(container.id)
    if noticed is None or not container.state.alive:
        return None
    # conmon writes the exit file within some milliseconds; the wait grows in case that it never does.
    pause = min(max(GONE_FIRST_S, (now.boottime - noticed) / 2), LOOK_AGAIN_S)
    return Decision(memory, waiting=("Exiting", "its process is gone, Podman records it"), wake_at=now.boottime + pause)


def unstuck(container: ObservedContainer, memory: ContainerMemory, why: str, facts: Facts, now: Now) -> Decision | None:
    """Return the next step with a container that Podman holds in a state which it does not leave by itself."""
    step = stuck.due(container, memory, facts, now)
    if step is None or step.action is None:
        return None
    if not facts.durable:
        return _unsaved(memory, why, now)
    wake_at = stuck.look_at(container, step.memory, facts, now)
    return Decision(step.memory, (step.action,), ("Stuck", step.note.message), wake_at, (step.note,))


def held_back(decision: Decision, before: ContainerMemory, trouble: Trouble | None) -> Decision:
    """Return the decision as it is, or, while a refusal of Podman's forbids its action, the wait for the next try."""
    if trouble is None or not decision.actions or isinstance(decision.actions[0], PullImage):
        return decision
    match decision.actions[0]:
        case CreateContainer():
            reason = "CreateContainerError"
        case StartContainer():
            reason = "RunContainerError"
        case SignalContainer() | SignalLeftovers() | RemoveShelter() | WakeMonitor():
            reason = "StopContainerError"
        case UpdateContainer():
            reason = "UpdateContainerError"
        case _:
            reason = "RemoveContainerError"
    return Decision(before, waiting=(trouble.reason or reason, trouble.message), wake_at=trouble.retry_at)


def _unsaved(memory: ContainerMemory, why: str, now: Now) -> Decision:
    return Decision(
        memory,
        waiting=("StateUnavailable", f"{why}: waits until state.db can be written"),
        wake_at=now.boottime + DURABLE_LOOK_AGAIN_S,
    )


def _prepared(
    container: ObservedContainer, memory: ContainerMemory, why: str, rule: Rule, facts: Facts, now: Now
) -> tuple[ContainerMemory, Decision | None, tuple[Note, ...]]:
    """Have the preStop hook run before the first signal; the decision is None when that may go out."""
    if memory.pre_stop is None or rule.grace_s <= 0:
        return memory, None, ()
    step = hooks.pre_stop(memory.pre_stop, container, memory.stop, why, rule.grace_s, facts, now)
    if step is None:
        return memory, None, ()
    memory, notes = replace(memory, stop=step.stop), (step.note,) if step.note else ()
    if step.over:
        return memory, None, notes
    waiting = ("Stopping", f"{why}; its preStop hook runs")
    return memory, Decision(memory, (step.action,) if step.action else (), waiting, step.wake_at, notes), notes


def _signalled(
    container: ObservedContainer, memory: ContainerMemory, why: str, rule: Rule, now: Now, *, first: bool
) -> Decision:
    told = replace(container, stop_signal=memory.stop_signal or container.stop_signal)
    step = stopping.advance(told, memory.stop, why, rule, now, first=first)
    notes: tuple[Note, ...] = ()
    if step.action:
        name = container.label(CONTAINER_LABEL)
        what = f"container {name}" if name else "the infra container"
        what = what if first else f"what {what} left behind"
        notes = (Note("Normal", "Killing", f"stopping {what} ({step.action.signal}): {why}", name or None),)
    actions = (step.action,) if step.action else ()
    return Decision(replace(memory, stop=step.stop), actions, ("Stopping", why), step.wake_at, notes)


def _finish(
    container: ObservedContainer, memory: ContainerMemory, why: str, rule: Rule, facts: Facts, now: Now
) -> Decision | None:
    """Stop whoever the first process left behind; None when there is none and no cgroup of ours is left either."""
    count = facts.leftovers.get(container.id)
    if count is None or not stopping.ended(container, facts):
        return None
    if not facts.durable:
        return _unsaved(memory, why, now)
    if memory.stop and memory.stop.incarnation == container.incarnation:
        why = memory.stop.why
    elif not container.state.dead:
        return None  # it crashed: Podman's word on that comes before a stop of ours
    if count:
        return _signalled(container, memory, why, rule, now, first=False)
    return Decision(memory, (RemoveShelter(container.id, container.label(CONTAINER_LABEL), why),), ("Stopping", why))


def take_down(
    container: ObservedContainer,
    memory: ContainerMemory,
    why: str,
    rule: Rule,
    facts: Facts,
    now: Now,
    *,
    remove: bool,
) -> Decision:
    """Stop a container step by step and, when it is dead, remove it if that is wanted."""
    if not facts.durable:
        return _unsaved(memory, why, now)
    leftovers = _finish(container, memory, why, rule, facts, now)
    if leftovers:
        return leftovers
    held = unstuck(container, memory, why, facts, now) or until_recorded(container, memory, facts, now)
    if held:
        return held
    name = container.label(CONTAINER_LABEL)
    if container.state is ContainerState.PAUSED:
        return Decision(
            memory,
            waiting=("Paused", f"{why}: paused by hand, `podman unpause {container.name}` lets it go on"),
            wake_at=now.boottime + LOOK_AGAIN_S * 10,
        )
    if stopping.can_be_signalled(container):
        memory, hook, notes = _prepared(container, memory, why, rule, facts, now)
        if hook:
            return hook
        decision = _signalled(container, memory, why, rule, now, first=True)
        return replace(decision, notes=notes + decision.notes)
    if container.state in {ContainerState.REMOVING, ContainerState.UNKNOWN}:
        return Decision(memory, waiting=("Removing", why), wake_at=now.boottime + LOOK_AGAIN_S)
    if not remove:
        return Decision(memory)
    return Decision(memory, (RemoveContainer(container.id, name, why),), ("Removing", why))


def images_needed(want: PodSpec, seen: ObservedPod | None, owner: str, images: Mapping[str, str]) -> frozenset[str]:
    """Name the images whose state a plan depends on: of containers that are missing or changed, or are made anew.

    images: what the pod's containers were made of.
    """
    found = by_name(seen, owner) if seen else {}
    anew = seen is None or bool(whole.replaced(want, seen, images))
    return frozenset(
        image
        for spec in want.every
        for image in (spec.reference, *mounted_images(want, spec))
        if anew
        or spec.name not in found
        or differs(want, spec, found[spec.name])
        or (seen is not None and _readdressed(seen, found[spec.name]))
    )


def differs(pod: PodSpec, spec: ContainerSpec, container: ObservedContainer) -> tuple[str, ...]:
    """Name what a container has to be made anew for."""
    changed = changed_fields(container.label(DIGEST_LABEL), container_digest(pod, spec))
    another = spec.image_id and container.image_id and spec.image_id != container.image_id
    return (*changed, "image") if another and "image" not in changed else changed


def at_hand(spec: ContainerSpec, fact: ImageFact) -> bool:
    """Say whether an image is here; after a failed pull one that was imported counts, unless the policy is Always."""
    imported = fact.state is ImageState.FAILED and bool(fact.image_id) and spec.pull_policy is not PullPolicy.ALWAYS
    return fact.state is ImageState.PRESENT or imported


def _fact(spec: ContainerSpec, facts: Facts) -> ImageFact:
    """Return what is known of a container's image; an id may be known by its name only, when that was just found."""
    unknown = ImageFact(ImageState.UNKNOWN)
    named = facts.images.get(spec.image, unknown)
    same = bool(spec.image_id) and named.image_id == spec.image_id
    return facts.images.get(spec.reference, named if same else unknown)


def image_gate(spec: ContainerSpec, memory: ContainerMemory, facts: Facts, now: Now) -> Decision | None:
    """Return None when the image is at hand as the pull policy wants it, else what to do until it is."""
    fact = _fact(spec, facts)
    policy = PullPolicy.NEVER if spec.image_id else spec.pull_policy  # an id is not pulled
    if at_hand(spec, fact) and policy is not PullPolicy.ALWAYS:
        return None
    if fact.state is ImageState.UNKNOWN and fact.message:
        return Decision(memory, waiting=("ImageInspectError", fact.message), wake_at=fact.retry_at)
    if policy is PullPolicy.NEVER:
        message = f"image {spec.image} is not here and imagePullPolicy is Never"
        return Decision(memory, waiting=("ErrImageNeverPull", message), wake_at=now.boottime + IMAGE_LOOK_AGAIN_S)
    asked = memory.pull_asked_at
    if policy is PullPolicy.ALWAYS:
        if asked is not None and fact.pulled_at >= asked and fact.state is ImageState.PRESENT:
            return None
        if asked is None:
            memory = replace(memory, pull_asked_at=now.boottime, boot_id=now.boot_id)
    if fact.state is ImageState.FAILED and fact.retry_at > now.boottime:
        # It may be imported by hand long before the next pull.
        wake_at = min(fact.retry_at, now.boottime + IMAGE_LOOK_AGAIN_S)
        return Decision(memory, waiting=("ImagePullBackOff", fact.message), wake_at=wake_at)
    pulling = ("ContainerCreating", f"pulling image {spec.image}")
    if fact.state is ImageState.PULLING:
        return Decision(memory, waiting=pulling, wake_at=now.boottime + IMAGE_LOOK_AGAIN_S)
    pull = PullImage(spec.reference, f"container {spec.name} needs it")
    return Decision(memory, (pull,), pulling, now.boottime + IMAGE_LOOK_AGAIN_S)


def mounted_images(pod: PodSpec, spec: ContainerSpec) -> tuple[str, ...]:
    """Name the images that a container mounts as volumes."""
    return tuple(v.source.image for v in pod.mounted(spec) if isinstance(v.source, ImageVolume))


def images_gate(pod: PodSpec, spec: ContainerSpec, memory: ContainerMemory, facts: Facts, now: Now) -> Decision | None:
    """Return None when all images are at hand, those of volumes too; such a one is pulled when it is not here."""
    gate = image_gate(spec, memory, facts, now)
    for image in mounted_images(pod, spec):
        needs = replace(spec, image=image, image_id="", pull_policy=PullPolicy.IF_NOT_PRESENT)
        gate = gate or image_gate(needs, memory, facts, now)
    return gate


def _create(
    pod: PodSpec, spec: ContainerSpec, seen: ObservedPod, memory: ContainerMemory, facts: Facts, now: Now
) -> Decision:
    gate = images_gate(pod, spec, memory, facts, now)
    if gate:
        return gate
    needs = references.missing(pod, spec)
    if needs:
        return Decision(memory, waiting=("CreateContainerConfigError", needs))
    create = CreateContainer(seen.id, pod, spec, container_digest(pod, spec), "it is missing")
    # By its name, which the creation has just taken: a look between the two would tell nothing.
    start = StartContainer(spec.runtime_name, spec.name, "it is created")
    if not memory.recreate:
        # What failed was made of something else, or removed by hand: what is made now has not failed yet.
        memory = replace(memory, failures=0, not_before=0.0)
    memory = replace(memory, pull_asked_at=None, recreate=False)
    return Decision(memory, (create, start), ("ContainerCreating", "being created"))


def _start(pod: PodSpec, spec: ContainerSpec, container: ObservedContainer, of_pod: PodMemory, now: Now) -> Decision:
    memory, trouble = of_pod.containers[spec.name], of_pod.troubles.get(spec.name)
    name = container.label(CONTAINER_LABEL)
    if not container.state.dead and not memory.remade and _refused(trouble, StartContainer, now):
        # As when whoever made it died between two of Podman's steps: it can be neither started nor waited for.
        why = f"made anew: {REFUSALS} starts of it failed"
        note = Note("Warning", "Recreating", f"container {name} is {why}", name)
        remade = replace(memory, remade=True)
        return Decision(remade, (RemoveContainer(container.id, name, why),), ("Removing", why), notes=(note,))
    if memory.not_before > now.boottime and memory.boot_id == now.boot_id:
        # The whole of it, not what is left: this text is read at any time until then.
        delay = crash_delay(memory.failures, pod.backoff, f"{pod.name}/{name}")
        death = f"; the last: {memory.last_death.message}" if memory.last_death else ""
        message = f"back-off {delay:.0f} s after {memory.failures} failures in a row{death}"
        return Decision(memory, waiting=("CrashLoopBackOff", message), wake_at=memory.not_before)
    if memory.recreate and container.state.dead:
        why = f"made anew after {memory.failures} failures in a row"
        note = Note("Warning", "Recreating", f"container {name} is {why}", name)
        return Decision(memory, (RemoveContainer(container.id, name, why),), ("Removing", why), notes=(note,))
    why = "it is created" if not container.state.dead else f"restartPolicy {pod.policy_of(spec)}"
    return Decision(memory, (StartContainer(container.id, name, why),), ("Starting", why))


def _refused(trouble: Trouble | None, action: type[Action], now: Now) -> bool:
    """Say whether Podman has refused this kind of action often enough for another way."""
    if trouble is None or trouble.boot_id != now.boot_id:
        return False
    return trouble.action == action.__name__ and trouble.failures >= REFUSALS


def in_earnest(decision: Decision, trouble: Trouble | None, now: Now) -> Decision:
    """Have a removal that Podman refused again and again done by force."""
    first = decision.actions[0] if decision.actions else None
    if not isinstance(first, RemoveContainer) or first.force or not _refused(trouble, RemoveContainer, now):
        return decision
    return replace(decision, actions=(replace(first, force=True), *decision.actions[1:]))


def _grace(pod: PodSpec, container: ObservedContainer, memory: ContainerMemory) -> float:
    """Return the grace period of a stop: of the probe that asked for it, if that has one, else the pod's."""
    mark = memory.mark if memory.mark and memory.mark.incarnation == container.incarnation else None
    return pod.grace_s if mark is None or mark.grace_s is None else mark.grace_s


def restarts(pod: PodSpec, spec: ContainerSpec, container: ObservedContainer, memory: ContainerMemory) -> bool:
    """Say whether a dead container is to be started again."""
    policy, death = pod.policy_of(spec), memory.last_death
    by_us = death is not None and death.ours and death.incarnation == container.incarnation
    # What was to run once is not run twice because its sandbox died.
    once = policy is RestartPolicy.NEVER and death is not None and death.reason == SANDBOX_REASON
    if memory.start_requested or (by_us and not once):
        return True
    if pod.job and memory.failures > pod.job.backoff_limit:
        return False
    if any(rule.holds(container.exit_code) for rule in spec.restart_rules):
        return True
    match policy:
        case RestartPolicy.ALWAYS:
            return True
        case RestartPolicy.ON_FAILURE:
            return container.exit_code != 0
        case RestartPolicy.NEVER:
            return False


def _readdressed(seen: ObservedPod, container: ObservedContainer) -> tuple[str, ...]:
    """Say that a container was told an address which the pod has no more (its infra container was started again)."""
    told = container.label(POD_IP_LABEL)
    return ("status.podIP",) if told and seen.ip and told != seen.ip else ()


def bring_up(
    pod: PodSpec,
    spec: ContainerSpec,
    seen: ObservedPod,
    container: ObservedContainer | None,
    memory: PodMemory,
    facts: Facts,
    now: Now,
) -> Decision:
    """Bring a wanted container to running as its spec says."""
    mine = memory.containers[spec.name]
    if container is None:
        return _create(pod, spec, seen, mine, facts, now)
    rule = Rule(_grace(pod, container, mine), pod.stop, shares_pids(seen))
    leftovers = _finish(container, mine, "it left processes behind", rule, facts, now)
    if leftovers:
        return leftovers
    held = unstuck(container, mine, "it is stuck", facts, now) or until_recorded(container, mine, facts, now)
    if held:
        return held
    changed = differs(pod, spec, container) or _readdressed(seen, container)
    # What could not be made anew runs on: a ConfigMap that went takes nothing down.
    if changed and not references.missing(pod, spec):
        # Prepared before anything stops: offline, the old container goes on until the new image is here.
        why = f"changed: {', '.join(changed)}"
        gate = images_gate(pod, spec, mine, facts, now)
        if gate:
            reason, message = gate.waiting or ("ContainerCreating", "")
            return replace(gate, waiting=(reason, f"{why}; {message}"))
        return take_down(container, mine, why, rule, facts, now, remove=True)
    if container.state is ContainerState.PAUSED:
        return Decision(mine)
    if container.state in {ContainerState.REMOVING, ContainerState.UNKNOWN}:
        return Decision(mine, waiting=("Removing", "by Podman"), wake_at=now.boottime + LOOK_AGAIN_S)
    if container.state.alive:
        return _go_on(pod, spec, container, mine, rule, facts, now)
    if container.state.dead and not restarts(pod, spec, container, mine):
        return Decision(mine)
    return _start(pod, spec, container, memory, now)


def _go_on(
    pod: PodSpec,
    spec: ContainerSpec,
    container: ObservedContainer,
    mine: ContainerMemory,
    rule: Rule,
    facts: Facts,
    now: Now,
) -> Decision:
    """Leave a container alone that runs as wanted, unless this life of it has to end."""
    if mine.mark and mine.mark.incarnation == container.incarnation:
        return take_down(container, mine, mine.mark.message, rule, facts, now, remove=False)
    if mine.stop and mine.stop.incarnation == container.incarnation:
        if mine.stop.sent:
            # It was told to end: half shut down it is of no use, so that is finished and it starts again.
            return take_down(container, mine, mine.stop.why, rule, facts, now, remove=False)
        mine = replace(mine, stop=None)
    hook = hooks.post_start(spec, container, mine, facts, now)
    if hook:
        action, wake_at = hook
        waiting = ("PostStartHook", "its postStart hook runs")
        return Decision(mine, (action,) if action else (), waiting, wake_at)
    update = update_due(pod, spec, container, mine, facts)
    if update and container.state is ContainerState.RUNNING:
        return Decision(mine, (update,), ("Updating", update.why))
    if container.state is ContainerState.STOPPING:
        return Decision(mine, waiting=("Stopping", "by somebody's podman stop"), wake_at=now.boottime + LOOK_AGAIN_S)
    return Decision(mine)
