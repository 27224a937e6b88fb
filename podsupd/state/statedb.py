"""state.db: what must be on disk before the action it covers is taken."""

import os
import shutil
import sqlite3
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from podsupd import log
from podsupd.errors import StateUnavailable
from podsupd.model.plan import Intent, PodMemory
from podsupd.ports import Persisted
from podsupd.state.codec import (
    EXPECTATIONS,
    IDENTITY,
    IMAGES,
    INTENT,
    LAST_GOOD,
    MEMORY,
    PROBES,
    Codec,
    Unreadable,
    key_of,
    text_of,
)
from podsupd.state.sqlite import (
    SIDE_FILES,
    Damaged,
    Schema,
    close_quietly,
    damage_told,
    identity,
    open_database,
    primary_code,
    set_aside,
    transaction,
    unavailable,
)
from podsupd.state.worker import DiskThread

T = TypeVar("T")
Key = tuple[str, bytes]
Value = tuple[int, bytes]
Rows = dict[Key, Value]

_SCHEMA = Schema(
    create=(
        (
            "CREATE TABLE entries (kind TEXT NOT NULL, key BLOB NOT NULL, form INTEGER NOT NULL, value BLOB NOT NULL,"
            " PRIMARY KEY (kind, key)) WITHOUT ROWID"
        ),
    ),
    probe="SELECT kind, key, form, value FROM entries LIMIT 0",
    version=1,
    synchronous="FULL",
    whole_check=True,
    kept_aside=5,
)
# Where a copy can be made when the disks are read-only.
_MEMORY = "/dev/shm"  # noqa: S108  a 0700 directory is made in it
_READ = "SELECT kind, key, form, value FROM entries"


@dataclass(slots=True)
class _Save:
    """One caller's change: rows to write (None: to delete); replace: rows of this kind that are not named go."""

    kind: str
    rows: Mapping[bytes, Value | None]
    replace: bool = False
    error: StateUnavailable | None = None

    def apply(self, rows: Rows) -> None:
        if self.replace:
            for key in [k for k in rows if k[0] == self.kind and k[1] not in self.rows]:
                del rows[key]
        for name, value in self.rows.items():
            if value is None:
                rows.pop((self.kind, name), None)
            else:
                rows[self.kind, name] = value


