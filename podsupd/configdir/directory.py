"""A complete snapshot of the manifest directory, and hints that it is time for another."""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing

from asyncinotify import Inotify, Mask

from podsupd import log
from podsupd.configdir.arrivals import Arrivals
from podsupd.configdir.quiet import QUIET_S, Fingerprint, Quiescence, is_open_for_writing
from podsupd.manifest import parse
from podsupd.model.desired import DirectoryScan, FileStatus, ParsedFile, ScannedFile

MAX_BYTES = 1 << 20
"""Largest manifest that is read: a megabyte, as much as Kubernetes keeps in one object."""

_SUFFIXES = (".yaml", ".yml", ".json")
_CHANGES = (
    Mask.CREATE
    | Mask.MODIFY
    | Mask.CLOSE_WRITE
    | Mask.ATTRIB
    | Mask.DELETE
    | Mask.MOVE
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
)
_TICK_S = 0.5
"""How often the watch looks up from waiting: for a scan's request and for a replaced directory."""
_APART_S = 1.0
"""Least time between two hints: two scans that miss a file are to be two moments, not one."""


def is_manifest(name: str) -> bool:
    """Say whether a file name is that of a manifest: no dot-file, no editor's back-up or lock."""
    return name.endswith(_SUFFIXES) and not name.startswith((".", "#", "~"))


