"""Reading /proc (proc(5))."""

from pathlib import Path

# Counted from the field after comm, which is the third: starttime is field 22.
_START_TIME = 22 - 3


def process_start_time(pid: int) -> int | None:
    """Return when the process started, in clock ticks since the boot; None when there is none of that PID.

    PID and start time together name a process for as long as the machine is up.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # comm is in parentheses and may hold anything, parentheses and newlines too: the last one ends it.
    return int(stat.rpartition(b")")[2].split()[_START_TIME])
