"""What a process used, and what it may use."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> tuple[float, float]:
    """Return CPU seconds of the process, and of its children that ended (proc(5): utime, stime, cutime, cstime)."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    user, system, child_user, child_system = (int(f) / os.sysconf("SC_CLK_TCK") for f in fields[11:15])
    return user + system, child_user + child_system


def status_mb(pid: int, field: str) -> float:
    """Read a size from /proc/PID/status (VmRSS, VmHWM), in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1_000_000
    raise RuntimeError(f"cannot read {field} of process {pid}")


def cgroup_number(pid: int, controller: str, v1_file: str, v2_file: str) -> int:
    """Read a number that the kernel enforces on a process; what is unlimited is -1. Raises LookupError without it."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    mount = Path("/sys/fs/cgroup") / ("" if unified else controller)
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if ("" if unified else controller) in names.split(","):
            # In a cgroup namespace of its own what is mounted may lie above the namespace's root.
            inside = path.removeprefix(_root_of(mount)).lstrip("/")
            word = (mount / inside / (v2_file if unified else v1_file)).read_text().split()[0]
            return -1 if word == "max" or int(word) > 2**62 else int(word)
    raise LookupError(f"process {pid} is in no cgroup of {controller}")


def _root_of(mount: Path) -> str:
    """Return which cgroup is mounted there, as /proc/PID/cgroup names it; proc(5): mountinfo's fourth field."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        root, point = line.split()[3:5]
        if Path(point) == mount.resolve():
            return "" if root == "/" else root
    return ""
