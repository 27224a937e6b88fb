"""Hints that something changed: prompt, never many, and never the end of the loop."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from configdir.conftest import POD

from podsupd.configdir import ManifestDirectory, directory
from podsupd.model.desired import DirectoryScan, FileStatus

PROMPT_S = 30.0


class Follower:
    """Scans at each hint, as the engine does, and lets a test wait for what a scan shows."""

    def __init__(self, path: Path) -> None:
        """path: of the directory."""
        self.reader = ManifestDirectory(str(path))
        self.scans: list[DirectoryScan] = []
        self.times: list[float] = []
        self._new = asyncio.Event()

    async def follow(self) -> None:
        """Follow the hints until cancelled."""
        async with aclosing(self.reader.hints()) as hints:
            async for _ in hints:
                self.times.append(asyncio.get_running_loop().time())
                self.scans.append(await self.reader.scan())
                self._new.set()

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until the scans so far fulfil a condition."""
        async with asyncio.timeout(PROMPT_S):
            while not condition():
                self._new.clear()
                await self._new.wait()

    async def until(self, **files: FileStatus) -> DirectoryScan:
        """Wait for a scan with exactly these files."""
        wanted = {f"{name}.yaml": status for name, status in files.items()}
        await self.wait_for(lambda: any(s.complete and statuses(s) == wanted for s in self.scans[-1:]))
        return self.scans[-1]


def statuses(scan: DirectoryScan) -> dict[str, FileStatus]:
    """Return the status of each file by its name."""
    return {Path(file.path).name: file.status for file in scan.files}


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[Follower]:
    """Follow a directory for the length of a test."""
    follower = Follower(path)
    task = asyncio.create_task(follower.follow())
    try:
        yield follower
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_new_file_is_read_within_seconds_and_a_removed_one_missed(tmp_path: Path) -> None:
    """A manifest copied into the directory runs long before the timed rescan, though it is too fresh at first."""
    async with following(tmp_path) as follower:
        await follower.until()
        (tmp_path / "web.yaml").write_text(POD)
        await follower.until(web=FileStatus.READ)
        (tmp_path / "web.yaml").unlink()
        await follower.until()
        scans = len(follower.scans)
        # What is missing is looked at a second time without another event.
        await follower.wait_for(lambda: len(follower.scans) > scans)


async def test_a_directory_that_goes_and_comes_again_is_watched_again(tmp_path: Path) -> None:
    """Replacing the directory, as a deployment does, does not blind the daemon."""
    path = tmp_path / "pods.d"
    async with following(path) as follower:
        for turn in range(2):
            path.mkdir()
            (path / "web.yaml").write_text(POD)
            await follower.until(web=FileStatus.READ)
            (path / "more.yaml").write_text(POD)
            await follower.until(web=FileStatus.READ, more=FileStatus.READ)
            path.rename(tmp_path / f"old{turn}")
            await follower.wait_for(lambda: not follower.scans[-1].complete)


async def test_a_directory_swapped_in_one_step_is_watched_again(tmp_path: Path) -> None:
    """A link that is switched from one release to the next is followed."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "pods.d").symlink_to("one")
    async with following(tmp_path / "pods.d") as follower:
        await follower.until()
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").replace(tmp_path / "pods.d")
        (tmp_path / "two" / "web.yaml").write_text(POD)
        scan = await follower.until(web=FileStatus.READ)
        assert scan.directory == str(tmp_path / "two")


async def test_hints_are_at_least_a_second_apart(tmp_path: Path) -> None:
    """A program that touches files all the time costs one scan a second, and two misses are two moments."""
    async with following(tmp_path) as follower:
        async with asyncio.timeout(PROMPT_S):
            number = 0
            while len(follower.times) < 4:
                (tmp_path / f"{number % 60}.tmp").write_text("x")
                number += 1
                await asyncio.sleep(0.05)
    gaps = [b - a for a, b in itertools.pairwise(follower.times)]
    # A hint may be noted a little after it was given, and the next one not.
    assert min(gaps) > 0.9


async def test_reading_the_directory_is_no_change(tmp_path: Path) -> None:
    """Scans do not hint at themselves: an idle daemon stays idle."""
    (tmp_path / "web.yaml").write_text(POD)
    async with following(tmp_path) as follower:
        await follower.until(web=FileStatus.READ)
        await follower.wait_for(lambda: follower.scans[-2:] == [follower.scans[-1]] * 2)
        scans = len(follower.scans)
        for _ in range(3):
            await follower.reader.scan()
        await asyncio.sleep(2.0)  # nothing is to come
        assert len(follower.scans) == scans


async def test_hints_go_on_without_inotify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no inotify instance left on the host, changes are still found."""

    def refuse(*_args: object, **_options: object) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(directory, "Inotify", refuse)
    async with following(tmp_path) as follower:
        (tmp_path / "web.yaml").write_text(POD)
        await follower.until(web=FileStatus.READ)


async def test_the_end_of_hints_is_prompt(tmp_path: Path) -> None:
    """A stop of the daemon does not wait for the watch."""
    async with asyncio.timeout(PROMPT_S), following(tmp_path) as follower:
        await follower.until()
    shutil.rmtree(tmp_path)
