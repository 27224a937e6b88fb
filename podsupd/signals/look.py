"""One process at a glance, for the ledger: whose it is and which signals it holds back; and a cgroup's members."""

import functools
import os
import pwd

from podsupd.model.signals import ProcessFacts


class ProcLook:
    """Implements ports.ProcessLook."""

    def look(self, tid: int) -> ProcessFacts | None:
        """Return what /proc says of a thread's process; None when it is gone or a zombie without anything left."""
        try:
            status = _read(f"/proc/{tid}/status")
            cgroup = _read(f"/proc/{tid}/cgroup")
            arguments = _read(f"/proc/{tid}/cmdline")
            tids = tuple(int(name) for name in os.listdir(f"/proc/{tid}/task"))  # noqa: PTH208  as _read
        except (OSError, ValueError):
            return None
        # A name cannot break out of its line: the kernel escapes a newline in it.
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        try:
            tgid = int(fields["Tgid"])
            return ProcessFacts(
                tgid=tgid,
                parent=int(fields["PPid"]),
                command=_unescaped(fields["Name"]),
                cgroups=tuple(line.split(":", 2)[2] for line in cgroup.splitlines() if line.count(":") > 1),
                pids=tuple(int(pid) for pid in fields.get("NSpid", "").split()),
                user=_user(int(fields["Uid"].split()[0])),
                tids=tids,
                blocked=_mask(fields.get("SigBlk", "0")),
                arguments=tuple(arguments.rstrip("\0").split("\0")),
            )
        except (KeyError, ValueError):
            return None

    def members(self, pid: int) -> tuple[int, ...]:
        """Return the processes of the cgroup that this process is in, empty when they cannot be read."""
        try:
            lines = _read(f"/proc/{pid}/cgroup").splitlines()
        except OSError:
            return ()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            for mount in _mounts(controllers):
                try:
                    return tuple(int(word) for word in _read(f"{mount}{path}/cgroup.procs").split())
                except (OSError, ValueError):
                    continue
        return ()


def _mounts(controllers: str) -> tuple[str, ...]:
    if not controllers:
        return ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    return (f"/sys/fs/cgroup/{controllers.removeprefix('name=')}",)


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  twice as fast as pathlib, and asked often
        return file.read(65536).decode(errors="replace")


def _unescaped(name: str) -> str:
    return name.replace("\\n", "\n").replace("\\\\", "\\")


def _mask(text: str) -> frozenset[int]:
    bits = int(text, 16)
    return frozenset(number for number in range(1, 65) if bits >> (number - 1) & 1)


@functools.lru_cache(maxsize=256)
def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
