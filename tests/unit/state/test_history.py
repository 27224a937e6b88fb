"""history.db: what is recorded can be read, it is bounded, and no trouble of its disk is anybody else's."""

import asyncio
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from podsupd.engine.events import EventLog
from podsupd.model.plan import Note, Now
from podsupd.model.signals import Consequence, Party, SignalRecord
from podsupd.model.status import Event
from podsupd.state import HistoryDb
from podsupd.state.history import QUEUE_MAX

NOW = 1_800_000_000.0
DAY = 86_400


class BackThen:
    """A clock that was set back by a day."""

    def now(self) -> Now:
        """Return no time at all."""
        return Now(0.0, "boot")

    def wall(self) -> float:
        """Return yesterday's."""
        return NOW - DAY


def event(n: int, pod: str = "web", age_s: float = 0.0, message: str = "it did") -> Event:
    """Make the n-th event, age_s before NOW."""
    moment = NOW - age_s
    time = datetime.fromtimestamp(moment, UTC).isoformat()
    return Event(int(moment * 1_000_000) + n, time, pod, None if n % 2 else "c", "Normal", "Started", message)


def history(directory: Path, *, keep_days: float = 30.0, max_mb: float = 64.0) -> HistoryDb:
    """Open a history whose wall clock stands still and whose batches do not wait."""
    return HistoryDb(str(directory), keep_days, max_mb, batch_s=0.0, wall=lambda: NOW)


async def test_events_come_back_after_a_restart(tmp_path: Path) -> None:
    """What happened before podsupd was restarted can still be read, in order."""
    first = history(tmp_path)
    events = [event(n) for n in range(5)]
    for one in events:
        first.record(one)
    await first.close()
    second = history(tmp_path)
    found = await second.events(None, 0, 100)
    await second.close()
    assert found == events


async def test_newest_of_a_pod_since(tmp_path: Path) -> None:
    """A follower that reconnects gets what it missed of its pod: the newest, oldest first, written or not."""
    db = history(tmp_path)
    events = [event(n, "web" if n % 2 else "other") for n in range(20)]
    for one in events[:10]:
        db.record(one)
    await db._flush()
    for one in events[10:]:
        db.record(one)
    assert await db.events(None, 0, 100) == events
    assert await db.events(None, events[6].id, 100) == events[7:]
    assert await db.events(None, 0, 3) == events[-3:]
    assert await db.events("web", events[2].id, 5) == [e for e in events if e.pod == "web"][-5:]
    assert await db.events("none", 0, 5) == []
    assert await db.events(None, 0, 0) == []
    assert await db.events(None, events[8].id, 4, oldest=True) == events[9:13]
    assert await db.events("web", 0, 2, oldest=True) == [events[1], events[3]]
    assert await db.events(None, 0, 0, oldest=True) == []
    await db.close()


async def test_run_writes_batches(tmp_path: Path) -> None:
    """Events are on disk soon after, not only at the end: a kill -9 costs a second of history."""
    db = history(tmp_path)
    written = asyncio.Event()
    batches: list[int] = []
    loop = asyncio.get_running_loop()
    write = db._write

    def note(batch: list[Event], signals: list[SignalRecord]) -> None:
        write(batch, signals)
        batches.append(len(batch))
        loop.call_soon_threadsafe(written.set)

    db._write = note  # type: ignore[method-assign,assignment]
    run = asyncio.create_task(db.run())
    for n in range(3):
        db.record(event(n))
    await written.wait()
    written.clear()
    db.record(event(3))
    await written.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await db.close()
    assert batches[0] == 3
    assert sum(batches) >= 4


async def test_private(tmp_path: Path) -> None:
    """The history is for root's eyes, as the state is."""
    db = history(tmp_path / "state")
    db.record(event(0))
    await db._flush()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    await db.close()
    assert modes == {"history.db": 0o600, "history.db-wal": 0o600}


async def test_bounded_by_days(tmp_path: Path) -> None:
    """Old events go by themselves, and only those."""
    db = history(tmp_path, keep_days=2)
    for n, days in enumerate([5.0, 3.0, 1.9, 0.1]):
        db.record(event(n, age_s=days * DAY))
    await db._flush()
    found = await db.events(None, 0, 100)
    await db.close()
    assert [e.id for e in found] == [event(2, age_s=1.9 * DAY).id, event(3, age_s=0.1 * DAY).id]


