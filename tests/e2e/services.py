"""What stands around the daemon: a Podman API that is deaf to events, and systemd's ear."""

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self


class DeafProxy:
    """Passes every call on to Podman, but leaves ``events`` without an answer, as a stream that lost its events."""

    def __init__(self, path: Path, upstream: Path) -> None:
        self.url, self._upstream = f"unix://{path}", upstream
        self.swallowed = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone does not wake accept(2).
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._pass, args=(client,), daemon=True))
                self._threads[-1].start()

    def _pass(self, client: socket.socket) -> None:
        """Pass bytes both ways until either side closes; a request of the daemon comes in one piece."""
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(str(self._upstream))
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    if one is client and b"/libpod/events?" in data.split(b"\r\n", 1)[0]:
                        self.swallowed += 1
                        continue
                    (server if one is client else client).sendall(data)


class NotifySocket:
    """The systemd end of ``NOTIFY_SOCKET``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def listen_until(
        self, done: Callable[[list[tuple[float, str]]], bool], what: str, seconds: float
    ) -> list[tuple[float, str]]:
        """Hear (time, text) until ``done`` says of what was heard in this call that it is enough; return that."""
        heard: list[tuple[float, str]] = []
        end = time.monotonic() + seconds
        while not done(heard):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                raise AssertionError(f"waited {seconds:g} s for {what}; heard {heard}")
            heard.append((time.monotonic(), self._socket.recv(4096).decode()))
        return heard

    def drain(self) -> None:
        """Drop what was sent until now."""
        while select.select([self._socket], [], [], 0)[0]:
            self._socket.recv(4096)
