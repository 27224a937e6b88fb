"""state.db on a sound disk."""

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest
from state.saved import INTENT, MEMORY, saved

from podsupd.errors import StateUnavailable
from podsupd.model.plan import PodMemory
from podsupd.state import StateDb
from podsupd.state.sqlite import CACHE_KIB


async def test_everything_comes_back(tmp_path: Path) -> None:
    """A restart of podsupd forgets no crash, no wish of the operator and no last good manifest."""
    await saved(tmp_path)
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert found.memories == {"web": MEMORY}
    assert found.intents == {"web": INTENT}
    assert found.last_good == {"/etc/pods/web.yaml": "kind: Pod\n"}
    assert found.expectations == {"web": "expected"}
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


async def pragmas(db: StateDb, *names: str) -> list[object]:
    """Return settings of an open database."""
    connection = db._connection
    assert connection is not None
    return await db._thread.call(lambda: [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names])


async def test_commits_are_synced(tmp_path: Path) -> None:
    """A save that returned is on disk, not only in the kernel's memory."""
    db = StateDb(str(tmp_path))
    await db.load()
    found = await pragmas(db, "synchronous", "journal_mode")
    await db.close()
    assert found == [2, "wal"]


async def test_a_database_takes_little_memory(tmp_path: Path) -> None:
    """A daemon that has run for a year has no more pages in memory than one that has run for an hour."""
    db = StateDb(str(tmp_path))
    await db.load()
    found = await pragmas(db, "cache_size")
    await db.close()
    assert found == [-CACHE_KIB]


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
    assert found.expectations == {}


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


async def test_save_images_replaces_the_whole_map(tmp_path: Path) -> None:
    """An image that is gone is not taken for ours when somebody else brings it back."""
    db = StateDb(str(tmp_path))
    await db.load()
    await db.save_images({"a": "app:1", "b": "app:2"})
    await db.save_images({"b": "app:2"})
    await db.close()
    db = StateDb(str(tmp_path))
    found = await db.load()
    await db.close()
    assert found.images == {"b": "app:2"}


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


async def test_after_close_saves_are_refused(tmp_path: Path) -> None:
    """A save that comes too late is an error, not a silent loss."""
    db = StateDb(str(tmp_path))
    await db.load()
    await db.close()
    with pytest.raises(StateUnavailable, match="it is closed"):
        await db.save_memory("web", MEMORY)