async def test_bounded_by_size(tmp_path: Path) -> None:
    """A crash loop over months never fills the disk: the file stays below its bound and keeps the newest."""
    db = history(tmp_path, max_mb=0.5)
    path = tmp_path / "history.db"
    for batch in range(30):
        for n in range(200):
            db.record(event(batch * 200 + n, message="x" * 200))
        await db._flush()
    found = await db.events(None, 0, 10_000)
    await db.close()
    assert path.stat().st_size <= 500_000
    assert found[-1] == event(5999, message="x" * 200)
    assert found == [event(n, message="x" * 200) for n in range(6000 - len(found), 6000)]
    # The bound is used, not merely kept.
    assert path.stat().st_size > 300_000


async def test_full_disk_costs_history_only(small_disk: Path, fill: Callable[[Path], Path]) -> None:
    """On a full disk recording goes on, events can be read from memory, and are written when there is room."""
    db = history(small_disk)
    db.record(event(0))
    await db._flush()
    taken = fill(small_disk)
    waiting = [event(n, message="x" * 1000) for n in range(1, 100)]
    for one in waiting:
        db.record(one)
    await db._flush()
    assert await db.events(None, 0, 1000) == [event(0), *waiting]
    taken.unlink()
    await db.close()
    again = history(small_disk)
    found = await again.events(None, 0, 1000)
    await again.close()
    assert found == [event(0), *waiting]


async def test_queue_is_bounded_while_the_disk_is_full(small_disk: Path, fill: Callable[[Path], Path]) -> None:
    """A disk that stays full costs the oldest events, counted, and not the memory of the box."""
    fill(small_disk)
    db = history(small_disk)
    for n in range(QUEUE_MAX + 7):
        db.record(event(n))
    await db._flush()
    found = await db.events(None, 0, QUEUE_MAX * 2)
    await db.close()
    assert db.dropped == 7
    assert len(found) == QUEUE_MAX
    assert found[0] == event(7)


async def test_read_only_disk(small_disk: Path) -> None:
    """Flash that turned read-only costs nobody an exception."""
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    db = history(small_disk)
    db.record(event(0))
    await db._flush()
    assert await db.events(None, 0, 10) == [event(0)]
    await db.close()


def text(path: Path) -> None:
    """Not a database at all."""
    path.write_text("history: bunk\n" * 1000)


def damaged_pages(path: Path) -> None:
    """A sound first page and garbage after it, as found by reading only."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


def other_form(path: Path) -> None:
    """A database of a later podsupd."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("damage", [text, damaged_pages, other_form])
async def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Damage costs the history there was; new events are kept and read."""
    first = history(tmp_path)
    for n in range(100):
        first.record(event(n))
    await first.close()
    damage(tmp_path / "history.db")
    db = history(tmp_path)
    assert await db.events(None, 0, 1000) == []
    db.record(event(200))
    await db.close()
    assert (tmp_path / "history.db.corrupt-1").exists()
    again = history(tmp_path)
    found = await again.events(None, 0, 1000)
    await again.close()
    assert found == [event(200)]


async def test_one_damaged_file_is_kept(tmp_path: Path) -> None:
    """Damage that comes again does not fill the flash with old histories."""
    for _ in range(3):
        text(tmp_path / "history.db")
        db = history(tmp_path)
        await db.events(None, 0, 1)
        await db.close()
    assert [p.name for p in tmp_path.glob("*.corrupt-*")] == ["history.db.corrupt-3"]


async def test_a_removed_file_is_made_anew(tmp_path: Path) -> None:
    """After a clean-up job removed it, events go to a file again and not to nowhere."""
    db = history(tmp_path)
    db.record(event(0))
    await db._flush()
    for path in tmp_path.glob("history.db*"):
        path.unlink()
    db.record(event(1))
    await db.close()
    again = history(tmp_path)
    found = await again.events(None, 0, 10)
    await again.close()
    assert found == [event(1)]


async def test_text_that_utf_8_cannot_hold(tmp_path: Path) -> None:
    """A container's broken output in a message does not stop the history."""
    db = history(tmp_path)
    db.record(event(0, message="bad \udcff\ud800"))
    db.record(event(1))
    await db.close()
    again = history(tmp_path)
    found = await again.events(None, 0, 10)
    await again.close()
    assert [e.message for e in found] == ["bad ??", "it did"]


