"""Sockets that systemd opened for us (sd_listen_fds(3))."""

import contextlib
import os
import socket
from collections.abc import MutableMapping

from podsupd import log

FIRST_FD = 3


def passed_sockets(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Return them in the unit's order, not to be inherited; empty when they are not for this process.

    The variables are taken out of the environment, so a second call returns none. A descriptor that is no socket (a
    FIFO of ListenFIFO=) is closed with a warning.
    """
    count = environment.pop("LISTEN_FDS", "")
    pid = environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not count.isdecimal() or pid != str(os.getpid()):
        return []
    sockets = []
    for fd in range(FIRST_FD, FIRST_FD + int(count)):
        try:
            os.set_inheritable(fd, False)
            passed = socket.socket(fileno=fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.close(fd)
            log.get("systemd").warning(f"cannot use descriptor {fd} passed by systemd: {error.strerror}")
            continue
        passed.setblocking(False)
        sockets.append(passed)
    return sockets
