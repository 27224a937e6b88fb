"""Exits of processes that are not our children, told by the kernel (pidfd_open(2)) within a turn of the loop."""

import asyncio
import os
from collections.abc import Callable

from podsupd.errors import PodsupdError
from podsupd.signals import held


class PidfdWatcher:
    """Watches processes on the running event loop, implementing ports.Processes.

    From watch() on the descriptor means one process, whatever becomes of its PID.
    """

    def __init__(self) -> None:
        self._cancels: dict[int, Callable[[], None]] = {}

    def watch(self, pid: int, on_exit: Callable[[], None]) -> Callable[[], None] | None:
        """Call on_exit once, on the loop, when all threads of the process are gone (a zombie is gone).

        Returns a cancel, which may be called at any time and any number of times; None when there is no such process
        any more, and on_exit is not called then. Raises PodsupdError when no descriptor can be had (too many open
        files, a kernel before 5.3): the relist is the net then.
        """
        try:
            fd = held.descriptor(pid)
        except OSError as error:
            raise PodsupdError(f"cannot watch process {pid}: {error.strerror}") from error
        if fd is None:
            return None
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            if self._cancels.get(fd) is cancel:
                del self._cancels[fd]
                loop.remove_reader(fd)
                os.close(fd)

        def exited() -> None:
            # The loop may have had this call in its hands when cancel() came.
            if self._cancels.get(fd) is cancel:
                cancel()
                on_exit()

        self._cancels[fd] = cancel
        try:
            loop.add_reader(fd, exited)
        except OSError as error:
            del self._cancels[fd]
            os.close(fd)
            raise PodsupdError(f"cannot watch process {pid}: {error.strerror}") from error
        return cancel

    def close(self) -> None:
        """Cancel all watches."""
        for cancel in list(self._cancels.values()):
            cancel()
