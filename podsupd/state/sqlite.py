"""One SQLite file: opening it, telling damage from trouble, setting a damaged file aside.

Both databases are WAL: a commit is one sequential append and one sync, where a rollback journal with the same promise
(synchronous=EXTRA) syncs the journal, the database and the directory. On cheap flash that is most of the cost of a
save. A torn append is told by the frames' checksums and ignored; a torn checkpoint is done again from the WAL.

Both are opened with locking_mode=EXCLUSIVE: there is one user, and so no ``-shm`` file, which could not be made on
a full disk just when the rows have to be read.
"""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from podsupd.errors import StateUnavailable

SIDE_FILES = ("-wal", "-shm", "-journal")
BUSY_TIMEOUT_S = 5.0
CACHE_KIB = 256
"""Of pages in our own memory, 2 MB by default for each database; the kernel has them besides, and can let them go."""
_PRIVATE = 0o600
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(Exception):  # noqa: N818  a state of the file, handled inside this room
    """The file is not a sound database of ours."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The form of a database file.

    create: statements for an empty file. probe: a query that fails where the tables are not ours. version: PRAGMA
    user_version; another one is not read. synchronous: FULL or NORMAL. whole_check: quick_check at every opening.
    kept_aside: how many damaged files are kept; older ones are removed, since flash is small.
    """

    create: tuple[str, ...]
    probe: str
    version: int
    synchronous: str
    whole_check: bool
    kept_aside: int
    wal_pages: int = 64


def open_database(path: Path, schema: Schema) -> tuple[sqlite3.Connection, list[str]]:
    """Open or create the file, 0600; a damaged one is set aside and a new one begun, with a message for the user.

    Raises sqlite3.Error or OSError when the disk is full, read-only or failing.
    """
    try:
        return _open(path, schema), []
    except Damaged as error:
        message = set_aside(path, str(error), schema.kept_aside)
        return _open(path, schema), [message]


def _open(path: Path, schema: Schema) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise Damaged("it is not a regular file")
    # SQLite gives -wal the mode of the database, so only this one has to be made with care.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        if stat.S_IMODE(os.fstat(fd).st_mode) != _PRIVATE:
            os.fchmod(fd, _PRIVATE)
    finally:
        os.close(fd)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        with damage_told():
            _prepare(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, schema: Schema) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    new = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if new:
        # Before the first page is written; on a file that exists it would be a write, which a full disk refuses.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={schema.synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint={schema.wal_pages}")
    connection.execute(f"PRAGMA journal_size_limit={schema.wal_pages * 4096}")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    if schema.whole_check:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise Damaged(str(found))
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if new and version == 0:
        with transaction(connection):
            for statement in schema.create:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={schema.version}")
    elif version != schema.version:
        raise Damaged(f"it is of form {version}, this podsupd knows form {schema.version}")
    try:
        connection.execute(schema.probe).fetchall()
    except sqlite3.OperationalError as error:
        if primary_code(error) == sqlite3.SQLITE_ERROR:
            raise Damaged(str(error)) from error
        raise


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside, or roll all of it back."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after a full disk or an I/O error.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Turn SQLite's two words for a damaged file into Damaged; other errors pass."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if primary_code(error) in _DAMAGE:
            raise Damaged(str(error)) from error
        raise


def close_quietly(connection: sqlite3.Connection, path: Path, tell: Callable[[str], object]) -> None:
    """Close a connection; what goes wrong is told, since nothing is lost by it that was not before."""
    try:
        connection.close()
    except sqlite3.Error as error:
        tell(str(unavailable("close", path, error)))


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 when the error is of Python's own making."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def unavailable(verb: str, path: Path, error: Exception) -> StateUnavailable:
    """Map an error of SQLite or the file system, with the way out where there is one."""
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    hint = ""
    if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_FULL:
        hint = "; make room on its file system, it is tried again by itself"
    elif isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY:
        hint = "; another program has it open"
    mapped = StateUnavailable(f"cannot {verb} {path}: {reason}{hint}")
    mapped.__cause__ = error
    return mapped


def set_aside(path: Path, reason: str, kept: int) -> str:
    """Rename a damaged file and its side files to ``NAME.corrupt-N`` and return the message that says so.

    Raises OSError when it cannot be renamed.
    """
    numbers = _numbers(path)
    aside = path.with_name(f"{path.name}.corrupt-{max(numbers, default=0) + 1}")
    path.rename(aside)
    for suffix in SIDE_FILES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    for number in sorted(numbers)[: max(0, len(numbers) + 1 - kept)]:
        for suffix in ("", *SIDE_FILES):
            with contextlib.suppress(OSError):
                Path(f"{path}.corrupt-{number}{suffix}").unlink()
    return f"cannot read {path}: {reason}; it is set aside as {aside.name} and a new one is begun"


def _numbers(path: Path) -> list[int]:
    prefix = f"{path.name}.corrupt-"
    names = (p.name.removeprefix(prefix) for p in path.parent.iterdir() if p.name.startswith(prefix))
    return [int(n) for n in names if n.isdecimal()]


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file, None when there is none: a file that was removed is not written to."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
