"""Which pods have a worker, and what makes one look again, on the fake libpod."""

import asyncio
from dataclasses import replace

import pytest
from engine.rig import DIR, OWNER, Rig, desired, pod

from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, POD_LABEL, SOURCE_LABEL, RuntimeEvent
from podsupd.model.plan import CreatePod
from tests.fakes.libpod import Fault


async def make_orphan(rig: Rig, name: str) -> None:
    """Have Podman hold a pod of ours that no file declares."""
    labels = {OWNER_LABEL: OWNER, POD_LABEL: name, SOURCE_LABEL: f"{DIR}/{name}.yaml"}
    await rig.runtime.create_pod(CreatePod(pod(name), ""), labels)


async def test_nobody_acts_before_the_first_scan_and_the_first_relist(rig: Rig) -> None:
    """D1: half a picture is no reason to make or remove anything."""
    await rig.relist()
    assert not rig.fleet.begun
    rig.fleet.apply(desired(scans=0), frozenset())
    assert not rig.fleet.begun
    rig.fleet.apply(desired(pod("a")), frozenset())
    assert list(rig.fleet.workers) == ["a"]
    await rig.until(lambda: rig.settled("a"), "the pod up")


async def test_each_pod_is_made_once_however_often_it_is_said(rig: Rig) -> None:
    """Scans and relists that find nothing new cost no call that changes anything."""
    await rig.up(pod("a", "x", "y"), pod("b"))
    for _ in range(3):
        await rig.want(pod("a", "x", "y"), pod("b"))
    assert {name for name, _ in rig.fake.calls} <= {"list_pods", "list_containers", "inspect_pod", "inspect_container"}
    assert sorted(p["Name"] for p in rig.fake.pods.values()) == ["a", "b"]


async def test_a_removed_pod_goes_and_is_forgotten(rig: Rig) -> None:
    """Its worker stops it, removes it, drops its memory and ends."""
    await rig.up(pod("a"), pod("b"))
    await rig.want(pod("b"))
    await rig.until(lambda: "a" not in rig.fleet.workers, "the worker gone")
    assert [p["Name"] for p in rig.fake.pods.values()] == ["b"]
    assert rig.state.forgotten == ["a"]
    assert rig.journal.reasons("a")[-4:] == ["Removing", "Killing", "Stopped", "Removed"]


async def test_a_pod_wanted_again_while_it_goes_comes_back(rig: Rig) -> None:
    """A file that was away for a moment ends in a pod that runs, not in a race."""
    await rig.up(pod("a"))
    await rig.want()
    await rig.until(lambda: "kill" in dict(rig.fake.calls), "the stop begun")
    await rig.want(pod("a"))
    await rig.until(lambda: rig.settled("a"), "the pod up again")
    (container,) = [c for c in rig.fake.containers.values() if c["Config"]["Labels"].get(CONTAINER_LABEL)]
    assert container["State"]["Running"]


async def test_an_orphan_goes_after_two_scans_and_not_before(rig: Rig) -> None:
    """D2: a pod of ours that no file declares is kept, with the reason, until a second scan confirms that."""
    await make_orphan(rig, "old")
    await rig.want(scans=1)
    assert "removed when a second scan confirms" in rig.fleet.kept["old"]
    assert rig.fleet.workers == {}
    assert rig.journal.reasons("old") == ["Kept"]
    await rig.want(scans=2)
    await rig.until(lambda: not rig.fake.pods, "the orphan removed")


async def test_a_pod_of_an_unreadable_directory_is_never_an_orphan(rig: Rig) -> None:
    """D2: what cannot be read declares nothing and removes nothing, however often it is scanned."""
    await make_orphan(rig, "old")
    await rig.want(scans=9, error="cannot open /pods.d: Permission denied")
    assert "the directory cannot be read" in rig.fleet.kept["old"]
    assert rig.fleet.workers == {}


async def test_somebody_elses_pod_is_not_looked_after(rig: Rig) -> None:
    """D3: without our owner id it does not exist for us."""
    await rig.runtime.create_pod(CreatePod(pod("theirs"), ""), {OWNER_LABEL: "another"})
    await rig.want(scans=9)
    assert rig.fleet.workers == {}
    assert rig.fleet.kept == {}


async def test_a_relist_heals_what_no_pidfd_and_no_event_told(rig: Rig) -> None:
    """The nets are three: with two of them torn the third costs time only, and the metric says that it was needed."""
    rig.deaths.usable = False
    await rig.up(pod("a"))
    rig.fake.crash("a-main")
    await rig.relist()
    await rig.until(lambda: rig.of("start"), "the start")
    assert rig.meter.missed == 1
    assert rig.fake.container("a-main")["State"]["Running"]


