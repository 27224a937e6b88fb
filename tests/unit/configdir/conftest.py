"""A directory of manifests, and clocks that stand still."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from podsupd.configdir import ManifestDirectory
from podsupd.configdir.quiet import Quiescence

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a, image: nginx}]}\n"


@dataclass
class Clocks:
    """Time that passes only when a test says so: monotonic seconds, and seconds of the wall clock."""

    monotonic: float = 100.0
    wall: float = 1_800_000_000.0

    def quiescence(self) -> Quiescence:
        """Return one that goes by these clocks."""
        return Quiescence(lambda: self.monotonic, lambda: int(self.wall * 1e9))


class Pods:
    """A manifest directory on disk, and the reader of it."""

    def __init__(self, path: Path, clocks: Clocks) -> None:
        """path: of the directory, which exists."""
        self.path = path
        self.clocks = clocks
        self.reader = ManifestDirectory(str(path), clocks.quiescence())

    def write(self, name: str, text: str | bytes = POD) -> Path:
        """Write a file, long ago by the wall clock of the test."""
        path = self.path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.clocks.wall = max(self.clocks.wall, path.stat().st_ctime + 10)
        return path

    async def status(self) -> dict[str, str]:
        """Scan; return the status of each file by its name, with the message of those that were not read."""
        found = await self.reader.scan()
        return {Path(f.path).name: f.message or f.status.value for f in found.files}


@pytest.fixture
def clocks() -> Clocks:
    """Clocks for a directory."""
    return Clocks()


@pytest.fixture
def pods(tmp_path: Path, clocks: Clocks) -> Pods:
    """An empty manifest directory."""
    path = tmp_path / "pods.d"
    path.mkdir()
    return Pods(path, clocks)
