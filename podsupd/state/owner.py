"""Whose pods are ours: the owner id, and the locks that keep a second podsupd away from them.

The id is the value of the owner label on every Podman object that we make. It is made once for a manifest directory
and never guessed again: with another id all running pods would be strangers.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from podsupd.errors import FatalError, StateUnavailable

_ID = re.compile(r"[0-9a-f]{32}")


class Claim:
    """The locks of a running podsupd and its owner id; leaving the context, or dying, frees them.

    owner_id: 32 hex digits, the label of what is made. adopted: ids that an operator said are ours as well.
    manifests_locked: False while the manifest directory does not exist (see relock).
    """

    def __init__(self, state_dir: str, manifests_dir: str) -> None:
        self._state_dir = Path(state_dir)
        self._manifests_dir = manifests_dir
        self._manifests_fd: int | None = None
        self._state_fd = _lock_state(self._state_dir)
        try:
            self.relock()
            self._realpath = os.path.realpath(manifests_dir)
            self.owner_id, *adopted = _owner_ids(self._state_dir, self._realpath)
            self.adopted = frozenset(adopted)
        except BaseException:
            self.close()
            raise

    @property
    def manifests_locked(self) -> bool:
        """The manifest directory's lock is held."""
        return self._manifests_fd is not None

    def relock(self) -> bool:
        """Lock the manifest directory that is there now, which may be another than before; say whether it is locked.

        A directory that is missing or cannot be opened keeps the lock as it was. Raises FatalError when another
        process has locked it.
        """
        try:
            fd = os.open(self._manifests_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return self.manifests_locked
        old = self._manifests_fd
        if old is not None and os.path.samestat(os.fstat(old), os.fstat(fd)):
            os.close(fd)
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(fd)
            os.close(fd)
            if error.errno != errno.EWOULDBLOCK:
                # A file system without locks (some network ones): the state directory's lock has to do.
                return self.manifests_locked
            raise FatalError(
                f"cannot lock {self._manifests_dir}: the directory is supervised by {holder}; "
                "stop that one, or give this one a directory of its own (manifests.dir)"
            ) from error
        self._manifests_fd = fd
        if old is not None:
            os.close(old)
        return True

    def adopt(self, owners: Iterable[str]) -> None:
        """Take what carries these owner ids for ours from now on: saved when this returns, else StateUnavailable."""
        adopted = self.adopted | (set(owners) - {self.owner_id})
        path = self._state_dir / "owner.json"
        try:
            _write_owners(path, {**(_read_owners(path) or {}), self._realpath: [self.owner_id, *sorted(adopted)]})
        except FatalError as error:
            # At the start nothing goes without it; now the daemon goes on, with the pods as strange as before.
            raise StateUnavailable(str(error)) from error
        self.adopted = adopted

    def close(self) -> None:
        """Free the locks."""
        if self._manifests_fd is not None:
            os.close(self._manifests_fd)
            self._manifests_fd = None
        if self._state_fd is not None:
            os.close(self._state_fd)
            self._state_fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def claim(state_dir: str, manifests_dir: str) -> Claim:
    """Make the state directory 0700, lock it and the manifest directory, and find or make the owner id.

    Raises FatalError when another process holds either, when the state directory cannot be used, or when the owner id
    that was made once cannot be read.
    """
    return Claim(state_dir, manifests_dir)


def _lock_state(directory: Path) -> int | None:
    path = directory / "lock"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_mode & 0o077:
            directory.chmod(0o700)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        # Flash that turned read-only still tells whose pods these are: that is enough to look after them.
        if error.errno != errno.EROFS or not path.exists():
            raise FatalError(
                f"cannot use the state directory {directory}: {error.strerror}; "
                "make it a directory that this user can write to, or name another (state.dir)"
            ) from error
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = _holder(fd)
        os.close(fd)
        if error.errno == errno.EWOULDBLOCK:
            raise FatalError(
                f"cannot lock {path}: the state directory is in use by {holder}; stop that one, or give this one "
                "a state directory and a manifest directory of its own (state.dir, manifests.dir)"
            ) from error
        raise FatalError(
            f"cannot lock {path}: {error.strerror}; put the state directory on a local file system (state.dir)"
        ) from error
    return fd


def _holder(fd: int) -> str:
    """Name the process that holds the flock, from /proc/locks (proc(5)).

    The list has the device of the super block, which on btrfs and overlayfs is not stat's: so it is searched by inode
    and each candidate is asked whether it has the file open.
    """
    wanted = os.fstat(fd)
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "FLOCK" not in fields or "->" in fields:
                continue
            pid, place = fields[-4], fields[-3]
            if place.rpartition(":")[2] == str(wanted.st_ino) and _has_open(pid, wanted):
                return f"process {pid}"
    return "another process"


def _has_open(pid: str, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(link.stat(), wanted):
                    return True
    return False


def _owner_ids(state_dir: Path, manifests: str) -> list[str]:
    path = state_dir / "owner.json"
    owners = _read_owners(path)
    if owners is None:
        # owner.json is made before state.db is: without it, an id has been lost.
        if (state_dir / "state.db").exists():
            raise FatalError(
                f"cannot read the owner id: {path} is missing, but state.db is there; {_way_out(path, manifests)}"
            )
        owners = {}
    if manifests not in owners:
        owners[manifests] = [uuid.uuid4().hex]
        _write_owners(path, owners)
    return owners[manifests]


def _read_owners(path: Path) -> dict[str, list[str]] | None:
    """Return manifest directory -> our owner id and those we adopted, None when there is no file.

    One id may stand there without a list, as an operator would write it.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FatalError(f"cannot read the owner id from {path}: {error.strerror}") from error
    try:
        owners = json.loads(text)
    except ValueError as error:
        raise FatalError(f"cannot read the owner id from {path}: it is not JSON; {_way_out(path, '')}") from error
    if isinstance(owners, dict):
        owners = {directory: [ids] if isinstance(ids, str) else ids for directory, ids in owners.items()}
        if all(isinstance(ids, list) and ids and all(map(_is_id, ids)) for ids in owners.values()):
            return owners
    raise FatalError(
        f"cannot read the owner id from {path}: it is not an object of directory and ids; {_way_out(path, '')}"
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _way_out(path: Path, manifests: str) -> str:
    line = json.dumps({manifests or "/the/manifest/directory": "ID"})
    return (
        f"write {line} into {path.name} with the ID that the pods carry as the label podsupd.io/owner "
        "(podman pod ps --format '{{.Name}} {{.Labels}}'); if no pod of podsupd is left, "
        f"remove {path.name} and state.db from {path.parent} to begin anew"
    )


def _write_owners(path: Path, owners: Mapping[str, list[str]]) -> None:
    """Write the file so that a power cut leaves the old one or the new one."""
    new = path.with_name(f"{path.name}.new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({where: ids if len(ids) > 1 else ids[0] for where, ids in owners.items()}, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise FatalError(f"cannot save the owner id to {path}: {error.strerror}") from error
