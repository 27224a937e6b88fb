"""Files that came whole: renamed into the directory, and not written to since.

A rename is how a careful program puts a file in place (rename(2) is atomic), so there is nothing to wait for. The
kernel queues an inotify event with each change before the change can be read (inotify(7)): whoever has read a file,
and then finds no event of a write behind that of its rename, has read what was renamed.
"""

import os
from collections.abc import Callable

from asyncinotify import Event, Inotify, Mask

_CHANGES = Mask.CREATE | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO
_LOST = Mask.Q_OVERFLOW | Mask.IGNORED | Mask.UNMOUNT


class Arrivals:
    """Watches one directory at a time; used by one thread at a time."""

    def __init__(self, is_manifest: Callable[[str], bool]) -> None:
        """is_manifest: a file that was written under such a name is not put in place by giving it another one."""
        self._is_manifest = is_manifest
        self._identity: tuple[int, int] | None = None
        self._inotify: Inotify | None = None
        self._whole: set[str] = set()
        self._renamed_manifest = 0

    def watch(self, directory: int) -> None:
        """Watch the directory behind a descriptor, from now on; without inotify no file ever counts as whole."""
        self._take_all()
        found = os.fstat(directory)
        if self._inotify is not None and self._identity == (found.st_dev, found.st_ino):
            return
        self.close()
        try:
            self._inotify = Inotify(sync_timeout=0)
            self._inotify.add_watch(f"/proc/self/fd/{directory}", _CHANGES | Mask.ONLYDIR)
        except OSError:
            self.close()
        self._identity = (found.st_dev, found.st_ino)

    def is_whole(self, name: str) -> bool:
        """Say whether the last that happened to a file until now was that it was renamed into its place."""
        self._take_all()
        return name in self._whole

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
        self._inotify = None
        self._whole.clear()

    def _take_all(self) -> None:
        for event in self._inotify or ():
            self._take(event)

    def _take(self, event: Event) -> None:
        name = str(event.name or "")
        if event.mask & _LOST:
            # Also when the directory was removed: a new one may get its inode's number.
            self._whole.clear()
            self._identity = None
        elif event.mask & Mask.MOVED_TO and event.cookie != self._renamed_manifest:
            self._whole.add(name)
        else:
            self._whole.discard(name)
            if event.mask & Mask.MOVED_FROM and self._is_manifest(name):
                self._renamed_manifest = event.cookie
