"""Keeps a container's output pipes open once conmon, their reader, is gone: a write would kill the writer (SIGPIPE).

conmon ends with the first process. Whoever it leaves behind and says a last word on stdout would die of it in the
middle of its clean-up, so we hold the read ends and throw away what comes. Only pipes that conmon itself reads are
held: never one between two processes of the container.
"""

import asyncio
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from podsupd.signals import held
from podsupd.signals.proc import stat_of

CONMON = "conmon"
AT_ONCE = 65536  # the size of a pipe (pipe(7))


def open_outputs(pid: int) -> list[int]:
    """Open the read ends of the pipes that the first process's conmon reads; none when its parent is no conmon.

    A process that has ended, or may not be looked at, has none.
    """
    opened: list[int] = []
    with suppress(OSError):
        parent = stat_of(pid).parent
        conmon = held.read(parent)
        if conmon is None or conmon.command != CONMON:
            return opened
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        opened.extend(os.open(link, flags) for link in Path(f"/proc/{parent}/fd").iterdir() if _is_read_end(link))
    return opened


def _is_read_end(link: Path) -> bool:
    try:
        # The permissions of the link itself say how the descriptor was opened (proc(5)).
        mode = link.lstat().st_mode
        # A named one (conmon has two) is no container's output.
        return bool(mode & stat.S_IRUSR) and not mode & stat.S_IWUSR and str(link.readlink()).startswith("pipe:")
    except OSError:
        return False


class Outputs:
    """Read ends held, by container id; all on the event loop."""

    def __init__(self) -> None:
        self._held: dict[str, list[int]] = {}

    def hold(self, container_id: str, opened: Iterable[int]) -> None:
        """Take over descriptors; those held before for the container are closed."""
        self.close(container_id)
        self._held[container_id] = list(opened)

    def drain(self, container_id: str) -> None:
        """Throw away what comes from now on, so that no writer blocks: conmon is gone."""
        for descriptor in self._held.get(container_id, ()):
            asyncio.get_running_loop().add_reader(descriptor, self._read, container_id, descriptor)

    def _read(self, container_id: str, descriptor: int) -> None:
        with suppress(BlockingIOError):
            if os.read(descriptor, AT_ONCE):
                return
            # No writer is left.
            self._held[container_id].remove(descriptor)
            _close(descriptor)

    def close(self, container_id: str) -> None:
        """Let go of a container's pipes."""
        for descriptor in self._held.pop(container_id, ()):
            _close(descriptor)

    def close_all(self) -> None:
        """Let go of all."""
        for container_id in list(self._held):
            self.close(container_id)

    @property
    def containers(self) -> tuple[str, ...]:
        """The containers whose pipes are held."""
        return tuple(self._held)


def _close(descriptor: int) -> None:
    with suppress(RuntimeError):
        asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)
