"""What processes do, as the kernel tells it: exits by pidfd, signals by tracefs, cgroups, and what /proc says of them.

Nothing here decides, and nothing here talks to Podman. Signals go through pidfds only, never to a bare PID. A PID is
never trusted across an await without its start time: PIDs are reused.
"""

from podsupd.signals.cgroups import Shelters
from podsupd.signals.hangs import hanging
from podsupd.signals.listeners import Listeners
from podsupd.signals.look import ProcLook
from podsupd.signals.monitors import Monitors
from podsupd.signals.pidfd import PidfdWatcher
from podsupd.signals.processes import HostProcesses
from podsupd.signals.sender import PidfdSender
from podsupd.signals.tracefs import TracefsTracer

__all__ = [
    "HostProcesses",
    "Listeners",
    "Monitors",
    "PidfdSender",
    "PidfdWatcher",
    "ProcLook",
    "Shelters",
    "TracefsTracer",
    "hanging",
]
