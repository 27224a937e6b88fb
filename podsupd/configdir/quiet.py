"""Is a file whole? Nobody has it open for writing, and it has not changed for a second (D2b)."""

import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

QUIET_S = 1.0
"""How long a file must have been unchanged before it is read."""

_REMOTE = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs"))
"""File systems that refuse a lease with the same error as an open writer does: there it says nothing."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Changes whenever the file does, short of a write within the clock's tick."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "Fingerprint":
        """Take it from a stat."""
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


class Quiescence:
    """Remembers since when each file has looked as it does.

    The wall clock dates files that were there before; it may be wrong or jump, so a file that looked the same a
    second ago by the monotonic clock is quiet too, whatever its dates say.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """monotonic: seconds; wall_ns: nanoseconds since the epoch."""
        self._monotonic = monotonic
        self._wall_ns = wall_ns
        self._seen: dict[str, tuple[Fingerprint, float]] = {}

    def is_quiet(self, path: str, fingerprint: Fingerprint) -> bool:
        """Say whether the file has not changed for QUIET_S."""
        now = self._monotonic()
        before = self._seen.get(path)
        if before is None or before[0] != fingerprint:
            self._seen[path] = (fingerprint, now)
        elif now - before[1] >= QUIET_S:
            return True
        return self._wall_ns() - max(fingerprint.mtime_ns, fingerprint.ctime_ns) >= QUIET_S * 1e9

    def forget_others(self, paths: set[str]) -> None:
        """Forget the files that are not there any more."""
        self._seen = {path: seen for path, seen in self._seen.items() if path in paths}


def is_open_for_writing(fd: int) -> bool | None:
    """Say whether somebody has the file open for writing, by asking for a read lease.

    None where leases say nothing: on another owner's file without CAP_LEASE, on a file system without them.
    """
    try:
        # A writer that comes while we hold the lease makes the kernel send us a signal; SIGIO, the default, would
        # kill the daemon, SIGURG is ignored unless somebody handles it.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN and not _is_remote(os.fstat(fd).st_dev) else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_remote(device: int) -> bool:
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123  no path at hand
            for mount in mounts:
                fields, _, rest = mount.partition(" - ")
                if fields.split()[2] == number:
                    return rest.split()[0] in _REMOTE
    except OSError:
        return False
    return False
