"""history.db: what happened, bounded and expendable; a full disk costs history and nothing else."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from podsupd import log
from podsupd.errors import StateUnavailable
from podsupd.model.signals import SignalRecord
from podsupd.model.status import Event
from podsupd.state import signal_rows
from podsupd.state.sqlite import (
    Damaged,
    Schema,
    close_quietly,
    damage_told,
    identity,
    open_database,
    set_aside,
    transaction,
    unavailable,
)
from podsupd.state.worker import DiskThread

T = TypeVar("T")

QUEUE_MAX = 10_000
PRUNE_INTERVAL_S = 3600.0
# Rows that go at once when the file is too large: enough to free a page, few enough to keep what fits.
SLICE = 200

_SCHEMA = Schema(
    create=(
        (
            "CREATE TABLE events (id INTEGER PRIMARY KEY, time TEXT NOT NULL, pod TEXT NOT NULL, container TEXT,"
            " type TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL)"
        ),
        "CREATE INDEX events_by_pod ON events (pod, id)",
        *signal_rows.CREATE,
    ),
    probe="SELECT id, time, pod, container, type, reason, message FROM events LIMIT 0",
    version=2,
    # Without a sync for each batch a power cut costs the last seconds and harms nothing.
    synchronous="NORMAL",
    # It may be 64 MB, on slow flash; damage in it is told when it is met.
    whole_check=False,
    kept_aside=1,
    wal_pages=256,
)
_OF_ALL = "SELECT * FROM events WHERE id > :since ORDER BY id {order} LIMIT :limit"
_OF_POD = "SELECT * FROM events WHERE id > :since AND pod = :pod ORDER BY id {order} LIMIT :limit"
_DELETE_SLICE = "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)"


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class HistoryDb:
    """The history, implementing ports.History.

    record() queues; run() writes a batch a second. While the disk is full or failing the newest QUEUE_MAX events wait
    in memory and the oldest are dropped, counted in ``dropped``. All methods are for the event loop's thread.

    Args:
        directory: the state directory.
        keep_days: older events are removed (by the wall clock, since that is what an event's id is made of).
        keep_signals: so many of the newest signal records are kept.
        max_mb: the file is kept below this many MB (10**6 bytes); the WAL beside it is folded in at 1 MB.
        batch_s: seconds that a batch is collected for.
        wall: epoch seconds. elapsed: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        directory: str,
        keep_days: float,
        max_mb: float,
        *,
        keep_signals: int = 100_000,
        batch_s: float = 1.0,
        wall: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = _boottime,
    ) -> None:
        self._path = Path(directory) / "history.db"
        self._keep_days = keep_days
        self._max_bytes = int(max_mb * 1_000_000)
        self._keep_signals = keep_signals
        self._batch_s = batch_s
        self._wall = wall
        self._elapsed = elapsed
        self._began = wall() - elapsed()
        self._thread = DiskThread("history.db")
        self._log = log.get("state")
        self._pending: dict[int, Event] = {}
        self._signals: dict[int, SignalRecord] = {}
        self._wake = asyncio.Event()
        self._trouble = ""
        self.dropped = 0
        # Touched on the thread only.
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def record(self, event: Event) -> None:
        """Queue an event for the next batch; never blocks and never fails."""
        self._pending[event.id] = event
        if len(self._pending) > QUEUE_MAX:
            del self._pending[next(iter(self._pending))]
            self.dropped += 1
        self._wake.set()

    def record_signal(self, record: SignalRecord) -> None:
        """Queue a signal; one with an id that is there already replaces it. Never blocks and never fails."""
        self._signals[record.id] = record
        if len(self._signals) > QUEUE_MAX:
            del self._signals[next(iter(self._signals))]
            self.dropped += 1
        self._wake.set()

    async def run(self) -> None:
        """Write batches for ever; on errors say so once, keep the events and try again."""
        while True:
            try:
                async with asyncio.timeout(PRUNE_INTERVAL_S):
                    await self._wake.wait()
            except TimeoutError:
                # Nothing new: the bound by age holds all the same.
                pass
            else:
                await asyncio.sleep(self._batch_s)
            self._wake.clear()
            await self._flush()
            if self._pending or self._signals:
                self._wake.set()

    async def events(self, pod: str | None, since: int, limit: int, *, oldest: bool = False) -> list[Event]:
        """Read the newest ``limit`` events with an id above ``since``, or the oldest, those not yet written included.

        Oldest first. Only those not yet written when the file cannot be read.
        """
        found = {e.id: e for e in self._pending.values() if e.id > since and pod in {None, e.pod}}
        try:
            for event in await self._thread.call(lambda: self._read(pod, since, limit, oldest=oldest)):
                found.setdefault(event.id, event)
        except StateUnavailable as error:
            self._say(str(error))
        return _some([found[number] for number in sorted(found)], limit, oldest=oldest)

    async def signals(self, pod: str | None, since: int, limit: int, *, oldest: bool = False) -> list[SignalRecord]:
        """Read the newest ``limit`` signals with an id above ``since``, or the oldest, as ``events`` does."""
        found = {r.id: r for r in self._signals.values() if r.id > since and pod in {None, r.pod}}

        def read(connection: sqlite3.Connection) -> list[SignalRecord]:
            return signal_rows.read(connection, pod, since, limit, oldest=oldest)

        try:
            for record in await self._thread.call(lambda: self._do("read", read)):
                found.setdefault(record.id, record)
        except StateUnavailable as error:
            self._say(str(error))
        return _some([found[number] for number in sorted(found)], limit, oldest=oldest)

    async def newest(self) -> tuple[int, int]:
        """Return the highest ids of an event and of a signal, 0 for none or when the file cannot be read."""
        try:
            return await self._thread.call(lambda: self._do("read", _newest))
        except StateUnavailable as error:
            self._say(str(error))
            return 0, 0

    async def close(self) -> None:
        """Write what is queued and close the file; never raises."""
        if self._pending or self._signals:
            await self._flush()
        try:
            await self._thread.call(self._disconnect)
        except StateUnavailable as error:
            self._say(str(error))
        self._thread.close()

    async def _flush(self) -> None:
        batch = list(self._pending.values())
        signals = list(self._signals.values())
        try:
            await self._thread.call(lambda: self._write(batch, signals))
        except StateUnavailable as error:
            self._say(str(error))
            return
        self._trouble = ""
        for record in signals:
            # One that was amended while it was being written is written again.
            if self._signals.get(record.id) is record:
                del self._signals[record.id]
        for event in batch:
            if self._pending.pop(event.id, None) is None:
                # It was dropped from the queue while it was being written.
                self.dropped -= 1

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.warning(f"{trouble}; events wait in memory", dropped=self.dropped)

    # On the thread.

    def _write(self, batch: Sequence[Event], signals: Sequence[SignalRecord]) -> None:
        rows = [tuple(map(_storable, (e.id, e.time, e.pod, e.container, e.type, e.reason, e.message))) for e in batch]

        def write(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                connection.executemany("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                signal_rows.write(connection, signals)
            self._prune(connection)

        self._do("write to", write)

    def _read(self, pod: str | None, since: int, limit: int, *, oldest: bool) -> list[Event]:
        query = (_OF_ALL if pod is None else _OF_POD).format(order="ASC" if oldest else "DESC")

        def read(connection: sqlite3.Connection) -> list[Event]:
            values = {"since": since, "pod": pod, "limit": limit}
            return [Event(*row) for row in connection.execute(query, values)]

        return self._do("read", read)

    def _prune(self, connection: sqlite3.Connection) -> None:
        # A clock that is set forward, rightly or by mistake, makes nothing older than it is.
        now = min(self._wall(), self._began + self._elapsed())
        oldest = int((now - self._keep_days * 86_400) * 1_000_000)
        removed = connection.execute("DELETE FROM events WHERE id < ?", (oldest,)).rowcount
        removed += signal_rows.prune(connection, oldest, self._keep_signals)
        while removed or _size(connection) > self._max_bytes:
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            if _size(connection) <= self._max_bytes:
                return
            removed = signal_rows.shed(connection, SLICE) or connection.execute(_DELETE_SLICE, (SLICE,)).rowcount
            if not removed:
                return

    def _do(self, verb: str, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            try:
                return self._attempt(job)
            except Damaged as error:
                self._disconnect()
                self._log.warning(set_aside(self._path, str(error), _SCHEMA.kept_aside))
                return self._attempt(job)
        except (sqlite3.Error, OSError, Damaged) as error:
            self._disconnect()
            raise unavailable(verb, self._path, error) from error

    def _attempt(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is not None and identity(self._path) != self._identity:
            self._disconnect()
        if self._connection is None:
            self._connection, messages = open_database(self._path, _SCHEMA)
            self._connection.text_factory = lambda text: text.decode(errors="replace")
            self._identity = identity(self._path)
            for message in messages:
                self._log.warning(message)
        with damage_told():
            return job(self._connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            close_quietly(connection, self._path, self._log.warning)


def _some(found: list[T], limit: int, *, oldest: bool) -> list[T]:
    return found[:limit] if oldest else found[max(0, len(found) - limit) :]


def _newest(connection: sqlite3.Connection) -> tuple[int, int]:
    found = (connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0] for table in ("events", "signals"))  # noqa: S608
    events, signals = (int(number or 0) for number in found)
    return events, signals


def _size(connection: sqlite3.Connection) -> int:
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    page: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return pages * page


def _storable(value: int | str | None) -> int | str | None:
    """Replace lone surrogates (a container's output decoded as the file system's) which SQLite refuses."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
