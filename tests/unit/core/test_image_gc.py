"""Which images go: only ours, only unneeded ones, and no more than the settings ask for."""

from dataclasses import replace

import pytest
from core.test_freshness import proved, watched

from podsupd.core.image_gc import AGE, DISK, choose, needs, unused
from podsupd.model.images import DiskUsage, LocalImage
from podsupd.model.settings import ImageSettings
from podsupd.model.volumes import ImageVolume, VolumeSpec

OURS = LocalImage("ours", ("registry/app:1",), size=10)
PULLED = {"ours": "registry/app:1"}
RULES = ImageSettings(gc=True, minimum_age_s=100.0)


@pytest.mark.parametrize(
    ("image", "others", "used", "goes"),
    [
        (OURS, (), frozenset(), True),
        (replace(OURS, names=()), (), frozenset(), True),
        (OURS, (), frozenset({"ours"}), False),
        (replace(OURS, containers=1), (), frozenset(), False),
        (replace(OURS, names=("registry/app:1", "localhost/mine:1")), (), frozenset(), False),
        (replace(OURS, names=("localhost/mine:1",)), (), frozenset(), False),
        (OURS, (LocalImage("built", ("localhost/built:1",), parent="ours"),), frozenset(), False),
        (replace(OURS, parent="base"), (LocalImage("base"),), frozenset(), False),
        (replace(OURS, parent="base"), (LocalImage("base", ("localhost/base:1",)),), frozenset(), True),
        (replace(OURS, id="theirs"), (), frozenset(), False),
    ],
    ids=[
        "ours",
        "without a name",
        "needed by a pod",
        "in somebody's container",
        "tagged by somebody",
        "renamed by somebody",
        "built on by somebody",
        "would take a nameless image along",
        "built on a named image",
        "not ours",
    ],
)
def test_only_what_is_ours_and_unneeded_may_go(
    image: LocalImage,
    others: tuple[LocalImage, ...],
    used: frozenset[str],
    goes: bool,  # noqa: FBT001
) -> None:
    """Nobody loses an image that podsupd did not bring, nor one that got another use since."""
    assert unused((image, *others), PULLED, used) == ((image,) if goes else ())


def images(count: int) -> list[LocalImage]:
    """Return images of 10 bytes."""
    return [replace(OURS, id=f"i{n}") for n in range(count)]


def test_nothing_goes_while_there_is_room() -> None:
    """The kubelet's rule: age alone removes nothing unless a maximum is set."""
    since = {f"i{n}": 0.0 for n in range(3)}
    assert choose(images(3), since, DiskUsage(85, 100), RULES, 1e6) == ()
    assert choose(images(3), since, DiskUsage(0, 0), RULES, 1e6) == ()


def test_a_full_disk_is_freed_down_to_the_low_threshold() -> None:
    """Above the high one the image that was unused for longest goes first, and no more than it takes."""
    since = {"i0": 300.0, "i1": 100.0, "i2": 200.0, "i3": 950.0}
    gone = choose(images(4), since, DiskUsage(95, 100), RULES, 1000.0)
    assert [(r.image.id, r.reason) for r in gone] == [("i1", DISK), ("i2", DISK)]
    assert gone[0].message == "unused for 900 s, and the disk is 95 % full"


def test_what_is_just_unused_stays_even_on_a_full_disk() -> None:
    """Between two containers of a pod its image is unused for a moment; the minimum age keeps it."""
    assert choose(images(1), {"i0": 901.0}, DiskUsage(100, 100), RULES, 1000.0) == ()
    assert choose(images(1), {}, DiskUsage(100, 100), RULES, 1000.0) == ()


def test_the_maximum_age_removes_whatever_the_disk_says() -> None:
    """Who wants old versions gone after a week gets that; what goes by age makes room too."""
    rules = replace(RULES, maximum_age_s=500.0)
    since = {"i0": 0.0, "i1": 600.0}
    gone = choose(images(2), since, DiskUsage(10, 100), rules, 1000.0)
    assert [(r.image.id, r.reason) for r in gone] == [("i0", AGE)]
    gone = choose(images(2), since, DiskUsage(90, 100), rules, 1000.0)
    assert [(r.image.id, r.reason) for r in gone] == [("i0", AGE)]


def test_a_pod_needs_what_it_runs_names_goes_back_to_and_may_come_to_run() -> None:
    """Neither the way back of an update nor the image of a version that failed is downloaded twice."""
    world = proved()
    world.registry["nginx"] = "id-bad"
    assert world.memory.check is not None
    world.now = world.memory.check.due_at
    world.turn()
    world.turn()
    mounted = VolumeSpec("v", ImageVolume("data:1"))
    found = needs(replace(watched("nginx:3"), volumes=(mounted,)), world.memory, world.seen)
    assert {"id-nginx", "id-busybox", "id-bad"} <= found.ids
    assert found.names == {"nginx", "nginx:3", "busybox", "data:1"}
    assert needs(None, world.memory, None).ids >= {"id-nginx", "id-bad"}
