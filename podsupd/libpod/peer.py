"""Whether the pids that Podman tells mean the same processes here."""

import socket
import struct

from podsupd.libpod.connection import socket_path

_CREDENTIALS = struct.Struct("3i")


def shares_pid_namespace(url: str) -> bool | None:
    """Say whether Podman's processes can be seen from here; None while nothing listens on its socket.

    The kernel translates the listener's pid into our PID namespace, and to 0 where it has none (unix(7),
    SO_PEERCRED): so in a container without ``--pid=host``.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(socket_path(url))
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    pid, _, _ = _CREDENTIALS.unpack(credentials)
    return bool(pid != 0)
