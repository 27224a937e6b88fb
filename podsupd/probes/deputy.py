"""A process that makes sockets where we may not go: in the pods of a rootless Podman."""

import errno
import os
import socket
import subprocess
import sys

from podsupd.probes import entrance
from podsupd.probes.entrance import NotEnteredError

ANSWER_S = 5.0  # how long a deputy may take; it does what takes microseconds, after its start of some 20 ms


class Deputy:
    """Starts ``entrance`` as a program on the first use, and again when it has died. Blocks; not for the event loop."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def open(self, pid: int, family: int, container_id: str) -> socket.socket:
        """Return a non-blocking stream socket; raises NotEnteredError, and OSError when there is no such socket."""
        request = f"{pid} {family} {container_id}".encode()
        try:
            answer, descriptors = self._ask(request)
        except OSError:
            self.close()
            answer, descriptors = self._ask(request)  # it has died since the last time
        if descriptors:
            made = socket.socket(fileno=descriptors[0])
            made.setblocking(False)  # it is, but this object does not know
            return made
        kind, _, number = answer.decode().partition(" ")
        code = int(number or errno.EIO)
        if kind == "socket":
            raise OSError(code, os.strerror(code))
        raise NotEnteredError(code, os.strerror(code))

    def close(self) -> None:
        """End the process."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _ask(self, request: bytes) -> tuple[bytes, list[int]]:
        if self._channel is None:
            self._channel = self._start()
        self._channel.send(request)
        answer, descriptors, _, _ = socket.recv_fds(self._channel, entrance.REQUEST_LIMIT, 1, socket.MSG_CMSG_CLOEXEC)
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        return answer, descriptors

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", entrance.__file__, str(number)],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[number],
            )
        ours.settimeout(ANSWER_S)
        return ours
