"""A systematic sweep: a life is lived once for each call that it takes, and that call goes wrong.

A life is a coroutine function of a rig; what it asserts has to hold whichever call it was.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine.rig import Rig, pod, rigged

from podsupd.errors import PodmanError
from podsupd.model.plan import CreatePod
from tests.fakes.libpod import Fault

AT_ONCE = 6
MADE = frozenset({"create_pod", "create_container", "remove_pod"})
Life = Callable[[Rig], Awaitable[None]]

KINDS: dict[str, Callable[[int], Fault]] = {
    "refused": lambda n: Fault(status=500, cause="no space left on device", message="no space left", after=n),
    "conflict": lambda n: Fault(status=409, cause="container state improper", message="busy", after=n),
    "internal": lambda n: Fault(status=500, after=n),
    "dropped": lambda n: Fault(drop=True, after=n),
    "lost": lambda n: Fault(lost=True, after=n),
    "hangs": lambda n: Fault(hang=True, after=n),
    "late": lambda n: Fault(delay_s=0.2, after=n),
}


@asynccontextmanager
async def relisting(rig: Rig) -> AsyncIterator[None]:
    """Relist again and again, as the observer does: it is what finds out about an answer that was lost."""

    async def again() -> None:
        while True:
            with suppress(PodmanError):
                await rig.relist()
            await asyncio.sleep(0.25)

    task = asyncio.create_task(again())
    try:
        yield
    finally:
        task.cancel()


def made(rig: Rig) -> Counter[str]:
    """Count what was made and removed."""
    return Counter(name for name, _ in rig.fake.done if name in MADE)


@asynccontextmanager
async def beside_a_stranger(path: Path) -> AsyncIterator[Rig]:
    """Yield a rig on a Podman that has a pod of somebody else, which has to be there at the end as it was."""
    path.mkdir()
    async with rigged(path, timeout_s=1.0) as rig:
        while not rig.fake.pods:  # on a machine that is loaded an answer may take longer than is waited for
            with suppress(PodmanError):
                await rig.runtime.create_pod(CreatePod(pod("theirs"), ""), {})
        stranger = dict(rig.fake.pods)
        rig.fake.calls.clear()
        rig.fake.done.clear()
        async with relisting(rig):
            yield rig
        assert {p: rig.fake.pods.get(p) for p in stranger} == stranger


async def sweep(path: Path, kind: str, prepare: Life, live: Life, but: frozenset[str] = frozenset()) -> Counter[str]:
    """Live once for each call that a life takes, with a fault of this kind in it; return those calls by operation.

    prepare: what comes before, and goes well. but: operations that are left out.
    """
    async with beside_a_stranger(path / "clean") as rig:
        await prepare(rig)
        rig.fake.calls.clear()
        await live(rig)
        calls = Counter(operation for operation, _ in rig.fake.calls if operation not in {"save", *but})
    slots = asyncio.Semaphore(AT_ONCE)
    unused: list[str] = []

    async def one(operation: str, number: int) -> None:
        async with slots, beside_a_stranger(path / f"{operation}-{number}") as rig:
            await prepare(rig)
            rig.fake.fail(operation, KINDS[kind](number))
            try:
                await live(rig)
            except AssertionError as error:
                raise AssertionError(f"{kind} {operation} number {number}: {error}") from error
            unused.extend(rig.fake.faults)

    async with asyncio.TaskGroup() as group:
        for operation, count in calls.items():
            for number in range(count):
                group.create_task(one(operation, number))
    # How often it is looked at depends on the moment, and on a machine that is loaded the clean life takes more calls
    # than it needs (an answer that is late is asked for again): some of those calls may never have come.
    assert len(unused) < 0.5 * calls.total(), Counter(unused)
    return calls
