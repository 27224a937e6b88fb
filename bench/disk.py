"""A disk of its own, so that what reaches it can be counted: an ext4 in a file in memory, as root."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE_MB = 256
SECTOR = 512
# Fields of /sys/block/DEVICE/stat (Documentation/block/stat.rst of the kernel).
_SECTORS_WRITTEN, _FLUSHES = 6, 15


@dataclass(frozen=True, slots=True)
class Written:
    """What reached a disk so far: bytes, journal of the file system and all, and flushes of its cache.

    flushes: before and after the one that looking takes.
    """

    size: int
    flushes: tuple[int, int]

    def since(self, before: "Written") -> tuple[int, int]:
        """Return the bytes and the flushes of the time between two looks."""
        return self.size - before.size, self.flushes[0] - before.flushes[1]


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted file system and its block device."""

    path: Path
    device: str

    def written(self) -> Written:
        """Have what the kernel holds back written out, and return what reached the disk so far."""
        flushes = self._stat(_FLUSHES)
        _run("sync", "--file-system", str(self.path))
        return Written(self._stat(_SECTORS_WRITTEN) * SECTOR, (flushes, self._stat(_FLUSHES)))

    def _stat(self, field: int) -> int:
        return int(Path(f"/sys/block/{Path(self.device).name}/stat").read_text().split()[field])


@contextmanager
def disk() -> Iterator[Disk]:
    """Yield an empty ext4 with Debian's defaults; needs root and loop devices."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        image, path = Path(folder) / "image", Path(folder) / "disk"
        path.mkdir()
        with image.open("wb") as file:
            file.truncate(SIZE_MB * 1024 * 1024)
        # Else the kernel zeroes the tables of inodes for minutes, which would be counted.
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
        device = _run("losetup", "--find", "--show", str(image))
        try:
            _run("mount", device, str(path))
            try:
                yield Disk(path, device)
            finally:
                _run("umount", str(path))
        finally:
            _run("losetup", "--detach", device)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
