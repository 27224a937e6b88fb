"""conmon, the process beside each container that records how it ends: is it there, and does it run?"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from podsupd.model.observed import MonitorState
from podsupd.signals import held
from podsupd.signals.proc import stat_of

_STOPPED = "Tt"
"""States of proc(5): stopped by a signal, or by who traces it."""


class Monitors:
    """Implements ports.Monitors over /proc and pidfds."""

    def state(self, pid: int, container_id: str) -> MonitorState | None:
        """Say how it is, see ports.Monitors."""
        if pid <= 0:
            return None
        with _held(pid, container_id) as found:
            if found is None:
                return MonitorState.GONE
            return MonitorState.STOPPED if found[1] in _STOPPED else MonitorState.RUNS

    def wake(self, pid: int, container_id: str) -> bool:
        """Let it go on, see ports.Monitors."""
        with _held(pid, container_id) as found:
            if found is None:
                return False
            signal.pidfd_send_signal(found[0], signal.SIGCONT)
            return True


@contextmanager
def _held(pid: int, container_id: str) -> Iterator[tuple[int, str] | None]:
    """Hold this container's conmon by a pidfd, with its state; None when it is gone. PIDs are reused: it is asked."""
    pidfd = held.descriptor(pid)
    if pidfd is None:
        yield None
        return
    try:
        yield _read(pidfd, pid, container_id)
    finally:
        os.close(pidfd)


def _read(pidfd: int, pid: int, container_id: str) -> tuple[int, str] | None:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        state = stat_of(pid).state
    except OSError:
        return None
    # A zombie has no command line. Its own exit command, which podman runs at the end, does not begin with its path.
    if not arguments[0].endswith(b"conmon") or container_id.encode() not in arguments:
        return None
    return pidfd, state
