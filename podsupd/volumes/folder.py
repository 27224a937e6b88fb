"""ports.PodFiles on the host: one folder a pod, below a root that only its owner may enter."""

import asyncio
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from podsupd import log
from podsupd.core import files
from podsupd.errors import FilesUnavailable
from podsupd.model.references import PodFacts
from podsupd.model.spec import PodSpec
from podsupd.model.volumes import Projected
from podsupd.volumes import writer

logger = log.get("volumes")

MESSAGE_MAX = 4096
"""Bytes of a container's last words that are read, as in Kubernetes."""
WORDS_MAX = 64 * 1024
"""Bytes of memory that last words may take for longer than until the next look at them."""

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
_ROOT_MODE = 0o700
_MESSAGE_MODE = 0o666


class PodFolders:
    """Keeps the pods' files. root: on a tmpfs, since a Secret must not reach a disk; made when it is needed."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kept: dict[str, tuple[tuple[PodSpec, str], list[Path]]] = {}
        self._lock = asyncio.Lock()
        self._looked = False
        self._cut: set[Path] = set()

    async def keep(self, pod: PodSpec, uid: str) -> Collection[str]:
        """Have every file of a pod's volumes as it should be; return the volumes that changed under containers.

        Raises FilesUnavailable.
        """
        kept = self._kept.get(pod.name)
        if kept is not None and kept[0] == (pod, uid) and all(map(os.path.exists, kept[1])):
            return ()
        async with self._lock:
            try:
                changed, there = await asyncio.to_thread(self._write, pod, uid)
            except OSError as error:
                what = f"cannot write the files of pod {pod.name} below {self._root}: {error.strerror or error}"
                raise FilesUnavailable(what) from error
        self._kept[pod.name] = ((pod, uid), there)
        return changed

    async def remove(self, pod: str) -> None:
        """Remove all files of a pod whose containers are gone or dead. Raises FilesUnavailable."""
        self._kept.pop(pod, None)
        folder = files.pod_folder(self._root, pod)
        try:
            await asyncio.to_thread(shutil.rmtree, folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise FilesUnavailable(f"cannot remove the files of pod {pod}: {error}") from error

    async def begin(self, pod: str, container: str) -> None:
        """Forget a container's last words: it begins a new life. What cannot be done is no reason not to start it."""
        await asyncio.to_thread(self._clear, Path(files.message_file(self._root, pod, container)))

    async def message(self, pod: str, container: str) -> str:
        """Return a container's last words; empty when there are none."""
        return await asyncio.to_thread(self._read, Path(files.message_file(self._root, pod, container)))

    async def trim(self) -> None:
        """Cut last words that grow without an end to what is read of them: the tmpfs is everybody's."""
        pods = [kept[0] for kept, _ in self._kept.values()]
        paths = [Path(files.message_file(self._root, pod.name, c.name)) for pod in pods for c in pod.every]
        await asyncio.to_thread(self._trim, paths)

    def _trim(self, paths: Sequence[Path]) -> None:
        for path in paths:
            try:
                # Not by its size: who goes on writing where it was leaves a hole, which takes nothing.
                taken = path.stat().st_blocks * 512
                if taken <= WORDS_MAX:
                    continue
                os.truncate(path, MESSAGE_MAX)
            except OSError:
                continue  # a pod that is being removed
            if path not in self._cut:
                self._cut.add(path)
                logger.warning(
                    "a container's last words were cut: its terminationMessagePath is no log",
                    file=str(path),
                    bytes=taken,
                )

    def _write(self, pod: PodSpec, uid: str) -> tuple[list[str], list[Path]]:
        """Write what differs; return the volumes that changed, and what now is to be found on the host."""
        root = Path(self._root)
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(_ROOT_MODE)
        self._look_once(root)
        folder = Path(files.pod_folder(self._root, pod.name))
        folder.mkdir(exist_ok=True)
        facts = PodFacts(
            uid=uid,
            cpu_milli=(os.cpu_count() or 1) * 1000,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        )
        changed: list[str] = []
        there: list[Path] = []
        for name, source in _projected(pod):
            made = files.payload(pod, source, facts)
            if made.missing:
                # What runs keeps what it has; what is to be made waits, and says for what.
                continue
            path = Path(files.volume_folder(self._root, pod.name, name))
            before = writer.is_written(path)
            if writer.write(path, made.files, pod.security.fs_group) and before:
                changed.append(name)
            there.append(path / writer.DATA)
        words = folder / files.MESSAGES
        words.mkdir(exist_ok=True)
        for container in pod.every:
            there.append(Path(files.message_file(self._root, pod.name, container.name)))
            self._touch(there[-1])
        return changed, there

    def _look_once(self, root: Path) -> None:
        """Say once where Secrets would reach a disk."""
        kind = "" if self._looked else filesystem(root)
        self._looked = True
        if kind and kind not in _IN_MEMORY:
            logger.warning(
                "the files of Secrets are on a disk: put [api] socket, beside which they lie, on a tmpfs",
                folder=str(root),
                filesystem=kind,
            )

    @staticmethod
    def _touch(path: Path) -> None:
        if not path.exists():
            path.touch()
            # Whatever user the container has may write into it, as in Kubernetes.
            path.chmod(_MESSAGE_MODE)

    @staticmethod
    def _clear(path: Path) -> None:
        try:
            os.truncate(path, 0)
        except OSError:
            return

    @staticmethod
    def _read(path: Path) -> str:
        try:
            with path.open("rb") as file:
                return file.read(MESSAGE_MAX).decode(errors="replace")
        except OSError:
            return ""


def filesystem(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that a path is on, as the kernel calls it; empty when it is not known."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[2:3] == [wanted]:
                return after.split()[0]
    except OSError:
        return ""
    return ""


def _projected(pod: PodSpec) -> list[tuple[str, Projected]]:
    return [(v.name, v.source) for v in pod.volumes if isinstance(v.source, Projected)]