class ManifestDirectory:
    """The directory with the manifests; implements `ports.Directory`."""

    def __init__(self, path: str, quiescence: Quiescence | None = None) -> None:
        """path: of the directory, which may not exist yet. quiescence: for tests with clocks of their own."""
        self._path = path
        self._quiescence = quiescence or Quiescence()
        self._arrivals = Arrivals(is_manifest)
        self._cache: dict[str, tuple[str, ParsedFile]] = {}
        self._scanning = threading.Lock()
        self._again_at: float | None = None
        self._last: DirectoryScan | None = None
        self._log = log.get("configdir")

    async def scan(self) -> DirectoryScan:
        """Read the whole directory in a thread."""
        scan = await asyncio.to_thread(self._scan)
        busy = any(file.status is FileStatus.BUSY for file in scan.files)
        again = busy or (self._last is not None and scan != self._last)
        self._again_at = asyncio.get_running_loop().time() + QUIET_S if again else None
        self._last = scan
        return scan

    async def hints(self) -> AsyncGenerator[None, None]:
        """Yield when something may have changed, at most once a second.

        Also a second after a scan that differs from the one before it or found a file being written: what is missing
        counts only when it is missing twice, and a file is read only when it is quiet.
        """
        clock = asyncio.get_running_loop().time
        last = -_APART_S
        async with aclosing(self._changes()) as changes:
            async for _ in changes:
                await asyncio.sleep(last + _APART_S - clock())
                last = clock()
                yield

    async def _changes(self) -> AsyncGenerator[None, None]:
        identity = self._identity()
        while True:
            blind = False
            try:
                if identity is not None:
                    async with aclosing(self._watch(identity)) as changes:
                        async for _ in changes:
                            yield
            except (OSError, RuntimeError) as error:
                # No inotify instance left, or the directory vanished in between: look every second instead.
                blind = True
                self._log.debug("cannot watch the manifest directory", directory=self._path, error=str(error))
            before, identity = identity, self._identity()
            if blind or identity != before or self._is_due():
                yield
            if identity is None or identity == before:
                await asyncio.sleep(_APART_S)

    async def _watch(self, identity: tuple[int, int]) -> AsyncGenerator[None, None]:
        """Yield on changes until the directory is another one; a watch stays with the old one for ever."""
        with Inotify(sync_timeout=0) as inotify:
            inotify.add_watch(self._path, _CHANGES)
            yield  # what changed before the watch was there
            while self._identity() == identity:
                changed = await _within(_TICK_S, inotify)
                if changed or self._is_due():
                    yield

    def _is_due(self) -> bool:
        due = self._again_at is not None and asyncio.get_running_loop().time() >= self._again_at
        if due:
            self._again_at = None
        return due

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116  strings and descriptors are what the rest works with
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None

    def _scan(self) -> DirectoryScan:
        with self._scanning:
            real = os.path.realpath(self._path)
            try:
                directory = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                return DirectoryScan(real, None, (), _cannot_read(real, error))
            try:
                found = os.fstat(directory)
                self._arrivals.watch(directory)
                names = sorted(filter(is_manifest, os.listdir(directory)))  # noqa: PTH208  by descriptor
                files = tuple(file for name in names if (file := self._file(directory, real, name)))
            except OSError as error:
                return DirectoryScan(real, None, (), _cannot_read(real, error))
            finally:
                os.close(directory)
            paths = {file.path for file in files}
            self._cache = {path: cached for path, cached in self._cache.items() if path in paths}
            self._quiescence.forget_others(paths)
            return DirectoryScan(real, (found.st_dev, found.st_ino), files)

    def _file(self, directory: int, real: str, name: str) -> ScannedFile | None:
        """Read one file; None when it vanished since the directory was listed."""
        path = f"{real.rstrip('/')}/{name}"
        if not name.isprintable():  # control characters, or bytes that are no UTF-8
            shown = os.fsencode(path).decode("utf-8", "backslashreplace")
            return _unreadable(shown, "cannot read the file: its name is not printable UTF-8: rename it")
        try:
            kind = os.stat(name, dir_fd=directory).st_mode
            if not stat.S_ISREG(kind):
                return _unreadable(path, "cannot read the file: it is not a regular file: remove or rename it")
            # Not blocking: between stat and open it may have become a pipe.
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=directory)
        except FileNotFoundError:
            return self._dangling(directory, name, path)
        except OSError as error:
            return _unreadable(path, f"cannot read the file: {error.strerror}")
        try:
            return self._content(directory, fd, name, path)
        except OSError as error:
            return _unreadable(path, f"cannot read the file: {error.strerror}")
        finally:
            os.close(fd)

    @staticmethod
    def _dangling(directory: int, name: str, path: str) -> ScannedFile | None:
        try:
            os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return None
        return _unreadable(path, "cannot read the file: it is a symbolic link to nothing: mend or remove the link")

    def _content(self, directory: int, fd: int, name: str, path: str) -> ScannedFile:
        before = os.fstat(fd)
        quiet = self._quiescence.is_quiet(path, Fingerprint.of(before))
        written = is_open_for_writing(fd)
        if written:
            return ScannedFile(
                path, FileStatus.BUSY, message="a process has the file open for writing: read when closed"
            )
        # What is linked elsewhere too can be written there, which a watch of this directory does not see.
        sure = written is False and before.st_nlink == 1
        if not quiet and not (sure and self._arrivals.is_whole(name)):
            return ScannedFile(
                path, FileStatus.BUSY, message="the file changed within the last second: read when quiet"
            )
        if before.st_size > MAX_BYTES:
            return _unreadable(
                path, f"cannot read the file: {before.st_size} bytes are more than {MAX_BYTES}: split it"
            )
        with open(fd, "rb", closefd=False) as file:
            # One more shows that it grew; a buffer for the largest file would have malloc keep a megabyte a thread.
            # None of a device behind a link that has nothing to say now.
            data = file.read(before.st_size + 1) or b""
        changed = Fingerprint.of(os.fstat(fd)) != Fingerprint.of(before) or len(data) != before.st_size
        if changed or not (quiet or self._came_as(directory, name, before)):
            return ScannedFile(
                path, FileStatus.BUSY, message="the file changed while it was read: read again when quiet"
            )
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            return _unreadable(path, f"cannot read the file: line {line} is not UTF-8: save it as UTF-8")
        return ScannedFile(path, FileStatus.READ, text, self._parsed(path, text))

    def _came_as(self, directory: int, name: str, read: os.stat_result) -> bool:
        """Say whether what was read is what was renamed into its place, and still is there."""
        return self._arrivals.is_whole(name) and os.path.samestat(os.stat(name, dir_fd=directory), read)

    def _parsed(self, path: str, text: str) -> ParsedFile:
        cached = self._cache.get(path)
        if cached is None or cached[0] != text:
            cached = (text, parse(text, path))
            self._cache[path] = cached
        return cached[1]


async def _within(seconds: float, inotify: Inotify) -> bool:
    """Say whether there was an event within some seconds; takes all that there are, for they are one hint."""
    try:
        async with asyncio.timeout(seconds):
            await inotify.get()
    except TimeoutError:
        return False
    for _ in inotify:
        pass
    return True


def _unreadable(path: str, message: str) -> ScannedFile:
    return ScannedFile(path, FileStatus.UNREADABLE, message=message)


def _cannot_read(directory: str, error: OSError) -> str:
    way_out = "make it, or set manifests.dir" if isinstance(error, FileNotFoundError) else "see that it can be read"
    return f"cannot read the manifest directory {directory}: {error.strerror}: {way_out}"
