"""Files that are renamed into the directory are whole at once; all others have to be quiet for a second."""

import os
from pathlib import Path

import pytest
from configdir.conftest import POD, Clocks, Pods

from podsupd.configdir import arrivals, directory, quiet

BUSY = {"web.yaml": "the file changed within the last second: read when quiet"}
OPEN = {"web.yaml": "a process has the file open for writing: read when closed"}
READ = {"web.yaml": "Read"}


@pytest.fixture
async def watched(pods: Pods, clocks: Clocks) -> Pods:
    """Return a directory that has been scanned, at a time at which nothing in it will be quiet."""
    assert await pods.status() == {}
    clocks.wall = 0
    return pods


def put(pods: Pods, name: str = "web.yaml", text: str = POD, via: str = ".web.yaml.new") -> Path:
    """Write a file under another name and rename it."""
    (pods.path / via).write_text(text)
    return (pods.path / via).rename(pods.path / name)


async def test_a_file_renamed_into_place_is_read_at_once(watched: Pods) -> None:
    """Who edits as careful programs do (rsync, Ansible, mv) waits for nothing, the first time and every time."""
    put(watched)
    assert await watched.status() == READ
    assert await watched.status() == READ
    put(watched, text=POD.replace("nginx", "other"))
    (file,) = (await watched.reader.scan()).files
    assert "other" in file.text


async def test_a_file_from_another_directory_is_read_at_once(watched: Pods, tmp_path: Path) -> None:
    """A manifest that is made elsewhere on the file system and moved here is whole."""
    (tmp_path / "made").write_text(POD)
    (tmp_path / "made").rename(watched.path / "web.yaml")
    assert await watched.status() == READ


async def test_a_copy_has_to_be_quiet(watched: Pods) -> None:
    """What is written where it is may be half of a file whenever it is looked at."""
    (watched.path / "web.yaml").write_text(POD)
    assert await watched.status() == BUSY


async def test_a_write_after_the_rename_begins_the_second(watched: Pods) -> None:
    """A file that came whole and is then appended to bit by bit is not read in the middle."""
    path = put(watched)
    with path.open("a") as file:
        file.write("# more\n")
    assert await watched.status() == BUSY
    put(watched)
    assert await watched.status() == READ
    path.unlink()
    path.write_text(POD)
    assert await watched.status() == BUSY


async def test_a_file_that_its_writer_still_has_open_is_waited_for(watched: Pods) -> None:
    """A program that renames first and goes on writing is no careful one."""
    part = watched.path / ".part"
    with part.open("w") as file:
        file.write(POD)
        part.rename(watched.path / "web.yaml")
        assert await watched.status() == OPEN
    assert await watched.status() == BUSY


async def test_a_manifest_that_gets_another_name_is_no_fresh_file(watched: Pods) -> None:
    """A file that is being written under a manifest's name does not become whole by a rename."""
    put(watched, via="old.yaml")
    assert await watched.status() == BUSY


async def test_a_file_with_another_name_elsewhere_has_to_be_quiet(watched: Pods, tmp_path: Path) -> None:
    """Writes through a hard link outside of the directory are seen by nobody here."""
    os.link(put(watched), tmp_path / "elsewhere")
    assert await watched.status() == BUSY


async def test_what_was_there_before_has_to_be_quiet(pods: Pods, clocks: Clocks) -> None:
    """Of a file that came before the first scan nobody knows how."""
    put(pods)
    clocks.wall = 0
    assert await pods.status() == BUSY


async def test_another_directory_in_its_place_is_watched(watched: Pods, tmp_path: Path) -> None:
    """A directory that a deployment replaces is looked at with the same eyes."""
    for number in range(3):
        watched.path.rename(tmp_path / f"old{number}")
        watched.path.mkdir()
        put(watched)
        assert await watched.status() == BUSY
        put(watched)
        assert await watched.status() == READ


async def test_a_directory_that_was_removed_is_watched_anew(watched: Pods) -> None:
    """Also when the new one has the old one's inode number."""
    for _ in range(3):
        put(watched)
        (watched.path / "web.yaml").unlink()
        watched.path.rmdir()
        watched.path.mkdir()
        await watched.status()
        put(watched)
        assert await watched.status() == READ


async def test_lost_events_cost_a_second_and_no_truth(watched: Pods) -> None:
    """When the kernel's queue has overflowed nothing is taken for whole that nobody saw come."""
    put(watched)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 3 + 1):
        path = watched.path / f"{number % 7}.tmp"
        path.write_text("x")
        path.unlink()
    assert await watched.status() == BUSY
    put(watched)
    assert await watched.status() == READ


async def test_without_inotify_a_file_has_to_be_quiet(
    pods: Pods, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no inotify instance left on the host all files wait for their second, as ever."""

    def refuse(*_args: object, **_options: object) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(arrivals, "Inotify", refuse)
    assert await pods.status() == {}
    clocks.wall = 0
    put(pods)
    assert await pods.status() == BUSY


async def test_without_leases_a_file_has_to_be_quiet(watched: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can say who has a file open, a rename proves nothing."""
    monkeypatch.setattr(directory, "is_open_for_writing", lambda _fd: None)
    put(watched)
    assert await watched.status() == BUSY


async def test_a_write_in_the_middle_of_the_look_is_noticed(watched: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the first look at a file and its last byte nothing may have been written to it."""
    path = put(watched)
    real = quiet.is_open_for_writing

    def then_write(fd: int) -> bool | None:
        answer = real(fd)
        at = path.stat()
        path.write_text(POD.replace("nginx", "apach"))
        os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
        return answer

    monkeypatch.setattr(directory, "is_open_for_writing", then_write)
    assert await watched.status() == BUSY
