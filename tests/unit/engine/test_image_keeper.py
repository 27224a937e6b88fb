"""Images that podsupd pulled and nobody needs, on the fake libpod: claimed at their pull, removed when due."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine.rig import Journal, MemoryState, Rig, pod

from podsupd.core.image_gc import Needs
from podsupd.engine import image_keeper
from podsupd.engine.events import EventLog
from podsupd.engine.image_keeper import TRIES, ImageKeeper, needs_of
from podsupd.errors import PodmanError, PodmanRejected
from podsupd.libpod import LibpodRuntime
from podsupd.model.images import LocalImage
from podsupd.model.plan import Now
from podsupd.model.settings import ImageSettings
from tests.fakes.libpod import FakeLibpod, Fault
from tests.fakes.meter import CountingMeter
from tests.fakes.objects import BUSYBOX, NGINX

APP = "registry.example/app:1"
RULES = ImageSettings(gc=True, minimum_age_s=10.0, maximum_age_s=100.0)


class Time:
    """A clock that a test sets."""

    boottime = 1000.0

    def now(self) -> Now:
        """Return it."""
        return Now(self.boottime, "boot")

    def wall(self) -> float:
        """Return it as the wall's."""
        return self.boottime


class Bench:
    """A keeper over the fake. needs: what it is told; None is not known yet."""

    def __init__(self, fake: FakeLibpod, runtime: LibpodRuntime, meter: CountingMeter) -> None:
        self.fake, self.runtime, self.meter = fake, runtime, meter
        self.state, self.clock, self.journal = MemoryState([]), Time(), Journal()
        self.needs: Needs | None = Needs()
        events = EventLog(self.journal, self.clock)
        self.keeper = ImageKeeper(runtime, self.state, self.clock, meter, events, RULES, {}, lambda: self.needs)
        fake.registry |= {APP, BUSYBOX}

    async def pull(self, name: str) -> str:
        """Pull through the keeper; return the id."""
        async for _ in self.keeper.pull(name, None):
            pass
        return self.fake.images[name]

    async def wait(self, seconds: float) -> None:
        """Collect now and after so many seconds."""
        await self.keeper.collect()
        self.clock.boottime += seconds
        await self.keeper.collect()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Yield a bench over a fake of its own, with a keeper that asks again at once."""
    monkeypatch.setattr(image_keeper, "AGAIN_S", 0.0)
    meter = CountingMeter()
    async with (
        FakeLibpod(tmp_path / "podman.sock") as fake,
        LibpodRuntime(fake.url, meter=meter, request_timeout_s=30) as runtime,
    ):
        yield Bench(fake, runtime, meter)


async def test_what_podsupd_pulled_goes_when_nobody_needs_it(bench: Bench) -> None:
    """An event, a metric, and no trace of the image; what was here before stays for ever."""
    image = await bench.pull(APP)
    await bench.pull(BUSYBOX)
    assert bench.state.images == {image: APP}
    await bench.wait(99)
    assert APP in bench.fake.images
    await bench.wait(1)
    assert set(bench.fake.images) == {NGINX, BUSYBOX}
    (told,) = bench.journal.notes
    assert (told.pod, told.reason) == ("", "ImageRemoved")
    assert told.message == f"removed image {APP} ({image[:12]}, 1.0 MB): unused for 100 s"
    assert bench.meter.removed == ["age"]
    assert bench.state.images == {}


async def test_what_a_pod_needs_stays_by_name_and_by_id(bench: Bench) -> None:
    """Its manifest's image, and the one that it would go back to although the name means another by now."""
    old = await bench.pull(APP)
    bench.fake.moved[APP] = "f" * 64
    new = await bench.pull(APP)
    bench.needs = Needs(frozenset({old}), frozenset({APP}))
    await bench.wait(1000)
    assert bench.fake.image(old)
    assert bench.fake.images[APP] == new
    bench.needs = Needs(frozenset(), frozenset({APP}))
    await bench.wait(1000)
    assert bench.fake.image(old) is None
    assert bench.fake.images[APP] == new


async def test_what_is_needed_again_begins_anew(bench: Bench) -> None:
    """The age is of the time without a use, not of the image."""
    await bench.pull(APP)
    await bench.wait(90)
    bench.needs = Needs(names=frozenset({APP}))
    await bench.wait(90)
    bench.needs = Needs()
    await bench.wait(90)
    assert APP in bench.fake.images


