"""What a command prints, through a pipe of our own.

asyncio's own pipes would make us wait for end of file, which a background process that inherited the pipe can put off
for ever; here the end of the command is the end.
"""

import asyncio
import os
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK = 65536  # bytes: what a pipe holds


class Output:
    """Collects the first ``limit`` bytes and throws the rest away, so that the writer never blocks.

    Use as a context manager; give ``writer`` to the child, then call ``started``.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)

    def __enter__(self) -> Self:
        self._loop.add_reader(self._reader, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._reader)
        self.started()
        os.close(self._reader)

    def started(self) -> None:
        """Close our copy of the writing end: the child has its own."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def so_far(self) -> bytes:
        """Return what was printed until now, no more than the limit."""
        with suppress(BlockingIOError):
            while len(self._kept) < self._limit and (chunk := os.read(self._reader, CHUNK)):
                self._keep(chunk)
        return bytes(self._kept)

    def seal(self) -> None:
        """Keep nothing of what comes from now on: what others say while they are killed is no answer."""
        self._limit = len(self.so_far())

    def _read(self) -> None:
        with suppress(BlockingIOError):
            chunk = os.read(self._reader, CHUNK)
            if not chunk:
                self._loop.remove_reader(self._reader)
            self._keep(chunk)

    def _keep(self, chunk: bytes) -> None:
        self._kept += chunk[: self._limit - len(self._kept)]