@pytest.mark.looptime
async def test_a_quiet_history_is_pruned_every_hour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bound by age holds on a box where nothing happens any more."""
    db = history(tmp_path)
    flushed = asyncio.Event()

    async def flush() -> None:
        flushed.set()

    monkeypatch.setattr(db, "_flush", flush)
    loop = asyncio.get_running_loop()
    run = asyncio.create_task(db.run())
    began = loop.time()
    await flushed.wait()
    assert loop.time() - began == pytest.approx(3600.0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    monkeypatch.undo()
    db._thread.close()


def signal_record(number: int, pod: str = "web", **more: object) -> SignalRecord:
    """Return a record as the ledger writes it."""
    sender = Party("side", 3, 30, "kill \udcff", "exec", "root")
    led_to = (Consequence("exit", "main", 2, 4.5, 0, None), Consequence("signal", None, None, 5.0, None, "SIGUSR1", 9))
    plain = SignalRecord(
        number, "t", pod, "SIGTERM", "kill", sender, Party("main", 2, 20, "sh"), "delivered", "handler", 41, 7, led_to
    )
    return replace(plain, **more)


async def test_signals_come_back_as_they_were(tmp_path: Path) -> None:
    """The ledger is the same after a restart, by pod and from an id on, and names that are no text do not stop it."""
    db = history(tmp_path, keep_days=40_000)
    clean = replace(signal_record(1).sender, command="kill")
    for record in (signal_record(1), signal_record(2, sender=clean), signal_record(3, "other", sender=clean)):
        db.record_signal(record)
    assert [r.id for r in await db.signals("web", 0, 10)] == [1, 2]
    await db.close()
    again = history(tmp_path, keep_days=40_000)
    assert await again.signals("web", 1, 10) == [signal_record(2, sender=clean)]
    assert [r.id for r in await again.signals(None, 0, 2)] == [2, 3]
    assert [r.id for r in await again.signals(None, 0, 2, oldest=True)] == [1, 2]
    await again.close()


async def test_an_amended_signal_replaces_itself(tmp_path: Path) -> None:
    """An exit that came late is in the record, and the record is there once."""
    db = history(tmp_path, keep_days=40_000)
    db.record_signal(signal_record(1, led_to=()))
    await db._flush()
    db.record_signal(signal_record(1, count=3))
    await db._flush()
    assert [(r.count, len(r.led_to)) for r in await db.signals("web", 0, 10)] == [(3, 2)]
    await db.close()


async def test_only_so_many_signals_are_kept(tmp_path: Path) -> None:
    """The newest signals.keep records stay; events are not shortened for them."""
    db = HistoryDb(str(tmp_path), 30, 64, keep_signals=5, wall=lambda: 0.0)
    db.record(event(1))
    for number in range(1, 20):
        db.record_signal(signal_record(number))
    await db._flush()
    assert [r.id for r in await db.signals("web", 0, 100)] == [15, 16, 17, 18, 19]
    assert len(await db.events(None, 0, 10)) == 1
    await db.close()


async def test_a_clock_that_is_set_forward_makes_nothing_older(tmp_path: Path) -> None:
    """A wrong date from the network does not throw away what happened last week; time that passes does."""
    wall, elapsed = NOW, 0.0
    db = HistoryDb(str(tmp_path), 30, 64, batch_s=0.0, wall=lambda: wall, elapsed=lambda: elapsed)
    for one in (event(1, age_s=29 * DAY), event(2)):
        db.record(one)
    await db._flush()
    wall += 3650 * DAY
    db.record(event(3))
    await db._flush()
    assert len(await db.events(None, 0, 10)) == 3
    elapsed += 2 * DAY
    db.record(event(4))
    await db._flush()
    assert [e.id - event(0).id for e in await db.events(None, 0, 10)] == [2, 3, 4]
    await db.close()


async def test_the_highest_numbers_are_known(tmp_path: Path) -> None:
    """So that what happens after the clock was set back is still told to who has seen the newest."""
    db = history(tmp_path, keep_days=40_000)
    assert await db.newest() == (0, 0)
    db.record(event(7))
    db.record_signal(signal_record(3))
    await db._flush()
    assert await db.newest() == (event(7).id, 3)
    log = EventLog(db, BackThen())
    log.number_after((await db.newest())[0])
    log.note("web", Note("Normal", "Started", "later, by a clock that was set back"))
    found = await db.events(None, event(7).id, 10)
    assert [e.message for e in found] == ["later, by a clock that was set back"]
    await db.close()
