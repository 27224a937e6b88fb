"""Rows of signals in history.db: an id, the pod, and the record as JSON."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice

from pydantic import TypeAdapter, ValidationError

from podsupd.model.signals import SignalRecord

CREATE = (
    "CREATE TABLE signals (id INTEGER PRIMARY KEY, pod TEXT NOT NULL, record TEXT NOT NULL)",
    "CREATE INDEX signals_by_pod ON signals (pod, id)",
)
_OF_ALL = "SELECT record FROM signals WHERE id > :since ORDER BY id"
_OF_POD = "SELECT record FROM signals WHERE id > :since AND pod = :pod ORDER BY id"
_SURPLUS = "DELETE FROM signals WHERE id <= (SELECT id FROM signals ORDER BY id DESC LIMIT 1 OFFSET ?)"
_SLICE = "DELETE FROM signals WHERE id IN (SELECT id FROM signals ORDER BY id LIMIT ?)"

_RECORD = TypeAdapter(SignalRecord)


def write(connection: sqlite3.Connection, records: Sequence[SignalRecord]) -> None:
    """Write records; one with an id that is there already replaces it."""
    rows = [(r.id, _text(r.pod), _text(json.dumps(asdict(r), ensure_ascii=False))) for r in records]
    connection.executemany("INSERT OR REPLACE INTO signals VALUES (?, ?, ?)", rows)


def read(
    connection: sqlite3.Connection, pod: str | None, since: int, limit: int, *, oldest: bool
) -> list[SignalRecord]:
    """Read the newest ``limit`` after ``since``, or the oldest; what cannot be read is of another release: left out."""
    query = (_OF_ALL if pod is None else _OF_POD) + ("" if oldest else " DESC")
    return list(islice(_readable(connection.execute(query, {"since": since, "pod": pod})), limit))


def _readable(rows: Iterable[tuple[str]]) -> Iterator[SignalRecord]:
    for (text,) in rows:
        with suppress(ValidationError):
            yield _RECORD.validate_json(text)


def prune(connection: sqlite3.Connection, oldest: int, keep: int) -> int:
    """Remove what is older than an id and more than ``keep``; return how many rows went."""
    removed = connection.execute("DELETE FROM signals WHERE id < ?", (oldest,)).rowcount
    return removed + connection.execute(_SURPLUS, (max(0, keep),)).rowcount


def shed(connection: sqlite3.Connection, rows: int) -> int:
    """Remove the oldest rows; return how many there were to remove."""
    return connection.execute(_SLICE, (rows,)).rowcount


def _text(value: str) -> str:
    return value.encode(errors="replace").decode()
