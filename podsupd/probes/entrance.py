"""Enters the network namespace of a process to make a socket there.

As a program (``python entrance.py FD``) it does so for somebody who may not: a rootless Podman's pods are in a user
namespace, and only a process that is in it too, and has one thread, may enter their network. It takes requests on a
socket and hands the sockets back as descriptors. So nothing but the standard library is imported here.

setns takes a pidfd since Linux 5.8. Sources: setns(2), network_namespaces(7), user_namespaces(7), ioctl_ns(2),
pidfd_open(2), unix(7).
"""

import ctypes
import errno
import fcntl
import os
import select
import socket
import sys
from collections import OrderedDict

CLONE_NEWNET = 0x40000000  # linux/sched.h
CLONE_NEWUSER = 0x10000000
NS_GET_PARENT = 0xB702  # linux/nsfs.h
REQUEST_LIMIT = 4096  # bytes
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
        known = self._pidfds.get(pid)
        if known is not None:
            try:
                setns(known, CLONE_NEWNET)
            except ProcessLookupError:
                pass  # it has ended, and the PID may be another one's by now
            else:
                self._pidfds.move_to_end(pid)
                return
        setns(self._pidfd(pid, container_id), CLONE_NEWNET)

    def _pidfd(self, pid: int, container_id: str) -> int:
        """Open a process' pidfd, and close those of processes that have ended."""
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


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace, or that of the process, that a descriptor stands for."""
    if _libc.setns(fd, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def join_user_namespace(pid: int) -> None:
    """Move this process into the user namespace of ``pid``, or the outermost one of those that are not ours.

    In that one we may enter the network of all that are inside of it, and there is no way back. Raises OSError.
    """
    own = os.stat("/proc/self/ns/user")  # noqa: PTH116  pathlib is not in here
    found = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.path.samestat(os.fstat(found), own):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        while True:
            outer = fcntl.ioctl(found, NS_GET_PARENT)
            if os.path.samestat(os.fstat(outer), own):
                os.close(outer)
                break
            os.close(found)
            found = outer
        setns(found, CLONE_NEWUSER)
    finally:
        os.close(found)


def serve(channel: socket.socket) -> None:
    """Answer requests ``PID FAMILY CONTAINER`` until the other side closes; the first one's user namespace is joined.

    The answer is ``made`` with a descriptor, or ``enter ERRNO`` or ``socket ERRNO``.
    """
    entrance = Entrance()
    joined = False
    while request := channel.recv(REQUEST_LIMIT):
        pid, family, container_id = request.decode().split(" ")
        try:
            if not joined:
                join_user_namespace(int(pid))
                joined = True
            made = entrance.open(int(pid), int(family), container_id)
        except OSError as error:
            kind = "socket" if joined and not isinstance(error, NotEnteredError) else "enter"
            channel.send(f"{kind} {error.errno}".encode())
        else:
            with made:
                socket.send_fds(channel, [b"made"], [made.fileno()])


def _alive(pidfd: int) -> bool:
    poll = select.poll()  # not select(): a daemon with many pods has descriptors above 1023
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def _belongs(pid: int, container_id: str) -> bool:
    """Say whether a process is a container's: by its cgroup, or where Podman makes none by its conmon's arguments."""
    if container_id in _read(f"/proc/{pid}/cgroup"):
        return True
    stat = _read(f"/proc/{pid}/stat")
    parent = stat[stat.rindex(")") + 2 :].split()[1]  # after a name in parentheses that can hold anything: proc(5)
    return container_id in _read(f"/proc/{parent}/cmdline")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  quicker than pathlib
        return file.read()


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as ours:
        serve(ours)
