"""Exits of real processes, told once."""

import asyncio
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import uvloop

from podsupd.errors import PodsupdError
from podsupd.signals import PidfdWatcher


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that only ends when it is killed."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.fixture
async def watcher() -> AsyncIterator[PidfdWatcher]:
    """Make a watcher that is closed afterwards."""
    made = PidfdWatcher()
    yield made
    made.close()


def descriptors() -> int:
    """Count our open descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Calls:
    """Counts calls, and can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self.called = asyncio.Event()

    def __call__(self) -> None:
        """Be called."""
        self.count += 1
        self.called.set()


async def turns() -> None:
    """Let the loop take several turns, each with a look at the descriptors."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_exit_is_told_once(watcher: PidfdWatcher, sleeper: subprocess.Popen[bytes]) -> None:
    """A death is noticed without waiting for Podman, and not twice."""
    before = descriptors()
    calls = Calls()
    assert watcher.watch(sleeper.pid, calls) is not None
    await turns()
    assert calls.count == 0
    sleeper.kill()
    await calls.called.wait()
    await turns()
    assert calls.count == 1
    assert descriptors() == before


async def test_a_zombie_is_gone(watcher: PidfdWatcher, sleeper: subprocess.Popen[bytes]) -> None:
    """A first process that died before it was watched, but was not reaped yet, is told all the same."""
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    calls = Calls()
    assert watcher.watch(sleeper.pid, calls) is not None
    await calls.called.wait()
    assert calls.count == 1


async def test_gone_already(watcher: PidfdWatcher, sleeper: subprocess.Popen[bytes]) -> None:
    """A process that is gone is said at once, not by a callback that may never come."""
    sleeper.kill()
    sleeper.wait()
    calls = Calls()
    assert watcher.watch(sleeper.pid, calls) is None
    await turns()
    assert calls.count == 0


async def test_cancel(watcher: PidfdWatcher, sleeper: subprocess.Popen[bytes]) -> None:
    """A watch that is not wanted any more costs no descriptor and calls nobody, however often it is cancelled."""
    before = descriptors()
    calls, kept = Calls(), Calls()
    cancel = watcher.watch(sleeper.pid, calls)
    watcher.watch(sleeper.pid, kept)
    assert cancel is not None
    cancel()
    cancel()
    assert descriptors() == before + 1
    sleeper.kill()
    await kept.called.wait()
    cancel()
    assert calls.count == 0
    assert descriptors() == before


async def test_close(sleeper: subprocess.Popen[bytes]) -> None:
    """A daemon that ends leaves no descriptor and gets no late call."""
    before = descriptors()
    watcher = PidfdWatcher()
    calls = Calls()
    cancel = watcher.watch(sleeper.pid, calls)
    watcher.close()
    assert cancel is not None
    cancel()
    assert descriptors() == before
    sleeper.kill()
    sleeper.wait()
    await turns()
    assert calls.count == 0


async def test_cancel_from_within(watcher: PidfdWatcher) -> None:
    """Two deaths in one turn: the first one's handler may cancel the second's watch."""
    with subprocess.Popen(["sleep", "1000"]) as one, subprocess.Popen(["sleep", "1000"]) as two:
        told: list[int] = []
        cancels = {}
        done = asyncio.Event()

        def on_exit(mine: int, other: int) -> None:
            told.append(mine)
            cancels[other]()
            done.set()

        for mine, other in ((one.pid, two.pid), (two.pid, one.pid)):
            cancel = watcher.watch(mine, lambda mine=mine, other=other: on_exit(mine, other))  # type: ignore[misc]
            assert cancel is not None
            cancels[mine] = cancel
        for process in (one, two):
            process.kill()
            process.wait()
        await done.wait()
        await turns()
        assert len(told) == 1


async def test_no_descriptor_left(watcher: PidfdWatcher, sleeper: subprocess.Popen[bytes]) -> None:
    """With too many open files the caller is told, so that the relist stays its net, and nothing leaks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(PodsupdError, match=f"cannot watch process {sleeper.pid}: Too many open files"):
            watcher.watch(sleeper.pid, Calls())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    calls = Calls()
    assert watcher.watch(sleeper.pid, calls) is not None


@pytest.mark.parametrize("pid", [0, -1])
async def test_not_a_process(watcher: PidfdWatcher, pid: int) -> None:
    """A PID that Podman gives for a container that does not run is refused, not taken for ourselves."""
    with pytest.raises(PodsupdError, match=f"cannot watch process {pid}: "):
        watcher.watch(pid, Calls())


def test_on_uvloop(sleeper: subprocess.Popen[bytes]) -> None:
    """The daemon's own event loop tells exits as asyncio's does."""

    async def main() -> int:
        watcher = PidfdWatcher()
        calls, never = Calls(), Calls()
        watcher.watch(sleeper.pid, calls)
        cancel = watcher.watch(sleeper.pid, never)
        assert cancel is not None
        cancel()
        sleeper.kill()
        await calls.called.wait()
        await turns()
        watcher.close()
        return calls.count + 10 * never.count

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(main()) == 1
