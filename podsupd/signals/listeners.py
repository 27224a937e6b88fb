"""Who holds a port of the host: the socket in /proc/net, its inode among the open files of a process."""

import os
import re
from contextlib import suppress
from pathlib import Path

from podsupd.model.network import PortHolder
from podsupd.signals.proc import CONTAINER_ID, pids, shown, stat_of

_LISTEN = "0A"
_INODE = re.compile(r"socket:\[(\d+)\]")
_PARENTS = 4  # rootlessport is a grandchild of its container's conmon


class Listeners:
    """Implements ports.Listeners over /proc, in the network namespace that podsupd is in."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    def holders(self, protocol: str, port: int) -> tuple[PortHolder, ...]:
        """Return who holds a port, see ports.Listeners."""
        inodes = self._sockets(protocol.lower(), port)
        found: dict[int, PortHolder] = {}
        for pid in pids(self._proc) if inodes else ():
            if self._has(pid, inodes):
                found[pid] = PortHolder(pid, self._command(pid), self._container(pid))
        return tuple(found.values())

    def _sockets(self, protocol: str, port: int) -> set[str]:
        """Return the inodes of the sockets that are bound to the port; those that listen where there are any."""
        listening: set[str] = set()
        bound: set[str] = set()
        for name in (protocol, f"{protocol}6"):
            with suppress(OSError):
                for line in (self._proc / "self/net" / name).read_text().splitlines()[1:]:
                    fields = line.split()
                    if int(fields[1].rpartition(":")[2], 16) == port and fields[9] != "0":
                        bound.add(fields[9])
                        if fields[3] == _LISTEN:
                            listening.add(fields[9])
        return listening or bound

    def _has(self, pid: int, inodes: set[str]) -> bool:
        with suppress(OSError):
            folder = f"{self._proc}/{pid}/fd/"
            for name in os.listdir(folder):  # noqa: PTH208  a Path for each of thousands would double the time
                with suppress(OSError):
                    match = _INODE.match(os.readlink(folder + name))  # noqa: PTH115  as above
                    if match and match[1] in inodes:
                        return True
        return False

    def _command(self, pid: int) -> str:
        with suppress(OSError):
            return shown((self._proc / str(pid) / "comm").read_text(errors="replace").strip())
        return ""

    def _container(self, pid: int) -> str:
        """Return the id of the container that a process is in, or that it holds the port for; empty for neither."""
        for _ in range(_PARENTS):
            with suppress(OSError):
                # conmon has its container's id among its arguments; a process of a container in its cgroup.
                if self._command(pid) == "conmon":
                    words = (self._proc / str(pid) / "cmdline").read_text(errors="replace").split("\0")
                    return next((word for word in words if CONTAINER_ID.fullmatch(word)), "")
                ids = CONTAINER_ID.findall((self._proc / str(pid) / "cgroup").read_text(errors="replace"))
                if ids:
                    return str(ids[-1])
                pid = stat_of(pid, self._proc).parent
                continue
            break
        return ""
