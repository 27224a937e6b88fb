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
        """Return seconds since the boot, suspend included, which boot that is, and how long of it was suspend."""
        # The kernel keeps the two apart by exactly what it slept; the moment between the readings is no sleep.
        awake = time.clock_gettime(time.CLOCK_MONOTONIC)
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
        return Now(boottime, self._boot_id, boottime - awake)

    def wall(self) -> float:
        """Return epoch seconds; may jump, for showing only."""
        return time.time()
