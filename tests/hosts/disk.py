"""A disk of a test's own that can lose power: an ext4 in a file."""

import fcntl
import os
import subprocess
import time
from pathlib import Path

import pytest
from hosts.host import run_here

SHUTDOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN (fs/ext4/ext4.h); xfstests' godown does the same."""
NO_LOG_FLUSH = 2
"""What was not written to the device by now never is: no page, no journal."""
RELEASED_S = 30.0


class Disk:
    """An ext4 of so many bytes at most, mounted in a folder."""

    def __init__(self, folder: Path, size: int = 8 << 30) -> None:
        self.root = folder / "root"
        self._file = folder / "disk.ext4"
        self.root.mkdir()
        with self._file.open("wb") as made:
            made.truncate(size)
        run_here("mke2fs", "-q", "-t", "ext4", self._file)

    def mount(self) -> None:
        """Make it reachable; the kernel replays its journal."""
        run_here("mount", "-o", "loop", self._file, self.root)

    def cut(self) -> None:
        """Take its power now, in the middle of whatever is being done: all later input and output fails."""
        opened = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(opened, SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(opened)

    def unmount(self) -> None:
        """Let go of it, once the last process that had it open is gone."""
        deadline = time.monotonic() + RELEASED_S
        while subprocess.run(["umount", self.root], check=False, capture_output=True).returncode:
            if not os.path.ismount(self.root):
                return
            if time.monotonic() > deadline:
                pytest.fail(f"somebody still uses {self.root}")
            time.sleep(0.1)
