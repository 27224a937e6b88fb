"""state.db on a full disk, after damage, and after kill -9."""

import asyncio
import os
import secrets
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from state.saved import INTENT, MEMORY, saved

from podsupd.errors import StateUnavailable
from podsupd.model.life import Trouble
from podsupd.model.plan import PodMemory
from podsupd.state import StateDb

GARBAGE = bytes(range(256)) * 16


def garbage(path: Path) -> None:
    """Garbage from the first byte on."""
    path.write_bytes(GARBAGE * 2)


def damaged_page(path: Path) -> None:
    """A sound header and a page of garbage."""
    data = bytearray(path.read_bytes())
    data[4096:8192] = GARBAGE
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    """The end is missing, as after a copy to a full disk."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text(path: Path) -> None:
    """Not a database at all."""
    path.write_text("state: good\n" * 100)


def other_form(path: Path) -> None:
    """A database of a later podsupd."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_tables(path: Path) -> None:
    """Somebody else's database."""
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entries (a, b)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def directory(path: Path) -> None:
    """Not a file."""
    path.unlink()
    path.mkdir()


DAMAGES = [garbage, damaged_page, cut_short, text, other_form, other_tables, directory]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A dying SD card costs the memory, with a message and the file kept for a look, never the start."""
    await saved(tmp_path)
    damage(tmp_path / "state.db")
    db = StateDb(str(tmp_path))
    found = await db.load()
    assert len(found.messages) == 1
    assert found.messages[0].startswith(f"cannot read {tmp_path}/state.db: ")
    assert "it is set aside as state.db.corrupt-1 and a new one is begun" in found.messages[0]
    assert found.memories == {}
    await db.save_memory("web", MEMORY)
    await db.close()
    assert (tmp_path / "state.db.corrupt-1").exists()
    db = StateDb(str(tmp_path))
    again = await db.load()
    await db.close()
    assert again.messages == ()
    assert again.memories == {"web": MEMORY}


async def test_set_aside_files_are_numbered_and_bounded(tmp_path: Path) -> None:
    """A disk that damages the file again and again is not filled with the remains."""
    for _ in range(7):
        text(tmp_path / "state.db")
        db = StateDb(str(tmp_path))
        await db.load()
        await db.close()
    assert sorted(p.name for p in tmp_path.glob("*.corrupt-*")) == [f"state.db.corrupt-{n}" for n in (3, 4, 5, 6, 7)]


async def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """A power cut between making the file and writing it is a first start, not a fault."""
    (tmp_path / "state.db").touch()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert found.messages == ()


async def test_damage_while_running_loses_nothing(tmp_path: Path) -> None:
    """A file that goes bad under a running podsupd is made anew with everything that was in it."""
    await saved(tmp_path)
    db = StateDb(str(tmp_path))
    await db.load()
    damaged_page(tmp_path / "state.db")
    # The page cache of the open connection hides the damage until it is read again.
    await db._thread.call(db._disconnect)
    await db.save_memory("other", MEMORY)
    await db.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert set(found.memories) == {"web", "other"}
    assert found.intents == {"web": INTENT}
    assert (tmp_path / "state.db.corrupt-1").exists()


async def test_a_removed_file_is_made_anew(tmp_path: Path) -> None:
    """A clean-up job that removes state.db under a running podsupd does not make its saves go nowhere."""
    await saved(tmp_path)
    db = StateDb(str(tmp_path))
    await db.load()
    for path in tmp_path.glob("state.db*"):
        path.unlink()
    await db.save_memory("other", MEMORY)
    await db.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert set(found.memories) == {"web", "other"}


async def test_full_disk(small_disk: Path, fill: Callable[[Path], Path]) -> None:
    """A full disk refuses saves with the way out, keeps what was saved, and saving goes on when there is room."""
    db = StateDb(str(small_disk))
    await db.load()
    await db.save_memory("web", MEMORY)
    taken = fill(small_disk)
    large = PodMemory(troubles={"": Trouble("x" * 100_000, 1, 0.0, "")})
    for _ in range(3):
        with pytest.raises(StateUnavailable, match=r"cannot save to .*/state\.db: .*full; make room"):
            await db.save_memory("other", large)
    await db.save_memory("web", MEMORY)
    taken.unlink()
    await db.save_memory("other", MEMORY)
    await db.close()
    db = StateDb(str(small_disk))
    found = await db.load()
    await db.close()
    assert found.messages == ()
    assert found.memories == {"web": MEMORY, "other": MEMORY}


async def test_start_on_a_full_disk(small_disk: Path, fill: Callable[[Path], Path]) -> None:
    """A restart while the disk is full still knows what the operator stopped, the WAL of a killed podsupd included."""
    killed = StateDb(str(small_disk))
    await killed.load()
    await killed.save_intent("web", INTENT)
    fill(small_disk)
    # A process that is killed leaves its files as they are and its locks free.
    files = {path.name: path.read_bytes() for path in small_disk.glob("state.db*")}
    await killed.close()
    for name, data in files.items():
        (small_disk / name).write_bytes(data)
    assert "state.db-wal" in files
    db = StateDb(str(small_disk))
    found = await db.load()
    await db.close()
    assert found.intents == {"web": INTENT}


async def test_first_start_on_a_full_disk(small_disk: Path, fill: Callable[[Path], Path]) -> None:
    """A first start on a full disk goes on without state, says so, and saves as soon as there is room."""
    taken = fill(small_disk)
    db = StateDb(str(small_disk))
    found = await db.load()
    assert found.memories == {}
    assert len(found.messages) == 1
    assert "going on without" in found.messages[0]
    taken.unlink()
    await db.save_memory("web", MEMORY)
    await db.close()
    db = StateDb(str(small_disk))
    assert (await db.load()).memories == {"web": MEMORY}
    await db.close()


async def test_read_only_disk(small_disk: Path) -> None:
    """Flash that turned read-only still tells the state, and each save says that it was not made."""
    killed = StateDb(str(small_disk))
    await killed.load()
    await killed.save_intent("web", INTENT)
    files = {path.name: path.read_bytes() for path in small_disk.glob("state.db*")}
    await killed.close()
    for name, data in files.items():
        (small_disk / name).write_bytes(data)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    db = StateDb(str(small_disk))
    found = await db.load()
    assert found.intents == {"web": INTENT}
    assert len(found.messages) == 1
    assert "Read-only file system" in found.messages[0]
    with pytest.raises(StateUnavailable, match="Read-only file system"):
        await db.save_memory("web", MEMORY)
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    await db.save_memory("web", MEMORY)
    await db.close()
    db = StateDb(str(small_disk))
    again = await db.load()
    await db.close()
    assert again.memories == {"web": MEMORY}
    assert again.intents == {"web": INTENT}


async def test_a_file_in_use_is_not_taken_for_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A back-up that holds the file at the start does not make podsupd forget what was stopped."""
    monkeypatch.setattr("podsupd.state.sqlite.BUSY_TIMEOUT_S", 0.01)
    await saved(tmp_path)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    db = StateDb(str(tmp_path))
    with pytest.raises(StateUnavailable, match="another program has it open"):
        await db.load()
    with pytest.raises(StateUnavailable, match="another program has it open"):
        await db.save_memory("other", MEMORY)
    other.close()
    assert (await db.load()).intents == {"web": INTENT}
    await db.close()


