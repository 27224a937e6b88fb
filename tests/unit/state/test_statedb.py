"""state.db on a sound disk, on a full one, after damage and after kill -9."""

import asyncio
import os
import secrets
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from podsupd.errors import StateUnavailable
from podsupd.model.observed import Incarnation
from podsupd.model.plan import ContainerMemory, Death, Intent, PodMemory, Trouble
from podsupd.state import StateDb

DEATH = Death(Incarnation("c" * 64, "2026-01-01T00:00:00Z"), 137, "SIGKILL", "Error", "killed", 1.5, 2.5)
MEMORY = PodMemory(containers={"web": ContainerMemory(failures=3, restarts=7, last_death=DEATH)})
INTENT = Intent(stopped=True, stopped_containers=frozenset({"b", "a"}), container_restarts={"a": 2})


async def saved(directory: Path) -> None:
    """Write one of everything and close."""
    db = StateDb(str(directory))
    await db.load()
    await db.save_memory("web", MEMORY)
    await db.save_intent("web", INTENT)
    await db.save_files({"/etc/pods/web.yaml": "kind: Pod\n"}, (7, 8))
    await db.close()


async def test_everything_comes_back(tmp_path: Path) -> None:
    """A restart of podsupd forgets no crash, no wish of the operator and no last good manifest."""
    await saved(tmp_path)
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert found.memories == {"web": MEMORY}
    assert found.intents == {"web": INTENT}
    assert found.last_good == {"/etc/pods/web.yaml": "kind: Pod\n"}
    assert found.identity == (7, 8)
    assert found.messages == ()


async def test_first_start_is_empty_and_private(tmp_path: Path) -> None:
    """On a new host nothing has to be made by hand, and manifests with secrets are nobody else's to read."""
    directory = tmp_path / "new" / "state"
    db = StateDb(str(directory))
    found = await db.load()
    await db.save_memory("web", MEMORY)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    await db.close()
    assert (found.memories, found.intents, found.last_good, found.identity) == ({}, {}, {}, None)
    assert found.messages == ()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600}


async def test_a_file_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A state.db that was copied back with a wide mode is made private again."""
    await saved(tmp_path)
    (tmp_path / "state.db").chmod(0o644)
    db = StateDb(str(tmp_path))
    await db.load()
    await db.close()
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


async def test_commits_are_synced(tmp_path: Path) -> None:
    """A save that returned is on disk, not only in the kernel's memory."""
    db = StateDb(str(tmp_path))
    await db.load()
    connection = db._connection
    assert connection is not None

    def pragmas() -> list[object]:
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]

    found = await db._thread.call(pragmas)
    await db.close()
    assert found == [2, "wal"]


async def test_forget_pod(tmp_path: Path) -> None:
    """A pod of the same name that comes later does not inherit another's crashes or stops."""
    await saved(tmp_path)
    db = StateDb(str(tmp_path))
    await db.load()
    await db.save_memory("other", MEMORY)
    await db.forget_pod("web")
    await db.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert set(found.memories) == {"other"}
    assert found.intents == {}


async def test_save_files_replaces_the_whole_map(tmp_path: Path) -> None:
    """A file that was removed for good does not come back as a last good one."""
    await saved(tmp_path)
    db = StateDb(str(tmp_path))
    await db.load()
    await db.save_files({"/etc/pods/\udcff.yaml": "kind: \udcfe\n"}, None)
    await db.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert found.last_good == {"/etc/pods/\udcff.yaml": "kind: \udcfe\n"}
    assert found.identity is None


async def test_equal_values_are_not_written_again(tmp_path: Path) -> None:
    """A quiet box does not wear out its flash."""
    db = StateDb(str(tmp_path))
    await db.load()
    await db.save_memory("web", MEMORY)
    wal = tmp_path / "state.db-wal"
    before = wal.stat().st_size, wal.stat().st_mtime_ns
    for _ in range(3):
        await db.save_memory("web", PodMemory(containers=dict(MEMORY.containers)))
    after = wal.stat().st_size, wal.stat().st_mtime_ns
    await db.save_memory("web", PodMemory(restart_generation=1))
    changed = wal.stat().st_size, wal.stat().st_mtime_ns
    await db.close()
    assert after == before
    assert changed != before


async def test_saves_at_once_share_a_commit_and_are_all_kept(tmp_path: Path) -> None:
    """Twenty pods that come up together do not wait for twenty syncs of slow flash, and none is lost."""
    db = StateDb(str(tmp_path))
    await db.load()
    statements: list[str] = []
    connection = db._connection
    assert connection is not None
    await db._thread.call(lambda: connection.set_trace_callback(statements.append))
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(db.save_memory(f"pod-{n}", PodMemory(restart_generation=n)))
    await db.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert {name: m.restart_generation for name, m in found.memories.items()} == {f"pod-{n}": n for n in range(20)}
    assert statements.count("COMMIT") < 20


@pytest.mark.parametrize(
    ("kind", "form", "value", "reason"),
    [
        ("memory", 2, b"{}", "form 2"),
        ("memory", 1, b'{"containers": 5}', "containers"),
        ("memory", 1, b"{", "JSON"),
        ("memory", 1, b"\xff", "JSON"),
        ("intent", 1, b'{"stopped": "perhaps"}', "stopped"),
        ("last_good", 9, b"kind: Pod", "form 9"),
        ("identity", 1, b"[1]", "identity"),
    ],
)
async def test_a_row_that_does_not_parse_is_dropped_alone(
    tmp_path: Path, kind: str, form: int, value: bytes, reason: str
) -> None:
    """A downgrade costs what this release cannot read, says so once, and nothing else."""
    await saved(tmp_path)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", (kind, b"directory", form, value))
    connection.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.save_memory("x", MEMORY)
    await db.close()
    assert len(found.messages) == 1
    assert found.messages[0].startswith(f"cannot read the {kind} of directory in {tmp_path}/state.db: ")
    assert reason in found.messages[0]
    assert found.memories["web"] == MEMORY
    assert found.intents["web"] == INTENT
    assert "/etc/pods/web.yaml" in found.last_good
    db = StateDb(str(tmp_path))
    assert (await db.load()).messages == ()
    await db.close()


async def test_unknown_fields_are_passed_over(tmp_path: Path) -> None:
    """A downgrade by one release that only knows fewer fields loses nothing else of a pod's memory."""
    await saved(tmp_path)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        value = b'{"restart_generation": 4, "from_the_future": true}'
        connection.execute("INSERT INTO entries VALUES ('memory', ?, 1, ?)", (b"later", value))
    connection.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert found.memories["later"].restart_generation == 4
    assert found.messages == ()


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


async def test_after_close_saves_are_refused(tmp_path: Path) -> None:
    """A save that comes too late is an error, not a silent loss."""
    db = StateDb(str(tmp_path))
    await db.load()
    await db.close()
    with pytest.raises(StateUnavailable, match="it is closed"):
        await db.save_memory("web", MEMORY)


WRITER = """
    import asyncio, sys
    from podsupd.model.plan import PodMemory, Trouble
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
