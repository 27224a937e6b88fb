"""The boot clock."""

import time
from pathlib import Path

from podsupd.systemd import SystemClock


def test_boot_time_and_boot_id() -> None:
    """Back-off and deadlines are right after a suspend, and are known to be stale after a reboot."""
    began = time.monotonic()
    clock = SystemClock()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = clock.now()
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= now.boottime <= after
    assert now.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert abs(clock.wall() - time.time()) < 60
    # What is told as slept is the distance of the kernel's two clocks, but for the moment between two readings.
    apart = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    assert abs(now.slept - apart) <= time.monotonic() - began
