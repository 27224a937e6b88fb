"""Tasks: owned, guarded, and ended in order, on virtual time."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import LogCapture

from podsupd.engine.merging import merged
from podsupd.engine.tasks import CRASHES_TOLERATED, TaskPool, guarded, pause
from podsupd.errors import FatalError

pytestmark = pytest.mark.looptime


@pytest.fixture
def logs() -> Iterator[LogCapture]:
    """Capture what is logged."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[capture])
    yield capture
    structlog.configure(processors=before)


async def test_a_crash_is_logged_once_and_the_task_goes_on(logs: LogCapture) -> None:
    """One bug in one turn costs one log line and a short delay."""
    stopping, runs = asyncio.Event(), []

    async def main() -> None:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) == 1:
            raise ValueError("a bug")
        stopping.set()

    await guarded("t", main, stopping, vital=True)
    assert len(runs) == 2
    assert runs[1] - runs[0] == pytest.approx(0.2)
    assert [e["event"] for e in logs.entries] == ["task crashed"]


async def test_a_crash_loop_of_a_vital_task_ends_the_daemon() -> None:
    """Systemd restarts what cannot work, instead of a daemon that runs on blind."""

    async def main() -> None:
        raise ValueError("always")

    with pytest.raises(FatalError, match="cannot run observer: it crashed 6 times"):
        await guarded("observer", main, asyncio.Event(), vital=True)


async def test_a_pods_bug_never_ends_the_daemon() -> None:
    """A worker is tried for ever, with a growing delay."""
    stopping, runs = asyncio.Event(), []

    async def main() -> None:
        runs.append(asyncio.get_running_loop().time())
        if len(runs) > CRASHES_TOLERATED * 3:
            stopping.set()
        raise ValueError("always")

    await guarded("pod", main, stopping, vital=False)
    assert runs[-1] - runs[-2] > runs[1] - runs[0]


async def test_an_eternal_task_that_returns_is_a_crash(logs: LogCapture) -> None:
    """A loop that ends by mistake is begun again and said."""
    stopping, runs = asyncio.Event(), []

    async def main() -> None:
        runs.append(1)
        if len(runs) == 3:
            stopping.set()

    await guarded("t", main, stopping, vital=True)
    assert [e["event"] for e in logs.entries] == ["an eternal task returned"] * 2


async def test_a_cancellation_that_races_a_crash_is_not_lost() -> None:
    """The guard (cpython gh-116720) ends when it is cancelled while its main turns the cancellation into an error."""

    async def main() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ValueError("the crash that hides it") from None

    task = asyncio.create_task(guarded("t", main, asyncio.Event(), vital=False))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_child_groups_crash_does_not_hide_a_cancellation() -> None:
    """The same through a TaskGroup, as in a worker that runs one."""

    async def crash() -> None:
        await asyncio.sleep(1)
        raise ValueError("child")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(crash())
            await asyncio.sleep(3600)

    task = asyncio.create_task(guarded("t", main, asyncio.Event(), vital=False))
    await asyncio.sleep(1)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=100)
    assert done == {task}


async def test_a_pool_is_bounded_and_ends_what_it_began() -> None:
    """Nothing outlives its owner, and no more runs at once than allowed."""
    pool = TaskPool(2)
    ended = []

    async def main() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(1)

    pool.spawn("a", main)
    pool.spawn("b", main)
    assert pool.full
    with pytest.raises(RuntimeError, match="2 tasks run already"):
        pool.spawn("c", main)
    await asyncio.sleep(0)
    await pool.close()
    assert ended == [1, 1]
    assert len(pool) == 0


async def test_a_failed_task_of_a_pool_touches_nobody_else(logs: LogCapture) -> None:
    """An error in one is logged; its neighbour goes on."""
    pool = TaskPool()
    went_on = asyncio.Event()

    async def fail() -> None:
        raise ValueError("mine")

    async def go_on() -> None:
        await asyncio.sleep(1)
        went_on.set()

    pool.spawn("fail", fail)
    pool.spawn("go on", go_on)
    await went_on.wait()
    assert [e["event"] for e in logs.entries] == ["task failed"]


async def test_pause_ends_early_when_poked() -> None:
    """A wait is cut short by what makes it pointless."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(3, event.set)
    began = loop.time()
    assert await pause(event, 10)
    assert loop.time() - began == 3
    event.clear()
    assert not await pause(event, 10)
    assert loop.time() - began == 13


async def test_merged_yields_from_all_and_ends_with_the_last() -> None:
    """Logs of several containers come as they come, and nothing is lost."""

    async def numbers(first: int, step: float) -> "object":
        for n in range(3):
            await asyncio.sleep(step)
            yield first + n

    got = [n async for n in merged([numbers(0, 1.0), numbers(10, 1.5)])]
    assert sorted(got) == [0, 1, 2, 10, 11, 12]
    assert got[0] == 0