class StateDb:
    """The durable state, implementing ports.State.

    Saves that wait at the same time share one commit, and a value equal to what is on disk is not written again. After
    an error the file is opened anew at the next save, so that it recovers by itself when the disk does; a file that
    was damaged or removed while we ran is made anew with everything that was in it.

    directory: the state directory (``[state] dir``); made 0700 if missing.
    """

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / "state.db"
        self._thread = DiskThread("state.db")
        self._log = log.get("state")
        self._queue: deque[_Save] = deque()
        # The rest is touched on the thread only. _rows: what callers were told is durable (None: never read);
        # _disk: what the open file holds.
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._rows: Rows | None = None
        self._disk: Rows = {}

    async def load(self) -> Persisted:
        """Read everything; a damaged file, a row that does not parse and a disk that is full are told in messages.

        Raises StateUnavailable when there is a file and it cannot be read although nothing says that it is damaged:
        to begin with nothing would forget what an operator has stopped.
        """
        rows, messages = await self._thread.call(self._load)
        dropped: list[_Save] = []

        def parse(codec: Codec[T]) -> dict[str, T]:
            found: dict[str, T] = {}
            for (kind, key), (form, value) in rows.items():
                if kind == codec.kind:
                    try:
                        found[text_of(key)] = codec.load(form, value)
                    except Unreadable as error:
                        messages.append(f"cannot read the {kind} of {text_of(key)} in {self._path}: {error}; dropped")
                        dropped.append(_Save(kind, {key: None}))
            return found

        persisted = Persisted(
            memories=parse(MEMORY),
            intents=parse(INTENT),
            last_good=parse(LAST_GOOD),
            probes=parse(PROBES),
            expectations=parse(EXPECTATIONS),
            images=parse(IMAGES),
            identity=parse(IDENTITY).get("directory"),
            messages=tuple(messages),
        )
        # They leave the file with the next save; nobody waits for that.
        self._queue.extend(dropped)
        return persisted

    async def save_memory(self, pod: str, memory: PodMemory) -> None:
        """Save a pod's memory; raises StateUnavailable."""
        await self._save(_Save(MEMORY.kind, {key_of(pod): (MEMORY.form, MEMORY.dump(memory))}))

    async def save_intent(self, pod: str, intent: Intent) -> None:
        """Save what an operator asked; raises StateUnavailable."""
        await self._save(_Save(INTENT.kind, {key_of(pod): (INTENT.form, INTENT.dump(intent))}))

    async def save_probes(self, pod: str, text: str) -> None:
        """Save a pod's probe states; raises StateUnavailable."""
        await self._save(_Save(PROBES.kind, {key_of(pod): (PROBES.form, PROBES.dump(text))}))

    async def save_expectations(self, pod: str, text: str) -> None:
        """Save what a pod expects of signals; raises StateUnavailable."""
        await self._save(_Save(EXPECTATIONS.kind, {key_of(pod): (EXPECTATIONS.form, EXPECTATIONS.dump(text))}))

    async def forget_pod(self, pod: str) -> None:
        """Drop memory, intent, probe states and expectations of a pod, in one commit; raises StateUnavailable."""
        kinds = (MEMORY.kind, INTENT.kind, PROBES.kind, EXPECTATIONS.kind)
        await self._save(*(_Save(kind, {key_of(pod): None}) for kind in kinds))

    async def save_files(self, last_good: Mapping[str, str], identity: tuple[int, int] | None) -> None:
        """Replace the last good texts and the directory's identity, in one commit; raises StateUnavailable."""
        texts = {key_of(path): (LAST_GOOD.form, LAST_GOOD.dump(text)) for path, text in last_good.items()}
        where = (IDENTITY.form, IDENTITY.dump(identity)) if identity is not None else None
        await self._save(
            _Save(LAST_GOOD.kind, texts, replace=True),
            _Save(IDENTITY.kind, {b"directory": where}),
        )

    async def save_images(self, images: Mapping[str, str]) -> None:
        """Replace the record of images that podsupd pulled; raises StateUnavailable."""
        rows = {key_of(image): (IMAGES.form, IMAGES.dump(name)) for image, name in images.items()}
        await self._save(_Save(IMAGES.kind, rows, replace=True))

    async def close(self) -> None:
        """Write what is queued, fold the WAL into the file and close it; never raises. Later saves are refused."""
        try:
            await self._thread.call(self._close)
        except StateUnavailable as error:
            self._log.warning(str(error))
        self._thread.close()

    async def _save(self, *saves: _Save) -> None:
        self._queue.extend(saves)
        await self._thread.call(self._flush)
        for save in saves:
            if save.error is not None:
                raise StateUnavailable(str(save.error)) from save.error

    # On the thread.

    def _load(self) -> tuple[Rows, list[str]]:
        messages: list[str] = []
        try:
            messages += self._connect()
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY:
                # Somebody may be writing to it: a copy could be half of this and half of that.
                raise unavailable("read", self._path, error) from error
            self._rows, said = self._read_copy(error)
            messages += said
        return dict(self._rows or {}), messages

    def _read_copy(self, error: Exception) -> tuple[Rows, list[str]]:
        """Read a file that cannot be opened for writing (a file system that turned read-only) through a copy."""
        mapped = unavailable("open", self._path, error)
        if not self._path.exists() or self._path.stat().st_size == 0:
            return {}, [f"{mapped}; going on without what it would hold"]
        try:
            with tempfile.TemporaryDirectory(
                prefix="podsupd-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None
            ) as directory:
                copy = Path(directory) / self._path.name
                for suffix in ("", *SIDE_FILES):
                    if Path(f"{self._path}{suffix}").exists():
                        shutil.copyfile(f"{self._path}{suffix}", f"{copy}{suffix}")
                connection, said = open_database(copy, _SCHEMA)
                try:
                    rows = _read(connection)
                finally:
                    connection.close()
        except (sqlite3.Error, OSError, Damaged) as second:
            raise unavailable("read", self._path, second) from error
        damaged = ["it is damaged, too, and nothing of it is used"] if said else []
        return rows, ["; ".join([str(mapped), *damaged])]

    def _flush(self) -> None:
        batch: list[_Save] = []
        while self._queue:
            batch.append(self._queue.popleft())
        if not batch:
            return
        try:
            try:
                self._commit(batch)
            except Damaged as error:
                self._log.error(self._set_aside(error))
                self._commit(batch)
        except (sqlite3.Error, OSError, Damaged) as error:
            self._disconnect()
            mapped = unavailable("save to", self._path, error)
            for save in batch:
                save.error = mapped

    def _commit(self, batch: list[_Save]) -> None:
        if self._connection is not None and identity(self._path) != self._identity:
            self._log.error(f"cannot find {self._path} any more: it was removed or replaced; making it anew")
            self._disconnect()
        for message in self._connect():
            self._log.error(message)
        target = dict(self._rows or {})
        for save in batch:
            save.apply(target)
        self._write(target)
        self._rows = target

    def _connect(self) -> list[str]:
        if self._connection is not None:
            return []
        self._connection, messages = open_database(self._path, _SCHEMA)
        try:
            self._disk = _read(self._connection)
        except Damaged as error:
            messages.append(self._set_aside(error))
            self._connection, _ = open_database(self._path, _SCHEMA)
            self._disk = {}
        self._identity = identity(self._path)
        if self._rows is None:
            self._rows = dict(self._disk)
        return messages

    def _set_aside(self, error: Damaged) -> str:
        self._disconnect()
        return set_aside(self._path, str(error), _SCHEMA.kept_aside)

    def _write(self, target: Rows) -> None:
        gone = [key for key in self._disk if key not in target]
        changed = [(*key, *value) for key, value in target.items() if self._disk.get(key) != value]
        if self._connection is None or not (gone or changed):
            return
        with damage_told(), transaction(self._connection):
            self._connection.executemany("DELETE FROM entries WHERE kind = ? AND key = ?", gone)
            self._connection.executemany(
                "INSERT OR REPLACE INTO entries (kind, key, form, value) VALUES (?, ?, ?, ?)", changed
            )
        self._disk = target

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            close_quietly(connection, self._path, self._log.warning)

    def _close(self) -> None:
        self._flush()
        self._disconnect()


def _read(connection: sqlite3.Connection) -> Rows:
    with damage_told():
        return {(kind, key): (form, value) for kind, key, form, value in connection.execute(_READ)}
