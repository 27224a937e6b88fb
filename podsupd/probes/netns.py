"""The one helper thread that opens sockets inside pods' network namespaces.

A socket belongs for good to the namespace that its thread was in when it was made, so only this step needs the thread:
connect, TLS and HTTP go on in the event loop. The thread opens a socket only straight after a setns that succeeded, and
it is never used for anything else, so where it happens to be between two calls does not matter. Sources: setns(2),
network_namespaces(7), pidfd_open(2).
"""

import asyncio
import ctypes
import errno
import os
import select
import socket
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from podsupd.errors import ProbeUnrunnable
from podsupd.probes.text import reason

CLONE_NEWNET = 0x40000000  # linux/sched.h
MAX_HANDLES = 256  # pidfds kept open, one per infra process; the least used goes first

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceThread:
    """Opens sockets in the network namespace of a process.

    What is kept between calls is a pidfd for each process, not its namespace: an open namespace file would keep the
    namespace and its interfaces alive after the pod is gone. A pidfd that is alive proves that the PID has not been
    given to another process since it was first seen.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="podsupd-netns")
        self._pidfds: OrderedDict[int, int] = OrderedDict()

    async def open(self, pid: int, family: int, container_id: str = "") -> socket.socket:
        """Return a non-blocking stream socket made in the namespace of ``pid``.

        container_id: the process must belong to this container (checked by its cgroup when first seen); empty: any.
        Raises ProbeUnrunnable when the namespace cannot be entered, OSError when the kernel has no such family.
        """
        future = self._thread.submit(self._open, pid, family, container_id)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.add_done_callback(_discard)  # the thread may have been quicker than the cancellation
            raise

    def close(self) -> None:
        """End the thread; no call may come after this."""
        self._thread.submit(self._forget_all)
        self._thread.shutdown(wait=True)

    def _open(self, pid: int, family: int, container_id: str) -> socket.socket:
        if pid <= 0:
            raise ProbeUnrunnable("cannot enter the pod's network namespace: its infra container is not running")
        try:
            pidfd = self._pidfd(pid, container_id)
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if not _alive(pidfd):  # then /proc/PID may have been somebody else's
                    raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
                if _libc.setns(namespace, CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
            finally:
                os.close(namespace)
        except OSError as error:
            self._forget(pid)
            raise ProbeUnrunnable(_explain(pid, error)) from error
        try:
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                raise
            raise ProbeUnrunnable(f"cannot open a socket: {reason(error)}") from error

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

    def _forget_all(self) -> None:
        for pid in list(self._pidfds):
            self._forget(pid)


def _alive(pidfd: int) -> bool:
    poll = select.poll()  # not select(): a daemon with many pods has descriptors above 1023
    poll.register(pidfd, select.POLLIN)
    return not poll.poll(0)


def _belongs(pid: int, container_id: str) -> bool:
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:  # noqa: PTH123  a path of /proc, in the hot path
        return container_id in file.read()


def _explain(pid: int, error: OSError) -> str:
    sentence = f"cannot enter the network namespace of process {pid}: {reason(error)}: "
    if error.errno in {errno.ENOENT, errno.ESRCH}:
        return sentence + (
            "the pod's infra container is not running, or podsupd is itself in a container without the host's "
            "PID namespace (run that one with --pid=host)"
        )
    if error.errno in {errno.EPERM, errno.EACCES}:
        return sentence + (
            "podsupd needs CAP_SYS_ADMIN and CAP_SYS_PTRACE in the user namespace that owns the pod: run it as root, "
            "or for rootless Podman as `podman unshare podsupd run`"
        )
    return sentence + "the kernel or a security policy refuses it"


def _discard(future: Future[socket.socket]) -> None:
    """Close a socket that nobody waits for any more."""
    with suppress(ProbeUnrunnable, OSError):
        if not future.cancelled():
            future.result().close()
