"""Requests and limits as the kernel takes them."""

from dataclasses import replace

import pytest
from core.world import CLIENT, POD, WEB, running

from podsupd.core.limits import limits_of, same
from podsupd.model.limits import UNLIMITED, Limits
from podsupd.model.plan import UpdateContainer
from podsupd.model.spec import Resources


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        (Resources(), Limits(-1, -1, 1024)),
        (Resources(cpu_limit_milli=500), Limits(50_000, -1, 512)),
        (Resources(cpu_limit_milli=500, cpu_request_milli=100), Limits(50_000, -1, 102)),
        (Resources(cpu_limit_milli=1), Limits(1_000, -1, 2)),
        (Resources(cpu_request_milli=2000), Limits(-1, -1, 2048)),
        (Resources(memory_limit=2**26), Limits(-1, 2**26, 1024)),
        (Resources(memory_request=2**26), Limits(-1, -1, 1024)),
    ],
)
def test_resources_become_limits_by_the_kubelets_rules(resources: Resources, limits: Limits) -> None:
    """A manifest means the same here as in a cluster."""
    assert limits_of(resources) == limits


@pytest.mark.parametrize(
    ("have", "equal"),
    [
        (Limits(50_000, 500_000_000, 512), True),
        (Limits(50_000, 499_998_720, 512), True),
        (Limits(50_000, 499_998_720, None), True),
        (Limits(50_000, 400_000_000, 512), False),
        (Limits(50_000, -1, 512), False),
        (Limits(-1, 500_000_000, 512), False),
        (Limits(50_000, 500_000_000, 1024), False),
    ],
)
def test_the_kernel_rounds_to_pages(have: Limits, equal: bool) -> None:  # noqa: FBT001
    """What differs by less than a page is as wanted; what v2 cannot tell is not held against it."""
    assert same(Limits(50_000, 500_000_000, 512), have) is equal


def test_limits_changed_by_hand_are_set_again_in_place() -> None:
    """What the kernel enforces is compared with the manifest; what it rounds is no difference."""
    world = running()
    world.want = replace(POD, containers=(replace(WEB, resources=Resources(500, 2**26 + 1)), CLIENT))
    world.settle()
    world.done.clear()
    web = world.named("web").id
    world.facts = replace(world.facts, limits={web: Limits(50_000, 2**26, 512)})
    assert world.settle().settled
    assert world.done == []
    world.facts = replace(world.facts, limits={web: Limits(20_000, UNLIMITED, 512)})
    (update,) = world.plan().actions
    assert isinstance(update, UpdateContainer)
    assert update.why == (
        "its limits were changed by hand: cpu quota is 20000 instead of 50000, memory is unlimited instead of 67108865"
    )
