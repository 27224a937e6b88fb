"""The one thread on which a database lives: SQLite's calls wait for the disk, the event loop must not."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from podsupd.errors import StateUnavailable

T = TypeVar("T")

DISK_TIMEOUT_S = 30.0


class DiskThread:
    """A thread that runs one call after the other.

    Args:
        name: of the thread, and of the thing in error messages (``state.db``).
        timeout_s: how long a caller waits; the call itself goes on, since a blocked write cannot be taken back.
    """

    def __init__(self, name: str, timeout_s: float = DISK_TIMEOUT_S) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def call(self, function: Callable[[], T]) -> T:
        """Run the function on the thread and return what it returns.

        Raises StateUnavailable when the disk does not answer in time, or after close().
        """
        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, function)
        except RuntimeError as error:
            raise StateUnavailable(f"cannot use {self._name}: it is closed") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError as error:
            raise StateUnavailable(
                f"cannot use {self._name}: the disk did not answer within {self._timeout_s:g} s"
            ) from error

    def close(self) -> None:
        """Take no more calls; a call that hangs on a dead disk is not waited for."""
        self._executor.shutdown(wait=False)
