"""When the directory is scanned: often enough to be quick, and apart enough that absence seen twice is an absence."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from podsupd.core.desired import restore
from podsupd.engine.desires import APART_S, Desires
from podsupd.model.desired import DirectoryScan, FileStatus, ParsedFile, ScannedFile
from podsupd.model.spec import ContainerSpec, PodSpec, Source

pytestmark = pytest.mark.looptime

DIR = "/pods.d"
INTERVAL_S = 10.0


def pod(name: str) -> PodSpec:
    """Return a pod of the file of its name."""
    return PodSpec(name=name, source=Source(f"{DIR}/{name}", 1), containers=(ContainerSpec("c", f"{name}-c", "image"),))


class Rig:
    """A directory whose files can be taken away, a state that keeps nothing, and the desires between them."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.scans: list[tuple[float, frozenset[str]]] = []
        self.stopping = asyncio.Event()
        loose: Any = self  # every port at once, and of each only what desires use
        self.desires = Desires(loose, loose, loose, restore(DIR, None, {}, {}), INTERVAL_S, self.changed)

    async def scan(self) -> DirectoryScan:
        """Read the directory at once."""
        files = (ScannedFile(f"{DIR}/{n}", FileStatus.READ, n, ParsedFile((pod(n),))) for n in sorted(self.names))
        return DirectoryScan(DIR, (1, 1), tuple(files))

    async def hints(self) -> AsyncIterator[None]:
        """Tell that something may have changed, ten times a second."""
        while not self.stopping.is_set():
            await asyncio.sleep(0.1)
            yield

    async def save_files(self, last_good: Mapping[str, str], identity: tuple[int, int] | None) -> None:
        """Save nothing."""

    def wall(self) -> float:
        """Return some time."""
        return 1.0

    def changed(self, desired: object, released: object) -> None:
        """Note when a scan came into force, and the pods in it."""
        assert desired is self.desires.desired
        del released
        self.scans.append((now(), frozenset(self.desires.desired.pods)))

    async def run_for(self, seconds: float, *, hinted: bool = False) -> None:
        """Run the loops on virtual time."""
        self.stopping.clear()
        tasks = [asyncio.create_task(self.desires.run(self.stopping))]
        tasks += [asyncio.create_task(self.desires.run_hints(self.stopping))] if hinted else []
        await asyncio.sleep(seconds)
        self.stopping.set()
        self.desires.poke()
        await asyncio.wait_for(asyncio.gather(*tasks), 1)


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()


async def test_a_quiet_directory_is_scanned_at_its_interval() -> None:
    """Two scans at the start settle what is missing; then the directory costs one scan an interval."""
    rig = Rig("a")
    began = now()
    await rig.run_for(22)
    assert [at - began for at, _ in rig.scans][:4] == pytest.approx([0, 1.1, 11.1, 21.1])


async def test_no_hint_and_no_reload_hastens_the_proof_that_a_file_is_gone() -> None:
    """A file that is away for half a second, as an editor or a copy may have it, never costs its pod."""
    rig = Rig("a", "b")
    await rig.run_for(3)
    began, rig.scans, rig.names = now(), [], {"b"}
    running = asyncio.create_task(rig.run_for(0.95, hinted=True))
    await asyncio.wait_for(rig.desires.reload(), 1)
    await running
    assert rig.scans, "the directory was looked at"
    assert all(pods == {"a", "b"} for at, pods in rig.scans if at - began < APART_S)
    rig.names = {"a", "b"}
    await rig.run_for(3, hinted=True)
    assert all(pods == {"a", "b"} for _, pods in rig.scans)


async def test_a_file_that_stays_away_is_gone_within_two_seconds() -> None:
    """A removal is certain after a second scan, and does not wait for a whole interval."""
    rig = Rig("a", "b")
    await rig.run_for(3)
    began, rig.names = now(), {"b"}
    await rig.run_for(5)
    gone = next(at for at, pods in rig.scans if at >= began and pods == {"b"})
    assert APART_S <= gone - began <= 2


async def test_the_end_does_not_wait_for_a_scan() -> None:
    """A stop of the daemon takes no part of the pause between two scans."""
    rig = Rig("a")
    running = asyncio.create_task(rig.desires.run(rig.stopping))
    await asyncio.sleep(0.01)
    began = now()
    rig.stopping.set()
    rig.desires.poke()
    await running
    assert now() == began


async def test_a_release_that_is_asked_while_the_disk_is_waited_for_holds() -> None:
    """`podsupd prune --confirm` removes what it said it would, however slow the disk is."""
    rig = Rig("a", "b")
    await rig.run_for(3)
    rig.names = set()
    saving, written = asyncio.Event(), asyncio.Event()

    async def save_files(last_good: Mapping[str, str], identity: tuple[int, int] | None) -> None:
        del last_good, identity
        saving.set()
        await written.wait()

    rig.save_files = save_files  # type: ignore[method-assign]
    running = asyncio.create_task(rig.run_for(10))
    await saving.wait()
    assert set(rig.desires.desired.held) == {"a", "b"}
    release = asyncio.create_task(rig.desires.release(frozenset({"a", "b"})))
    await asyncio.sleep(0)
    written.set()
    await release
    assert not rig.desires.desired.pods
    await running
