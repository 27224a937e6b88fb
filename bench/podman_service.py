"""A Podman API of one's own, over the storage that all share: to be stopped, killed and hung."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.podman_api import wait


class PodmanService:
    """``podman system service`` on a socket; the pods do not depend on it.

    user: what is put before its command, to run it as somebody else.
    """

    def __init__(self, path: Path, *, user: Sequence[str] = (), **environment: str) -> None:
        self.path, self.url = path, f"unix://{path}"
        self._user = user
        self._environment = {**os.environ, **environment}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*self._user, "podman", "system", "service", "--time=0", self.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )
        wait(self._answers, 30)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(1)
            try:
                one.connect(str(self.path))
                one.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return one.recv(64).startswith(b"HTTP/")
            except OSError:
                return False

    def signal(self, number: int) -> None:
        """Signal it."""
        if self.process is None:
            raise RuntimeError("the Podman service was not started")
        os.kill(self.process.pid, number)

    def hang(self, seconds: float) -> None:
        """Stop it, and let it go on by itself: it may hold locks that everybody's Podman on this storage waits for."""
        self.signal(signal.SIGSTOP)
        threading.Timer(seconds, self._go_on).start()

    def _go_on(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, stopped or not, and reap it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
