"""Which images may go: the kubelet's rules of image garbage collection, for images that podsupd itself pulled.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/#container-image-garbage-collection
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from podsupd.core import specs
from podsupd.model.images import DiskUsage, LocalImage, Removal
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import PodMemory
from podsupd.model.settings import ImageSettings
from podsupd.model.spec import PodSpec

AGE = "age"
DISK = "disk"


@dataclass(frozen=True, slots=True)
class Needs:
    """Images that may not go, by id and by name."""

    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        """Return what either needs."""
        return Needs(self.ids | other.ids, self.names | other.names)


def needs(want: PodSpec | None, memory: PodMemory, seen: ObservedPod | None) -> Needs:
    """Return what a pod needs: what it runs, what its manifest names, what it goes back to, what it was found to mean.

    want: the spec in force, which is the last good one of a file that is broken, and stays while a removal is held.
    """
    wanted = [spec for spec in (want, specs.load(memory.good.spec) if memory.good else None) if spec]
    ids = {container.image_id for container in seen.containers} if seen else set()
    ids |= set(memory.good.images.values()) if memory.good else set()
    ids |= {found for _, found in memory.images.values()}
    return Needs(frozenset(ids), frozenset(name for spec in wanted for name in spec.images))


def unused(images: Iterable[LocalImage], pulled: Mapping[str, str], used: frozenset[str]) -> tuple[LocalImage, ...]:
    """Return the images that podsupd pulled and nobody needs, in Podman's order.

    pulled: image id -> the name that it was pulled by. used: ids that pods need or may go back to. Left alone is what
    somebody else has a name, a container or an image of, and what takes a nameless image with it: Podman removes the
    nameless images below a removed one.
    """
    images = tuple(images)
    parents = {image.parent for image in images}
    nameless = {image.id for image in images if not image.names}
    return tuple(
        image
        for image in images
        if image.id in pulled
        and image.id not in used
        and not image.containers
        and set(image.names) <= {pulled[image.id]}
        and image.id not in parents
        and image.parent not in nameless
    )


def choose(
    candidates: Sequence[LocalImage],
    since: Mapping[str, float],
    disk: DiskUsage,
    rules: ImageSettings,
    now: float,
) -> tuple[Removal, ...]:
    """Choose what goes now, the one that was unused for longest first.

    since: image id -> boottime since when nobody needs it. Whatever was unused for less than the minimum age stays.
    Above the high threshold of the disk's usage images go until the low one would be reached; what has been unused for
    longer than the maximum age goes in any case.
    """
    ages = {image.id: now - since.get(image.id, now) for image in candidates}
    ready = [image for image in candidates if ages[image.id] >= rules.minimum_age_s]
    ready.sort(key=lambda image: (-ages[image.id], image.id))
    full = disk.percent > rules.high_threshold_percent
    room = disk.used - disk.total * rules.low_threshold_percent / 100 if full else 0.0
    chosen: list[Removal] = []
    for image in ready:
        why = f"unused for {ages[image.id]:.0f} s"
        if rules.maximum_age_s and ages[image.id] >= rules.maximum_age_s:
            chosen.append(Removal(image, AGE, why))
        elif room > 0:
            chosen.append(Removal(image, DISK, f"{why}, and the disk is {disk.percent:.0f} % full"))
        else:
            continue
        room -= image.size
    return tuple(chosen)
