"""Sends signals through pidfds: to the process that was meant, or to nobody."""

import time
from collections.abc import Sequence
from pathlib import Path

from podsupd.core.processes import parse_status
from podsupd.model.sending import Addressee, Dispatch
from podsupd.signals import held


class PidfdSender:
    """Implements ports.SignalSender."""

    def send(self, to: Sequence[Addressee], number: int) -> dict[int, Dispatch]:
        """Signal each of these in their order; returns by host pid when it was sent, or why it was not."""
        return {each.host_pid: _send(each, number) for each in to}


def _send(to: Addressee, number: int) -> Dispatch:
    try:
        with held.held(to.host_pid) as found:
            if found is None:
                return Dispatch(0, "it has ended")
            pidfd, process = found
            # The descriptor holds one process: what is read now and fits is what will be signalled.
            if to.start_ticks not in {None, process.start} or not _is(to):
                return Dispatch(0, "it has ended, and its PID is another process's now")
            at = time.monotonic_ns()
            return Dispatch(at) if held.send(pidfd, number) else Dispatch(0, "it has ended")
    except OSError as error:
        return Dispatch(0, error.strerror or str(error))


def _is(to: Addressee) -> bool:
    """Say whether the process of this PID is in the cgroup and has the number in the namespace that were meant."""
    directory = Path(f"/proc/{to.host_pid}")
    if to.container_id and not _of_container(directory, to):
        return False
    return to.pid is None or to.pid in parse_status((directory / "status").read_bytes()).namespace_pids


def _of_container(directory: Path, to: Addressee) -> bool:
    """Say whether a process is the container's: by its cgroup, or where Podman makes none (rootless on v1) otherwise.

    There the start time has named it already, or it is a first process, whose conmon has the container's id.
    """
    cgroup = (directory / "cgroup").read_bytes()
    if to.container_id.encode() in cgroup:
        return True
    if held.ANY_CONTAINER.search(cgroup):
        return False
    return to.start_ticks is not None or to.container_id.encode() in held.parent_arguments(to.host_pid)