async def test_a_disk_that_hangs(tmp_path: Path) -> None:
    """A disk that answers nothing costs a bounded wait, not a worker for ever."""
    db = StateDb(str(tmp_path))
    await db.load()
    gate, answer = os.pipe()
    hung = asyncio.get_running_loop().run_in_executor(db._thread._executor, os.read, gate, 1)
    db._thread._timeout_s = 0.05
    with pytest.raises(StateUnavailable, match=r"did not answer within 0\.05 s"):
        await db.save_memory("web", MEMORY)
    db._thread._timeout_s = 30.0
    os.write(answer, b"x")
    await hung
    os.close(gate)
    os.close(answer)
    await db.save_memory("other", MEMORY)
    await db.close()
    db = StateDb(str(tmp_path))
    assert set((await db.load()).memories) == {"web", "other"}
    await db.close()


WRITER = """
    import asyncio, sys
    from podsupd.model.life import Trouble
    from podsupd.model.plan import PodMemory
    from podsupd.state import StateDb

    async def main():
        db = StateDb(sys.argv[1])
        found = await db.load()
        assert not found.messages, found.messages
        n = max((m.restart_generation for m in found.memories.values()), default=0)
        while True:
            n += 1
            padding = {"": Trouble("x" * (n % 3000), 1, 0.0, "")}
            await db.save_memory(f"pod-{n % 5}", PodMemory(troubles=padding, restart_generation=n))
            print(n, flush=True)

    asyncio.run(main())
"""


async def test_kill_9_at_any_moment(tmp_path: Path, python: Callable[..., subprocess.Popen[str]]) -> None:
    """Whenever podsupd is killed, what a save had promised is there, and the file is sound."""
    for _ in range(20):
        writer = python(WRITER, tmp_path)
        assert writer.stdout is not None
        # The kill falls somewhere into the saves that follow this many.
        for _ in range(1 + secrets.randbelow(60)):
            last = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split("\n")[:-1]
        last = int(rest[-1]) if rest else last
        writer.wait()
        db = StateDb(str(tmp_path))
        found = await db.load()
        await db.close()
        assert found.messages == ()
        newest = max(m.restart_generation for m in found.memories.values())
        # One more may have been durable before it could be said.
        assert newest in {last, last + 1}
