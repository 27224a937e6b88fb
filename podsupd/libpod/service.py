"""A Podman API service of our own, for the foreground on a host where none listens."""

import asyncio
import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from podsupd import log
from podsupd.errors import FatalError, PodmanUnavailable
from podsupd.libpod.connection import socket_path

# It answers some 0.2 s after its start on an idle machine; a loaded or cold one takes its time.
ANSWER_DEADLINE_S = 20.0
STOP_DEADLINE_S = 5.0
WATCH_INTERVAL_S = 5.0
BACKOFF_S = (1.0, 30.0)
STEADY_S = 60.0


async def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Say whether something on the socket answers libpod's ping; never raises for a socket that does not."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(socket_path(url))
            try:
                writer.write(b"GET /v4.0.0/libpod/_ping HTTP/1.0\r\nHost: podman\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


class OwnService:
    """``podman system service`` on ``path``, for as long as podsupd runs.

    It has a session of its own, so that ctrl-C ends podsupd and not Podman in the middle of an answer; containers
    are children of conmon and outlive it anyway. If something answers on the path already (the service of a podsupd
    that was killed) it is used as it is, and left running at the end.

    ``run`` goes into the daemon's TaskGroup, after ``start``. Never use it under systemd: what a sandboxed unit
    starts gives containers the sandbox.
    """

    def __init__(self, path: Path, *, program: str = "podman") -> None:
        self.path = path
        self.url = f"unix://{path}"
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._log = log.get("libpod")

    @property
    def pid(self) -> int:
        """Return the service's pid; 0 when it is not ours or not there."""
        return self._process.pid if self._process is not None and self._process.returncode is None else 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it and return when it answers.

        Raises FatalError when the program cannot be run, PodmanUnavailable when it ends or does not answer in time.
        """
        if await answers(self.url):
            self._process = None
            self._log.info("using the Podman service that is there", url=self.url)
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [self._program, "system", "service", "--time=0", self.url]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise FatalError(
                f"cannot start {self._program}: {error.strerror}; install Podman (apt install podman)"
            ) from error
        try:
            await self._wait_answer(self._process)
        except BaseException:
            await self._end()
            raise
        self._log.info("started Podman's API", url=self.url, pid=self.pid)

    async def run(self) -> None:
        """Start it again, with back-off, whenever it dies; ends after ``stop``."""
        delay, longest = BACKOFF_S
        while True:
            began = time.monotonic()
            await self._gone()
            if self._stopping.is_set():
                return
            delay = BACKOFF_S[0] if time.monotonic() - began > STEADY_S else min(delay * 2, longest)
            self._log.warning("the Podman service is gone; starting it again", url=self.url, delay_s=delay)
            if await self._stopped_within(delay):
                return
            try:
                await self.start()
            except PodmanUnavailable as error:
                self._log.warning("no Podman service", reason=str(error))

    async def stop(self) -> None:
        """End the service that we started: SIGTERM, and SIGKILL after a while."""
        self._stopping.set()
        await self._end()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _wait_answer(self, process: asyncio.subprocess.Process) -> None:
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        pause = 0.01
        while not await answers(self.url):
            if process.returncode is not None:
                raise PodmanUnavailable(
                    f"cannot start {self._program} system service: it ended with exit code {process.returncode}"
                )
            if time.monotonic() > deadline:
                raise PodmanUnavailable(
                    f"cannot start {self._program} system service: no answer on {self.path} "
                    f"within {ANSWER_DEADLINE_S:g} s"
                )
            # Nothing tells when a socket begins to listen; ended early by the process's death.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await process.wait()
            pause = min(pause * 2, 0.25)

    async def _gone(self) -> None:
        """Return when the service that we started has died, or another's has stopped answering."""
        if self._process is not None:
            await self._process.wait()
            return
        while await answers(self.url):
            if await self._stopped_within(WATCH_INTERVAL_S):
                return

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()
