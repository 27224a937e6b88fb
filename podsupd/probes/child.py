"""A process of ours, waited for through a pidfd.

Not asyncio's subprocess: a cancellation while that one starts kills the process that was started and forgets what it
has started itself by then. Here starting is one step without an await, and waiting needs neither a watcher nor a
thread, on any event loop.
"""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress

REAP_S = 2.0  # what a process gets to end by itself before it is killed
KILLED_S = 0.2  # what it gets then; the event loop stands still meanwhile


class Child:
    """A started process, leader of a session of its own; ``end`` must be awaited. Raises OSError if it cannot start.

    environment: all of it (None: ours). Its directory is ours, or / when an environment is given.
    """

    def __init__(self, arguments: list[str], output: int, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment,
            cwd=None if environment is None else "/",
        )
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        """Its PID; not given to another process before ``end``."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """It has been waited for."""
        return self._process.returncode is not None

    async def wait(self) -> int:
        """Return its exit code, negative the signal that killed it."""
        if not self.ended:
            loop = asyncio.get_running_loop()
            gone = asyncio.Event()
            loop.add_reader(self._pidfd, gone.set)
            try:
                await gone.wait()
            finally:
                loop.remove_reader(self._pidfd)
        return self._process.wait()  # it has ended: this only reaps it

    async def end(self) -> None:
        """Reap it: give it REAP_S to end by itself, then kill it."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(REAP_S):
                    await self.wait()
        finally:
            if not self.ended:
                self._process.kill()
                # One that waits in the kernel does not end yet, and the daemon does not wait for it: subprocess reaps
                # it when the next one is started.
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(KILLED_S)
            os.close(self._pidfd)
