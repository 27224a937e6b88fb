"""One instance of tracefs: ring buffers of our own, with what is written into them, and how they are taken away again.

An instance that is open cannot be removed (EBUSY), so one left behind by a killed daemon is told from that of a daemon
that runs by trying to remove it.
"""

import contextlib
import os
from pathlib import Path

from podsupd import log

logger = log.get("tracer")

PREFIX = "podsupd-"


class Instance:
    """The instance ``podsupd-NAME``. fds: the raw ring buffer of each CPU, opened without blocking; empty once closed.

    Raises OSError.
    """

    def __init__(self, root: Path, name: str, *, buffer_kb: int, wake_at_percent: int) -> None:
        """Make it. buffer_kb: of each CPU. wake_at_percent: how full a buffer is when its fd is readable, 0 for any."""
        self.path = root / "instances" / (PREFIX + name)
        self.fds: list[int] = []
        self.path.mkdir()
        try:
            cpus = sorted((self.path / "per_cpu").glob("cpu*"))
            # Open before anything else: from now on nobody can take it for a stale one.
            for cpu in cpus:
                self.fds.append(os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            self.write("trace_clock", "mono")
            self.write("buffer_size_kb", str(buffer_kb))
            with contextlib.suppress(OSError):  # since Linux 5.0
                self.write("buffer_percent", str(wake_at_percent))
        except OSError:
            self.close()
            raise

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
            logger.warning("cannot remove the trace instance", instance=str(self.path), error=error.strerror)


def remove_stale(root: Path) -> None:
    """Remove the instances that nobody has open."""
    for stale in (root / "instances").glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            stale.rmdir()
            logger.info("removed the trace instance of a podsupd that was killed", instance=stale.name)
