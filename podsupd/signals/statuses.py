"""How processes ended, by the kernel's process connector (linux/cn_proc.h): the trace has everything but the status.

A netlink socket. It needs CAP_NET_ADMIN and the host's own network and PID namespaces; without them exit codes of
processes that are no first ones of a container stay unknown, and nothing else changes.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator

from podsupd import log
from podsupd.model.signals import Ended

logger = log.get("tracer")

_NETLINK_CONNECTOR = 11
_CN_IDX_PROC, _CN_VAL_PROC = 1, 1
_LISTEN, _IGNORE = 1, 2
_EXIT = 0x80000000
_NLMSG_DONE = 3
_SO_RCVBUFFORCE = 33
_BUFFER = 2 * 1024 * 1024
"""Some 3,000 ends between two reads; what does not fit is not known, which is what it is without all this."""
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_CONNECTOR = struct.Struct("=IIIIHH")  # cn_msg: index, value, sequence, acknowledge, length, flags
_WHAT = struct.Struct("=IIQ")  # proc_event: what, cpu, ns of CLOCK_MONOTONIC
_EXITED = struct.Struct("=iiI")  # its exit: thread, process, status as wait(2) gives it
_WHAT_AT = _HEADER.size + _CONNECTOR.size
_EXITED_AT = _WHAT_AT + _WHAT.size


class Statuses:
    """The ends of all processes of this host, from open() on."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Begin to listen; where the kernel does not let us, say so and have nothing to tell."""
        try:
            self._socket = made = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR
            )
            made.setblocking(False)
            made.bind((0, _CN_IDX_PROC))
            with contextlib.suppress(OSError):
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            self._ask(_LISTEN)
        except OSError as error:
            self._drop()
            logger.info("exit codes of processes that are no first ones stay unknown", error=str(error))

    def close(self) -> None:
        """Stop listening; never raises."""
        # A kernel before 6.6 goes on making messages for a listener that did not take its leave.
        with contextlib.suppress(OSError):
            self._ask(_IGNORE)
        self._drop()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, operation: int) -> None:
        # The second word, which events are wanted, is for kernels since 6.6; older ones send all kinds.
        payload = struct.pack("=II", operation, _EXIT)
        connector = _CONNECTOR.pack(_CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(payload), 0)
        length = _HEADER.size + len(connector) + len(payload)
        if self._socket is not None:
            self._socket.send(_HEADER.pack(length, _NLMSG_DONE, 0, 0, 0) + connector + payload)

    def read(self) -> Iterator[Ended]:
        """Yield what has come since the last call."""
        while self._socket is not None:
            try:
                ended = parse(self._socket.recv(1024))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    continue  # some did not fit
                logger.warning("exit codes of processes that are no first ones stay unknown", error=str(error))
                self._drop()
                return
            if ended is not None:
                yield ended


def parse(message: bytes) -> Ended | None:
    """Return the end that a message tells of, None when it tells of something else."""
    if len(message) < _EXITED_AT + _EXITED.size:
        return None
    what, _, at = _WHAT.unpack_from(message, _WHAT_AT)
    if what != _EXIT:
        return None
    _, tgid, status = _EXITED.unpack_from(message, _EXITED_AT)
    return Ended(at, tgid, status)
