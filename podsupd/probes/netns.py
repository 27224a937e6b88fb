"""The one helper thread that opens sockets inside pods' network namespaces.

A socket belongs for good to the namespace that its thread was in when it was made, so only this step needs the thread:
connect, TLS and HTTP go on in the event loop. The thread opens a socket only straight after a setns that succeeded, and
it is never used for anything else, so where it happens to be between two calls does not matter. It is a plain thread
with a queue: handing a socket over costs a third less than with an executor, and this is most of a probe's cost.
"""

import asyncio
import errno
import queue
import socket
import threading

from podsupd.errors import ProbeUnrunnable
from podsupd.probes.deputy import Deputy
from podsupd.probes.entrance import Entrance, NotEnteredError
from podsupd.probes.text import reason

# loop, future, pid, family, container id
_Asked = tuple[asyncio.AbstractEventLoop, "asyncio.Future[socket.socket]", int, int, str]


_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})


class NamespaceThread:
    """Opens sockets in the network namespace of a process."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="podsupd-netns", daemon=True)
        self._thread.start()

    async def open(self, pid: int, family: int, container_id: str = "") -> socket.socket:
        """Return a non-blocking stream socket made in the namespace of ``pid``.

        container_id: the process must belong to this container (checked by its cgroup when first seen); empty: any.
        Raises ProbeUnrunnable when the namespace cannot be entered, OSError when the kernel has no such family.
        """
        if pid <= 0:
            raise ProbeUnrunnable(
                "cannot enter the pod's network namespace: its infra container is not running, or its processes "
                "cannot be seen from here (podsupd in a container needs --pid=host)"
            )
        loop = asyncio.get_running_loop()
        future: asyncio.Future[socket.socket] = loop.create_future()
        self._asked.put((loop, future, pid, family, container_id))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().close()  # it came together with the cancellation
            raise
        except NotEnteredError as error:
            raise ProbeUnrunnable(_explain(pid, error)) from error
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                raise
            raise ProbeUnrunnable(f"cannot open a socket: {reason(error)}") from error

    def close(self) -> None:
        """End the thread; no call may come after this."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        way = _Way()
        while (asked := self._asked.get()) is not None:
            loop, future, pid, family, container_id = asked
            try:
                made: socket.socket | Exception = way.open(pid, family, container_id)
            except Exception as error:  # noqa: BLE001  whatever it is, whoever waits has to know
                made = error
            try:
                loop.call_soon_threadsafe(_deliver, future, made)
            except RuntimeError:  # the loop was closed meanwhile
                _deliver(future, made)
        way.close()


class _Way:
    """Into namespaces: our own, or where that is forbidden a deputy's, if it has one."""

    def __init__(self) -> None:
        self._way: Entrance | Deputy = Entrance()
        self._no_deputy = False

    def open(self, pid: int, family: int, container_id: str) -> socket.socket:
        try:
            return self._way.open(pid, family, container_id)
        except NotEnteredError as refusal:
            if refusal.errno not in _FORBIDDEN or self._no_deputy or isinstance(self._way, Deputy):
                raise
            deputy = Deputy()
            try:
                made = deputy.open(pid, family, container_id)
            except OSError as error:
                deputy.close()
                self._no_deputy = error.errno in _FORBIDDEN
                raise refusal from None
            self._way.close()
            self._way = deputy
            return made

    def close(self) -> None:
        self._way.close()


def _deliver(future: "asyncio.Future[socket.socket]", made: socket.socket | Exception) -> None:
    if isinstance(made, Exception):
        if not future.cancelled():
            future.set_exception(made)
    elif future.cancelled() or future.get_loop().is_closed():
        made.close()
    else:
        future.set_result(made)


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
            "or for rootless Podman as the user that the pods belong to"
        )
    return sentence + "the kernel or a security policy refuses it"
