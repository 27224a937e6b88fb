"""Which images a pod's names stand for now: looked up at an interval, and whenever a container is to be made.

An image that moved is an update like any other: what is found here, core.rollout has prove itself before the old one
is forgotten. Nothing here stops or makes anything.
"""

import math
from dataclasses import dataclass, replace

from podsupd.core import containers, initializing, naming, whole
from podsupd.core.backoff import retry_delay, spread
from podsupd.model.life import ImageCheck
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import Action, ContainerMemory, Facts, ImageState, Intent, Note, Now, PodMemory, PullImage
from podsupd.model.spec import ContainerSpec, PodSpec

AFTER_BOOT_S = 300.0
FAILED_AGAIN_S = 600.0
LOOK_AGAIN_S = 10.0
FAILED = "ImageCheckFailed"
SUCCEEDED = "ImageCheckSucceeded"


@dataclass(frozen=True, slots=True)
class Look:
    """The memory with what is known of the images by now, pulls to ask for, what to tell, when to look again."""

    memory: PodMemory
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_at: float | None = None


def under_check(want: PodSpec, memory: PodMemory) -> frozenset[str]:
    """Name the images whose pulls a check waits for."""
    busy = memory.check is not None and memory.check.asked_at is not None
    return frozenset(c.image for c in want.auto_updated) if busy else frozenset()


def aimed(want: PodSpec, seen: ObservedPod | None, facts: Facts, memory: PodMemory) -> PodSpec:
    """Bind those containers to an image id whose names mean another image than the one that is known to be good.

    Without a good version the one that runs counts. An image that somebody removed is asked for by its name.
    """
    had = memory.good.images if memory.good else whole.made_of(seen, facts.owner, memory)

    def bound(container: ContainerSpec) -> ContainerSpec:
        name, found = memory.images.get(container.name, ("", ""))
        if name != container.image or found == had.get(container.name, found):
            return container
        fact = facts.images.get(found)
        if fact is not None and fact.state is ImageState.ABSENT:
            return container
        return replace(container, image_id=found)

    return replace(
        want,
        containers=tuple(bound(c) for c in want.containers),
        init_containers=tuple(bound(c) for c in want.init_containers),
    )


def next_try(want: PodSpec) -> str:
    """Say what a version that failed has to wait for."""
    return "the file or an image changes" if want.auto_updated else "the file changes"


def observe(want: PodSpec, intent: Intent, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now) -> Look:
    """Note what images the names mean, and look them up when that is due. Each container has its own entry."""
    if want.update is None:
        return Look(replace(memory, images={}, made_of={}, check=None))
    memory = replace(memory, made_of=whole.made_of(seen, facts.owner, memory))
    memory = _found_at_hand(want, seen, facts, memory, now)
    wanted = want.auto_updated
    if want.auto_update_s is None or not wanted:
        return Look(replace(memory, check=None))
    check = _scheduled(want.name, want.auto_update_s, memory.check, now)
    memory = replace(memory, check=check)
    if check.asked_at is None:
        if intent.stopped or not _settled(want, seen, facts, memory):
            return Look(memory)
        if now.boottime < check.due_at:
            return Look(memory, wake_at=check.due_at)
        check = replace(check, asked_at=now.boottime)
    return _ask(want, wanted, check, facts, memory, now)


def _found_at_hand(want: PodSpec, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now) -> PodMemory:
    """Note the images that containers are about to be made of, once they are here as the pull policy wants them."""
    found = {c.name: memory.images[c.name] for c in want.every if c.name in memory.images}
    over = seen is not None and initializing.initialized(want, seen, memory)
    for spec in want.lasting if over else want.every:
        fact = facts.images.get(spec.image)
        mine = memory.containers.get(spec.name, ContainerMemory())
        if fact and fact.image_id and containers.image_gate(spec, mine, facts, now) is None:
            found[spec.name] = (spec.image, fact.image_id)
    return replace(memory, images=found)


def _scheduled(pod: str, interval_s: float, check: ImageCheck | None, now: Now) -> ImageCheck:
    """Return when the next look is due: anywhere in the first interval, so that pods do not ask together."""
    if check is None:
        return ImageCheck(now.boottime + interval_s * spread(pod), now.boot_id)
    if check.boot_id != now.boot_id:
        # How long the host was off is not known, so the look is not put off for long.
        due_at = now.boottime + min(interval_s, AFTER_BOOT_S) * spread(pod)
        return replace(check, due_at=due_at, boot_id=now.boot_id, asked_at=None)
    return replace(check, due_at=min(check.due_at, now.boottime + interval_s))


def _settled(want: PodSpec, seen: ObservedPod | None, facts: Facts, memory: PodMemory) -> bool:
    """Say whether a newer image may be looked for: of a pod that goes on, and not while a version is being tried."""
    trying = memory.good is not None and memory.rollout is not None and not memory.rollout.late
    if seen is None or trying:
        return False
    return not initializing.finished(want, naming.by_name(seen, facts.owner), memory.containers)


def _ask(
    want: PodSpec, wanted: tuple[ContainerSpec, ...], check: ImageCheck, facts: Facts, memory: PodMemory, now: Now
) -> Look:
    """Go on with a check: ask for what was not asked for, and take what was found once all pulls have ended."""
    asked = now.boottime if check.asked_at is None else check.asked_at
    pulls, failed, busy = [], "", False
    found = dict(memory.images)
    for image in dict.fromkeys(c.image for c in wanted):
        fact = facts.images.get(image)
        if fact and fact.state is ImageState.PRESENT and fact.pulled_at >= asked:
            found |= {c.name: (image, fact.image_id) for c in wanted if c.image == image}
        elif fact and fact.state is ImageState.FAILED and fact.failed_at >= asked:
            failed = failed or fact.message
        else:
            busy = True
            if fact is None or fact.state is not ImageState.PULLING:
                pulls.append(PullImage(image, "whether its name means another image now", quiet=True))
    if busy:
        return Look(replace(memory, check=check), tuple(pulls), wake_at=now.boottime + LOOK_AGAIN_S)
    notes: tuple[Note, ...] = ()
    if failed and not check.failed:
        text = f"cannot look for newer images of pod {want.name}, which goes on with those that it has: {failed}"
        notes = (Note("Warning", FAILED, text),)
    elif check.failed and not failed:
        notes = (Note("Normal", SUCCEEDED, f"newer images of pod {want.name} can be looked for again"),)
    interval = min(want.auto_update_s or 0.0, FAILED_AGAIN_S if failed else math.inf)
    pause = retry_delay(1, interval, interval, f"{want.name}/{asked}")
    done = ImageCheck(now.boottime + pause, now.boot_id, failed=failed)
    return Look(replace(memory, images=found, check=done), notes=notes, wake_at=done.due_at)
