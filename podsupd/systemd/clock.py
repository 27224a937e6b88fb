"""The clock that decisions are made by: it runs on while the machine sleeps and nobody can set it."""

import time
from pathlib import Path

from podsupd.model.plan import Now

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """CLOCK_BOOTTIME with the kernel's boot id, implementing ports.Clock."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text(encoding="ascii").strip()

    def now(self) -> Now:
        """Return seconds since the boot, suspend included, and which boot that is."""
        return Now(time.clock_gettime(time.CLOCK_BOOTTIME), self._boot_id)

    def wall(self) -> float:
        """Return epoch seconds; may jump, for showing only."""
        return time.time()
