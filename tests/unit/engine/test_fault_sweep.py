"""Each call that a pod's life takes fails once, in each way that a call can fail: the pod gets there all the same."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from engine.rig import Rig, desired, pod
from engine.sweeping import KINDS, made, sweep

BEFORE = pod("p", "one", "two", grace_s=1.0)
AFTER = replace(BEFORE, containers=(BEFORE.containers[0], replace(BEFORE.containers[1], command=("sleep", "2"))))


async def nothing(_: Rig) -> None:
    """Prepare nothing."""


async def live(rig: Rig) -> None:
    """Bring a pod up, kill a container, change the other, take the pod down; nothing is made twice."""
    stranger = set(rig.fake.pods)
    rig.fleet.apply(desired(BEFORE), frozenset())
    await rig.until(lambda: rig.settled("p"), "the pod")
    rig.fake.crash("p-one", 1)
    rig.fleet.poke_pod("p")
    await rig.until(lambda: "Died" in rig.journal.reasons("p") and rig.settled("p"), "the restart")
    old = rig.fake.container("p-two")["Id"]
    rig.fleet.apply(desired(AFTER), frozenset())
    await rig.until(lambda: rig.fake.container("p-two")["Id"] != old and rig.settled("p"), "the change")
    rig.fleet.apply(desired(scans=3), frozenset())
    await rig.until(lambda: "p" not in rig.fleet.workers, "the end")
    assert set(rig.fake.pods) == stranger
    assert {doc["Pod"] for doc in rig.fake.containers.values()} == stranger
    assert made(rig) == Counter(create_pod=1, create_container=3, remove_pod=1)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_may_fail_once(kind: str, tmp_path: Path) -> None:
    """Nothing is created twice, nothing of others is touched, and no pod is left behind, whichever call goes wrong."""
    calls = await sweep(tmp_path, kind, nothing, live)
    assert calls["start"] >= 4  # more where a loaded machine's answer is waited for no longer
