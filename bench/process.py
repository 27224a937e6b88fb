"""What a process used."""

import os
from pathlib import Path


def cpu_seconds(pid: int) -> tuple[float, float]:
    """Return CPU seconds of the process, and of its children that ended (proc(5): utime, stime, cutime, cstime)."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    user, system, child_user, child_system = (int(f) / os.sysconf("SC_CLK_TCK") for f in fields[11:15])
    return user + system, child_user + child_system
