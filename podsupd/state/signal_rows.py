"""Rows of signals in history.db: an id, the pod, and the record as JSON."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from podsupd.model.signals import SignalRecord

CREATE = (
    "CREATE TABLE signals (id INTEGER PRIMARY KEY, pod TEXT NOT NULL, record TEXT NOT NULL)",
    "CREATE INDEX signals_by_pod ON signals (pod, id)",
)
_OF_ALL = "SELECT record FROM signals WHERE id > :since ORDER BY id DESC LIMIT :limit"
_OF_POD = "SELECT record FROM signals WHERE id > :since AND pod = :pod ORDER BY id DESC LIMIT :limit"
_SURPLUS = "DELETE FROM signals WHERE id <= (SELECT id FROM signals ORDER BY id DESC LIMIT 1 OFFSET ?)"
_SLICE = "DELETE FROM signals WHERE id IN (SELECT id FROM signals ORDER BY id LIMIT ?)"

_RECORD = TypeAdapter(SignalRecord)


def write(connection: sqlite3.Connection, records: Sequence[SignalRecord]) -> None:
    """Write records; one with an id that is there already replaces it."""
    rows = [(r.id, _text(r.pod), _text(json.dumps(asdict(r), ensure_ascii=False))) for r in records]
    connection.executemany("INSERT OR REPLACE INTO signals VALUES (?, ?, ?)", rows)


def read(connection: sqlite3.Connection, pod: str | None, since: int, limit: int) -> list[SignalRecord]:
    """Read the newest ``limit`` after ``since``; a row of another release that cannot be read is left out."""
    found: list[SignalRecord] = []
    values = {"since": since, "pod": pod, "limit": limit}
    for (text,) in connection.execute(_OF_ALL if pod is None else _OF_POD, values):
        try:
            found.append(_RECORD.validate_json(text))
        except ValidationError:
            continue
    return found


def prune(connection: sqlite3.Connection, oldest: int, keep: int) -> int:
    """Remove what is older than an id and more than ``keep``; return how many rows went."""
    removed = connection.execute("DELETE FROM signals WHERE id < ?", (oldest,)).rowcount
    return removed + connection.execute(_SURPLUS, (max(0, keep),)).rowcount


def shed(connection: sqlite3.Connection, rows: int) -> int:
    """Remove the oldest rows; return how many there were to remove."""
    return connection.execute(_SLICE, (rows,)).rowcount


def _text(value: str) -> str:
    return value.encode(errors="replace").decode()
