"""systemd's notify protocol (sd_notify(3)).

Our own: sdnotify (PyPI) has had no release since 2017 and sends neither the monotonic time that Type=notify-reload
wants nor over a socket that does not block; systemd-python is built against libsystemd, which make setup would have
to install. The protocol is one datagram, promised to stay (systemd's interface stability table).
"""

import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Self

_KEPT = 8


class SystemdNotifier:
    """Tells systemd how we are, implementing ports.Notifier; a no-op without an address, and never raises."""

    def __init__(self, address: str = "") -> None:
        # "@" is how the environment writes the leading NUL of an abstract address; vsock is for virtual machines.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._unsent: deque[bytes] = deque(maxlen=_KEPT)
        if self._address.startswith(("/", "\0")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Take the variables out of the environment: what podsupd starts must not speak to our systemd."""
        address = environment.pop("NOTIFY_SOCKET", "")
        # The watchdog is fed whether there is one or not.
        environment.pop("WATCHDOG_USEC", None)
        environment.pop("WATCHDOG_PID", None)
        return cls(address)

    def ready(self, status: str) -> None:
        """READY=1 with a STATUS, one line in systemctl status; also ends a reload."""
        self._send("READY=1", f"STATUS={' '.join(status.split())}")

    def watchdog(self) -> None:
        """WATCHDOG=1."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """RELOADING=1 with the time, by which systemd tells this reload from an earlier one; ready() ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket; later calls are no-ops."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *fields: str) -> None:
        if self._socket is None:
            return
        message = "\n".join(fields).encode(errors="replace")
        with contextlib.suppress(ValueError):
            self._unsent.remove(message)
        self._unsent.append(message)
        # A systemd whose queue is full, or that restarts, is told when the next message comes: with READY=1 lost it
        # would wait for it until it ends us.
        with contextlib.suppress(OSError):
            while self._unsent:
                self._socket.sendto(self._unsent[0], self._address)
                self._unsent.popleft()
