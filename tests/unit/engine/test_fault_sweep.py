"""Each call that a pod's life takes fails once, in each way that a call can fail: the pod gets there all the same."""

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from engine.rig import Rig, desired, pod, rigged

from podsupd.errors import PodmanError
from podsupd.model.plan import CreatePod
from tests.fakes.libpod import Fault

BEFORE = pod("p", "one", "two", grace_s=1.0)
AFTER = replace(BEFORE, containers=(BEFORE.containers[0], replace(BEFORE.containers[1], command=("sleep", "2"))))
AT_ONCE = 6

KINDS: dict[str, Callable[[int], Fault]] = {
    "refused": lambda n: Fault(status=500, cause="no space left on device", message="no space left", after=n),
    "conflict": lambda n: Fault(status=409, cause="container state improper", message="busy", after=n),
    "internal": lambda n: Fault(status=500, after=n),
    "dropped": lambda n: Fault(drop=True, after=n),
    "lost": lambda n: Fault(lost=True, after=n),
    "hangs": lambda n: Fault(hang=True, after=n),
    "late": lambda n: Fault(delay_s=0.2, after=n),
}


async def relisting(rig: Rig) -> None:
    """Relist again and again, as the observer does: it is what finds out about an answer that was lost."""
    while True:
        with suppress(PodmanError):
            await rig.relist()
        await asyncio.sleep(0.25)


async def live(rig: Rig) -> None:
    """Bring a pod up, kill a container, change the other, take the pod down; a stranger's pod stands beside it."""
    stranger = copy.deepcopy(rig.fake.pods)
    relists = asyncio.create_task(relisting(rig))
    try:
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
    finally:
        relists.cancel()
    assert rig.fake.pods == stranger
    assert {doc["Pod"] for doc in rig.fake.containers.values()} == set(stranger)


def _made(rig: Rig) -> Counter[str]:
    return Counter(name for name, _ in rig.fake.done if name in {"create_pod", "create_container", "remove_pod"})


async def clean_run(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Live without a fault: the calls by operation, and what was made and removed."""
    async with beside_a_stranger(path) as rig:
        await live(rig)
        return Counter(operation for operation, _ in rig.fake.calls if operation != "save"), _made(rig)


@asynccontextmanager
async def beside_a_stranger(path: Path) -> AsyncIterator[Rig]:
    """Yield a rig on a Podman that has a pod of somebody else."""
    async with rigged(path, timeout_s=1.0) as rig:
        while not rig.fake.pods:  # on a machine that is loaded an answer may take longer than is waited for
            with suppress(PodmanError):
                await rig.runtime.create_pod(CreatePod(pod("theirs"), ""), {})
        rig.fake.calls.clear()
        rig.fake.done.clear()
        yield rig


@pytest.mark.parametrize("kind", KINDS)
async def test_every_call_may_fail_once(kind: str, tmp_path: Path) -> None:
    """Nothing is created twice, nothing of others is touched, and no pod is left behind, whichever call goes wrong."""
    (tmp_path / "clean").mkdir()
    calls, made = await clean_run(tmp_path / "clean")
    assert made == {"create_pod": 1, "create_container": 3, "remove_pod": 1}
    assert calls["start"] == 4
    slots = asyncio.Semaphore(AT_ONCE)
    unused: list[str] = []

    async def one(operation: str, number: int) -> None:
        path = tmp_path / f"{operation}-{number}"
        path.mkdir()
        async with slots, beside_a_stranger(path) as rig:
            rig.fake.fail(operation, KINDS[kind](number))
            await live(rig)
            assert _made(rig) == made, (kind, operation, number)
            unused.extend(rig.fake.faults)

    async with asyncio.TaskGroup() as group:
        for operation, count in calls.items():
            for number in range(count):
                group.create_task(one(operation, number))
    # How often it is looked at depends on the moment: a few of those calls may never have come.
    assert len(unused) < 0.2 * calls.total(), Counter(unused)