@pytest.mark.parametrize("kind", ["container", "pod"])
async def test_an_event_wakes_the_worker_of_its_pod_only(rig: Rig, kind: str) -> None:
    """Twenty pods do not look again for what happened to one of them; an event of a stranger wakes nobody."""
    await rig.up(pod("a"), pod("b"))
    await rig.quiet()
    (of_a,) = [p["Id"] for p in rig.fake.pods.values() if p["Name"] == "a"]
    container = rig.fake.container("a-main")["Id"]
    rig.fleet.poke(RuntimeEvent(kind, "died", "f" * 64, "stranger", "e" * 64, 0))
    assert rig.poked() == []
    rig.fleet.poke(RuntimeEvent(kind, "died", container if kind == "container" else of_a, "a", of_a, 1))
    assert rig.poked() == ["a"]


async def test_an_image_event_wakes_whoever_waits(rig: Rig) -> None:
    """Whoever waits looks as soon as an image is imported or tagged; a hundred pods that run do not."""
    await rig.up(pod("a"), pod("b"))
    missing = replace(pod("c").containers[0], image="localhost:1/nothing:latest")
    await rig.want(pod("a"), pod("b"), replace(pod("c"), containers=(missing,)))
    await rig.until(lambda: "BackOff" in rig.journal.reasons("c"), "the back-off")
    await rig.until(lambda: not rig.poked(), "all looked")
    rig.fleet.poke(RuntimeEvent("image", "tag", "d" * 64, "", "", None))
    assert rig.poked() == ["c"]


async def test_a_pod_that_podman_has_just_made_is_known_by_its_name(rig: Rig) -> None:
    """An event may come before the first relist that shows the pod's id."""
    await rig.up(pod("a"))
    await rig.want(pod("a"), pod("b"))
    await rig.until(lambda: rig.settled("b"), "b up")
    await rig.quiet()
    rig.fleet.poke(RuntimeEvent("pod", "stop", "d" * 64, "b", "", None))
    assert rig.poked() == ["b"]


async def test_a_bug_that_hits_one_pod_does_not_touch_its_siblings(rig: Rig) -> None:
    """A crashed worker is logged and runs again later; everybody else goes on meanwhile."""
    rig.state.broken_for = "bad"
    await rig.want(pod("bad"), pod("good"))
    await rig.until(lambda: rig.settled("good"), "the sibling up")
    rig.state.broken_for = ""
    await rig.until(lambda: rig.settled("bad"), "the other, once it can")


async def test_closing_does_not_wait_for_a_podman_that_hangs(rig: Rig) -> None:
    """SIGTERM ends podsupd within a second or two, whatever Podman does."""
    await rig.up(pod("a"))
    rig.fake.fail("*", Fault(hang=True, times=None))
    rig.fleet.poke_all()
    rig.stopping.set()
    # Less than an answer of Podman's is waited for.
    async with asyncio.timeout(20):
        await rig.fleet.close()
    rig.fake.faults.clear()


async def test_a_pod_starts_when_the_one_that_it_is_after_is_ready(rig: Rig) -> None:
    """The readiness of one pod starts the next at once: nobody has to poll, and the order is kept."""
    await rig.want(pod("late", after=("base",)))
    await rig.until(lambda: rig.fleet.workers["late"].waits_for("base"), "the wait")
    assert rig.of("create_pod") == []
    await rig.want(pod("late", after=("base",)), pod("base"))
    await rig.until(lambda: rig.settled("late"), "both up")
    assert [p["Name"] for p in rig.fake.pods.values()] == ["base", "late"]


async def test_a_clock_that_is_set_is_told_and_restarts_nothing(rig: Rig) -> None:
    """Booted in 1970, set right by NTP: the history says why its times jump, and the pods go on."""
    rig.clock.epoch = 300.0
    await rig.up(pod("a"))
    rig.fake.calls.clear()
    rig.clock.epoch = None
    await rig.relist()
    await rig.relist()
    assert rig.journal.reasons("") == ["ClockSet"]
    await rig.until(lambda: rig.settled("a"), "the pod looked at")
    looks = {"list_pods", "list_containers", "inspect_pod", "inspect_container"}
    assert {name for name, _ in rig.fake.calls} <= {*looks, "save"}
