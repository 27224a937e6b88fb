"""Reading /proc (proc(5))."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podsupd.core.processes import Stat, parse_stat

# The kernel answers with as much as is asked for; a status has some 1.5 KiB, a command line may have megabytes.
_READ_MAX = 16 * 1024

CONTAINER_ID = re.compile(r"[0-9a-f]{64}")


def pids(proc: str | Path = "/proc") -> Iterator[int]:
    """Yield the processes that there are."""
    return (int(name) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208  names, by the thousand


def shown(text: str) -> str:
    """Return what a process calls itself, for a reader: it can be anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


def stat_of(pid: int, proc: Path = Path("/proc")) -> Stat:
    """Return what /proc says of a process; OSError when there is none of that PID."""
    return parse_stat((proc / str(pid) / "stat").read_bytes())


@contextmanager
def opened(directory: str) -> Iterator[int]:
    """Yield a descriptor of a /proc/PID: what is read through it is of this process, or fails once it is gone.

    Raises OSError when there is none.
    """
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def read(path: str, directory: int | None = None, most: int = _READ_MAX) -> bytes:
    """Return the beginning of a file of /proc; OSError when the process is gone or may not be looked at."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        text = b""
        while len(text) < most and (more := os.read(fd, most - len(text))):
            text += more
        return text
    finally:
        os.close(fd)
