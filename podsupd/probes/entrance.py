"""Enters the network namespace of a process to make a socket there. Nothing but the standard library is imported here.

Sources: setns(2), network_namespaces(7), pidfd_open(2).
"""

import ctypes
import errno
import os
import select
import socket
from collections import OrderedDict

CLONE_NEWNET = 0x40000000  # linux/sched.h
MAX_HANDLES = 256  # pidfds kept open, one per infra process; the least used goes first

_libc = ctypes.CDLL(None, use_errno=True)


class NotEnteredError(OSError):
    """The namespace could not be entered; errno says why."""


class Entrance:
    """Makes sockets in namespaces; it moves the calling thread, and does not bring it back.

    What is kept between calls is a pidfd for each process, not its namespace: an open namespace file would keep the
    namespace and its interfaces alive after the pod is gone. A pidfd that is alive proves that the PID has not been
    given to another process since it was first seen.
    """

    def __init__(self) -> None:
        self._pidfds: OrderedDict[int, int] = OrderedDict()

    def open(self, pid: int, family: int, container_id: str) -> socket.socket:
        """Return a non-blocking stream socket; raises NotEnteredError, and OSError when there is no such socket."""
        try:
            self._enter(pid, container_id)
        except OSError as error:
            self._forget(pid)
            raise NotEnteredError(error.errno, error.strerror) from error
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def close(self) -> None:
        """Close what is kept."""
        for pid in list(self._pidfds):
            self._forget(pid)

    def _enter(self, pid: int, container_id: str) -> None:
        pidfd = self._pidfd(pid, container_id)
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not _alive(pidfd):  # then /proc/PID may have been somebody else's
                raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
            setns(namespace, CLONE_NEWNET)
        finally:
            os.close(namespace)

    def _pidfd(self, pid: int, container_id: str) -> int:
        """Return the pidfd of a process, the one seen before while it lives."""
        known = self._pidfds.get(pid)
        if known is not None and _alive(known):
            self._pidfds.move_to_end(pid)
            return known
        self._forget(pid)
        pidfd = os.pidfd_open(pid)
        self._pidfds[pid] = pidfd
        if container_id and not _belongs(pid, container_id):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        for other in [p for p, fd in self._pidfds.items() if not _alive(fd)]:
            self._forget(other)
        while len(self._pidfds) > MAX_HANDLES:
            self._forget(next(iter(self._pidfds)))
        return pidfd

    def _forget(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid, None)
        if pidfd is not None:
            os.close(pidfd)


def setns(namespace: int, kind: int) -> None:
    """Move the calling thread; raises OSError."""
    if _libc.setns(namespace, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _alive(pidfd: int) -> bool:
    poll = select.poll()  # not select(): a daemon with many pods has descriptors above 1023
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def _belongs(pid: int, container_id: str) -> bool:
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:  # noqa: PTH123  pathlib is not in here, on purpose
        return container_id in file.read()