async def test_nothing_goes_before_the_pods_are_known(bench: Bench) -> None:
    """D1 holds for images too: before the first scan and the first relist nobody knows who needs what."""
    await bench.pull(APP)
    await bench.wait(50)
    bench.needs = None
    await bench.wait(1000)
    assert APP in bench.fake.images


async def test_an_image_that_came_by_other_hands_is_not_claimed(bench: Bench) -> None:
    """A pull that brings nothing new makes nothing ours, nor does one of ours that was removed and pulled by hand."""
    image = await bench.pull(APP)
    bench.fake.images.pop(APP)
    await bench.keeper.collect()
    assert bench.state.images == {}
    bench.fake.tag(APP, image)
    await bench.pull(APP)
    await bench.wait(1000)
    assert APP in bench.fake.images


async def test_what_is_pulled_while_the_images_are_listed_is_ours(bench: Bench) -> None:
    """A list that is older than a pull does not make its image a stranger's."""
    listed, pulled, images = asyncio.Event(), asyncio.Event(), bench.runtime.images

    async def late() -> tuple[LocalImage, ...]:
        found = await images()
        listed.set()
        await pulled.wait()
        return found

    bench.runtime.images = late  # type: ignore[method-assign]
    collecting = asyncio.create_task(bench.keeper.collect())
    await listed.wait()
    bench.runtime.images = images  # type: ignore[method-assign]
    image = await bench.pull(APP)
    pulled.set()
    await collecting
    assert bench.state.images == {image: APP}


async def test_what_podman_refuses_to_remove_stays_and_is_tried_again(bench: Bench) -> None:
    """A container that somebody made a moment ago is Podman's to see."""
    await bench.pull(APP)
    await bench.keeper.collect()
    bench.fake.fail("remove_image", Fault(status=409, cause="image is in use by a container", message="in use"))
    bench.clock.boottime += 1000
    await bench.keeper.collect()
    assert APP in bench.fake.images
    assert bench.journal.notes == []
    await bench.keeper.collect()
    assert APP not in bench.fake.images


async def test_a_podman_that_does_not_answer_costs_no_image(bench: Bench) -> None:
    """What cannot be told removes nothing, and what cannot be listed before a pull is not claimed after it."""
    bench.fake.fail("list_images", Fault(status=500, cause="broken", message="broken", times=TRIES))
    await bench.pull(APP)
    assert bench.state.images == {}
    bench.fake.images.pop(APP)
    await bench.pull(APP)
    await bench.keeper.collect()
    bench.clock.boottime += 1000
    for operation in ("list_images", "image_inspect", "info"):
        bench.needs = Needs(names=frozenset({NGINX}))
        bench.fake.fail(operation, Fault(status=500, cause="broken", message="broken", times=TRIES))
        with pytest.raises(PodmanError):
            await bench.keeper.collect()
        assert APP in bench.fake.images


@pytest.mark.parametrize("operation", ["list_images", "image_inspect"])
async def test_what_is_refused_for_a_moment_is_asked_again(bench: Bench, operation: str) -> None:
    """Podman cannot list images or look at one while somebody removes another."""
    bench.fake.fail(operation, Fault(status=500, cause="broken", message="broken", times=TRIES - 1))
    image = await bench.pull(APP)
    assert bench.state.images == {image: APP}


async def test_a_failed_pull_claims_nothing(bench: Bench) -> None:
    """Nor does it hide what the registry said."""
    with pytest.raises(PodmanRejected, match="no such host"):
        await bench.pull("registry.example/none:1")
    assert bench.state.images == {}


async def test_a_full_disk_of_ours_only_forgets_the_claim(bench: Bench) -> None:
    """A record that cannot be saved costs the pull nothing, and is saved with the next."""
    bench.state.full = True
    image = await bench.pull(APP)
    bench.state.full = False
    bench.fake.registry.add("registry.example/more:1")
    more = await bench.pull("registry.example/more:1")
    assert bench.state.images == {image: APP, more: "registry.example/more:1"}


async def test_the_pods_of_the_fleet_say_what_they_need(rig: Rig) -> None:
    """Every pod in force counts, whether it runs or not; before the first scan nobody knows."""
    assert needs_of(rig.fleet) is None
    await rig.up(pod("a"))
    known = needs_of(rig.fleet)
    assert known is not None
    assert known.names == {BUSYBOX}
    assert known.ids == {rig.fake.images[BUSYBOX]}
