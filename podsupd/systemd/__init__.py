"""What comes from below podsupd: systemd's notify socket, watchdog and passed sockets, and the boot clock.

Nothing here raises for want of systemd: outside of a unit everything is a no-op or empty.
"""

from podsupd.systemd.clock import SystemClock
from podsupd.systemd.notify import SystemdNotifier
from podsupd.systemd.sockets import passed_sockets

__all__ = ["SystemClock", "SystemdNotifier", "passed_sockets"]
