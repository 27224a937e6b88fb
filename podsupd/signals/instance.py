"""One instance of tracefs: ring buffers of our own, with what is written into them, and how they are taken away again.

An instance that is open cannot be removed (EBUSY), so one left behind by a killed daemon is told from that of a daemon
that runs by trying to remove it.
"""

import contextlib
import errno
import os
import time
from pathlib import Path

from podsupd import log

logger = log.get("tracer")

PREFIX = "podsupd-"
ATTEMPTS, APART_S = 20, 0.01
_TAKEN = frozenset({errno.ENOENT, errno.ENODEV, errno.EEXIST})
"""What it says of an instance that is being removed."""


class Instance:
    """The instance ``podsupd-NAME``. fds: the raw ring buffer of each CPU, opened without blocking; empty once closed.

    Raises OSError.
    """

    def __init__(self, root: Path, name: str, *, buffer_kb: int, wake_at_percent: int) -> None:
        """Make it. buffer_kb: of each CPU. wake_at_percent: how full a buffer is when its fd is readable, 0 for any."""
        self.path = root / "instances" / (PREFIX + name)
        self.fds: list[int] = []
        try:
            self._begin()
            self.write("trace_clock", "mono")
            self.write("buffer_size_kb", str(buffer_kb))
            with contextlib.suppress(OSError):  # since Linux 5.0
                self.write("buffer_percent", str(wake_at_percent))
        except OSError:
            if self.fds:
                self.close()
            raise

    def _begin(self) -> None:
        """Make and open it: then nobody takes it for a stale one, as a podsupd does that begins between the two."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.path.mkdir()
                for cpu in sorted((self.path / "per_cpu").glob("cpu*")):
                    self.fds.append(os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            except OSError as error:
                lost = error.errno in _TAKEN and self.path.parent.is_dir()
                if self.fds or attempt == ATTEMPTS or not lost:
                    raise
            if self.fds:
                return
            time.sleep(APART_S)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def write(self, name: str, text: str) -> None:
        """Write one of its files."""
        (self.path / name).write_text(text)

    def enable(self, event: str, only: str = "") -> None:
        """Have an event (``signal/signal_generate``) recorded. only: the kernel's filter of its fields."""
        if only:
            self.write(f"events/{event}/filter", only)
        self.write(f"events/{event}/enable", "1")

    def dropped(self) -> int:
        """Return how many records the kernel could not keep since it was made, by its own statistics."""
        total = 0
        for path in self.path.glob("per_cpu/cpu*/stats"):
            for line in path.read_text().splitlines():
                name, _, value = line.partition(": ")
                if name in {"overrun", "commit overrun", "dropped events"}:
                    total += int(value)
        return total

    def close(self) -> None:
        """Stop recording and remove it; never raises."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        try:
            self.path.rmdir()
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENODEV}:
                return  # closed it is a stale one, which another podsupd that begins has removed, or removes now
            logger.warning("cannot remove the trace instance", instance=str(self.path), error=error.strerror)


def remove_stale(root: Path) -> None:
    """Remove the instances that nobody has open."""
    for stale in (root / "instances").glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            stale.rmdir()
            logger.info("removed the trace instance of a podsupd that was killed", instance=stale.name)
