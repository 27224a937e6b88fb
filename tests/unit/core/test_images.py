"""Images that are missing, imported by hand, or asked for in another boot."""

from dataclasses import replace

import pytest
from core.world import CLIENT, POD, World

from podsupd.core.containers import IMAGE_LOOK_AGAIN_S
from podsupd.model.observed import ContainerState
from podsupd.model.plan import ImageFact, ImageState
from podsupd.model.spec import PullPolicy


def without_image(policy: PullPolicy) -> World:
    """Return a world where the client's image is missing, its pull failed, and the next is far off."""
    world = World(want=replace(POD, containers=(replace(CLIENT, pull_policy=policy),)))
    world.images["busybox"] = ImageFact(ImageState.FAILED, message="no route to the registry", retry_at=1300.0)
    for _ in range(4):
        world.turn()
    return world


@pytest.mark.parametrize("policy", [PullPolicy.IF_NOT_PRESENT, PullPolicy.NEVER])
def test_an_imported_image_is_used_before_the_next_pull_is_due(policy: PullPolicy) -> None:
    """Who carries the image to a box without a network does not wait for five minutes of back-off."""
    world = without_image(policy)
    assert world.plan().wake_at == world.now + IMAGE_LOOK_AGAIN_S
    world.images["busybox"] = replace(world.images["busybox"], image_id="1234")
    world.settle()
    assert world.named("client").state is ContainerState.RUNNING
    assert world.now < 1300.0


def test_a_failed_pull_with_policy_always_waits_although_an_image_is_here() -> None:
    """Always means what the registry has now, as in Kubernetes."""
    world = without_image(PullPolicy.ALWAYS)
    world.images["busybox"] = replace(world.images["busybox"], image_id="1234")
    assert world.plan().waiting["client"][0] == "ImagePullBackOff"


def test_a_pull_asked_before_a_reboot_is_not_asked_for_ever() -> None:
    """Times of another boot mean nothing in this one: one pull is enough."""
    world = without_image(PullPolicy.ALWAYS)
    world.now, world.boot = 20.0, "another"
    world.images["busybox"] = ImageFact(ImageState.ABSENT)
    world.settle()
    assert world.named("client").state is ContainerState.RUNNING
