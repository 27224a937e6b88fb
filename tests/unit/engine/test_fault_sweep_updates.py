"""Each call of an image's update and of its way back fails once, and each of a CronJob's runs: they get there."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from engine.rig import Rig, desired, pod
from engine.sweeping import made, sweep

from podsupd.model.spec import CronSpec, JobSpec, PodSpec, PullPolicy, RestartPolicy, UpdateSpec
from tests.fakes.objects import BUSYBOX

GOOD, BAD = "a" * 64, "b" * 64
LOOKS = frozenset({"list_containers", "list_pods", "inspect_pod", "inspect_container"})
"""How these may fail is swept in test_fault_sweep."""
MIDNIGHT = 1795305600.0  # 2026-11-22T00:00Z


def watched(deadline_s: float) -> PodSpec:
    """Return a pod whose image is looked up ten times a second."""
    update = UpdateSpec(min_healthy_s=0.0, progress_deadline_s=deadline_s)
    one = pod("p", "one", grace_s=1.0, update=update, auto_update_s=0.1)
    return replace(one, containers=tuple(replace(c, pull_policy=PullPolicy.ALWAYS) for c in one.containers))


async def proved(rig: Rig) -> None:
    """Bring the pod up, and have it prove itself."""
    rig.fake.registry.add(BUSYBOX)
    rig.fleet.apply(desired(watched(30.0)), frozenset())
    await rig.until(lambda: rig.state.memories["p"].good, "the first version proved")


async def update(rig: Rig) -> None:
    """Have the image move twice: the first time it runs, the second time it ends at once and is taken back, offline."""

    def reasons(reason: str) -> int:
        return rig.journal.reasons("p").count(reason)

    def image() -> object:
        return rig.fake.container("p-one")["Image"]

    rig.fake.moved[BUSYBOX] = GOOD
    await rig.until(lambda: reasons("UpdateSucceeded") and image() == GOOD, "the newer image")
    rig.fake.ends[BAD] = 1
    rig.fleet.apply(desired(watched(0.3)), frozenset())
    rig.fake.moved[BUSYBOX] = BAD
    await rig.until(lambda: reasons("Updating") == 2, "the bad image tried")
    rig.fake.registry.clear()
    await rig.until(lambda: reasons("RolledBack") and rig.settled("p"), "the way back")
    assert (image(), rig.fake.container("p-one")["State"]["Running"]) == (GOOD, True)
    assert made(rig)["create_pod"] == 1
    assert made(rig)["create_container"] <= 4


async def scheduled(rig: Rig) -> None:
    """Declare a CronJob whose first run is due in a minute; its container ends well."""
    rig.fake.ends[rig.fake.images[BUSYBOX]] = 0
    rig.clock.epoch = MIDNIGHT
    cron = CronSpec("* * * * *", keep_succeeded=False)
    job = replace(pod("p", "one", restart_policy=RestartPolicy.ON_FAILURE), job=JobSpec(), cron=cron)
    rig.fleet.apply(desired(job), frozenset())
    await rig.until(lambda: rig.settled("p"), "the schedule")


async def run_twice(rig: Rig) -> None:
    """Have two runs come due, one after the other; each is made once, and removed."""
    for number in (1, 2):
        rig.clock.epoch = MIDNIGHT + 60 * number
        rig.fleet.poke_pod("p")
        await rig.until(lambda number=number: made(rig)["remove_pod"] == number, f"run {number}")  # type: ignore[misc]
        await rig.until(lambda: rig.settled("p"), "its end")
    assert rig.journal.reasons("p").count("JobStarted") == 2
    assert made(rig) == Counter(create_pod=2, create_container=2, remove_pod=2)


@pytest.mark.parametrize("kind", ["lost", "hangs"])
async def test_every_call_of_an_update_may_fail_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What works is kept and what does not is taken back, whichever call goes wrong, and no pod is made anew for it."""
    monkeypatch.setattr("podsupd.libpod.runtime.PULL_SILENCE_S", 1.0)
    calls = await sweep(tmp_path, kind, proved, update, LOOKS)
    assert calls["create_container"] >= 3  # more where a loaded machine's answer is waited for no longer


@pytest.mark.parametrize("kind", ["lost", "hangs"])
async def test_every_call_of_a_run_may_fail_once(kind: str, tmp_path: Path) -> None:
    """No run is missed and none is done twice, whichever call goes wrong."""
    calls = await sweep(tmp_path, kind, scheduled, run_twice, LOOKS)
    assert calls["create_pod"] >= 2
