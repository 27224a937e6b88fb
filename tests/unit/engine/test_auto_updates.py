"""Images looked up at an interval, through worker, puller and libpod's wire."""

from dataclasses import replace

from engine.rig import Rig, pod

from podsupd.model.spec import PodSpec, PullPolicy, UpdateSpec
from tests.fakes.objects import BUSYBOX

NEWER = "f" * 64


def watched() -> PodSpec:
    """Return a pod whose image is looked up five times a second."""
    made = pod("a", update=UpdateSpec(min_healthy_s=0.0), auto_update_s=0.2)
    return replace(made, containers=tuple(replace(c, pull_policy=PullPolicy.ALWAYS) for c in made.containers))


async def test_a_tag_that_moves_is_followed_without_noise(rig: Rig) -> None:
    """Looks make no events, what they bring is made, and what they bring is the pod's image from then on."""
    rig.fake.registry.add(BUSYBOX)
    await rig.up(watched())
    rig.journal.notes.clear()
    await rig.until(lambda: rig.of("pull")[2:], "three looks")
    assert rig.journal.reasons("a") == []
    rig.fake.moved[BUSYBOX] = NEWER
    await rig.until(lambda: rig.fake.container("a-main")["Image"] == NEWER, "the newer image")
    await rig.until(lambda: "UpdateSucceeded" in rig.journal.reasons("a"), "the proof")
    assert "Pulling" not in rig.journal.reasons("a")
    assert rig.state.memories["a"].good is not None
    assert rig.state.memories["a"].good.images == {"main": NEWER}


async def test_a_registry_that_is_away_is_told_once(rig: Rig) -> None:
    """However often it is asked, and until it is there again."""
    rig.fake.registry.add(BUSYBOX)
    await rig.up(watched())
    rig.journal.notes.clear()
    rig.fake.registry.clear()
    before = len(rig.of("pull"))
    await rig.until(lambda: len(rig.of("pull")) > before + 3, "looks at nobody")
    assert rig.journal.reasons("a") == ["ImageCheckFailed"]
    assert "no such host" in rig.journal.notes[0].message
    rig.fake.registry.add(BUSYBOX)
    await rig.until(lambda: "ImageCheckSucceeded" in rig.journal.reasons("a"), "the registry back")
