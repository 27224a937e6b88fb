"""One process, for sure: a pidfd and a start time, so that a PID that was reused is never taken for it."""

import errno
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from podsupd.signals.proc import shown, stat_of

ANY_CONTAINER = re.compile(rb"[0-9a-f]{64}")
"""In /proc/PID/cgroup of whoever is in a container, but where Podman makes no cgroups: rootless on v1."""


_NOBODY = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})
"""What pidfd_open(2) says of a PID that no process has; the latter two (ENOENT on Linux 6.18) when a thread has it."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was there; start in clock ticks since the boot. PID and start are what it is."""

    pid: int
    start: int
    command: str = field(compare=False)

    def __str__(self) -> str:
        """Name it to a reader; a command can hold anything."""
        return f"{shown(self.command)} (pid {self.pid})"


def read(pid: int) -> Process | None:
    """Return a process (proc(5), stat), None when there is none or only its zombie."""
    try:
        found = stat_of(pid)
    except OSError:
        return None
    over = found.zombie or found.state == "X"
    return None if over else Process(pid, found.start_ticks, found.name.decode(errors="replace"))


def parent_arguments(pid: int) -> bytes:
    """Return the command line of a process's parent, as conmon is of a container's first one; raises OSError."""
    return Path(f"/proc/{stat_of(pid).parent}/cmdline").read_bytes()


def descriptor(pid: int) -> int | None:
    """Open a pidfd; None when there is no such process, even if its PID is another one's thread by now.

    Raises OSError when there can be no descriptor.
    """
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if pid > 0 and error.errno in _NOBODY:
            return None
        raise


@contextmanager
def held(pid: int) -> Iterator[tuple[int, Process] | None]:
    """Hold a process by a pidfd, read after it was opened: it speaks of the same process as long as that is there."""
    pidfd = descriptor(pid)
    if pidfd is None:
        yield None
        return
    try:
        process = read(pid)
        yield (pidfd, process) if process else None
    finally:
        os.close(pidfd)


def send(pidfd: int, number: int) -> bool:
    """Signal exactly this process; False when it is gone. Raises OSError when it may not be signalled."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True
