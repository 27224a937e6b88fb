"""What processes do, as the kernel tells it: exits by pidfd, cgroups, and what /proc says of a process.

Nothing here decides, and nothing here talks to Podman. Signals go through pidfds only, never to a bare PID. A PID is
never trusted across an await without its start time: PIDs are reused.
"""

from podsupd.signals.cgroups import Shelters
from podsupd.signals.pidfd import PidfdWatcher
from podsupd.signals.proc import process_start_time
from podsupd.signals.processes import HostProcesses

__all__ = ["HostProcesses", "PidfdWatcher", "Shelters", "process_start_time"]
