"""What processes do, as the kernel tells it: exits by pidfd, and what /proc says of a process.

Nothing here decides or signals, and nothing here talks to Podman. A PID is never trusted across an await without its
start time: PIDs are reused.
"""

from podsupd.signals.pidfd import PidfdWatcher
from podsupd.signals.proc import process_start_time
from podsupd.signals.processes import HostProcesses

__all__ = ["HostProcesses", "PidfdWatcher", "process_start_time"]
