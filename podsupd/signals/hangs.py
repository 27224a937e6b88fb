"""What Podman waits for when it does not answer: its OCI runtime at work on a container that it holds."""

import os
import time
from contextlib import suppress
from pathlib import Path

from podsupd.signals.proc import CONTAINER_ID, pids, shown, stat_of

_VERBS = frozenset({"create", "delete", "kill", "pause", "resume", "start", "state", "update"})
_TICKS = os.sysconf("SC_CLK_TCK")
LONG_S = 5.0
"""The runtime's commands take milliseconds."""


def hanging(proc: Path = Path("/proc"), long_s: float = LONG_S) -> tuple[str, ...]:
    """Name the runtime's commands that take longer than long_s, each in a sentence with the way out. Blocks."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    found: list[str] = []
    for pid in pids(proc):
        with suppress(OSError, ValueError, IndexError):
            words = (proc / str(pid) / "cmdline").read_text(errors="replace").split("\0")
            container = next((w for w in words if CONTAINER_ID.fullmatch(w)), "")
            verb = next((w for w in words[1:] if w in _VERBS), "")
            if not (container and verb) or words[0].endswith("conmon"):
                continue
            age = now - stat_of(pid, proc).start_ticks / _TICKS
            if age >= long_s:
                found.append(_sentence(pid, words, verb, container, age))
    return tuple(found)


def _sentence(pid: int, words: list[str], verb: str, container: str, age: float) -> str:
    # Of a script the interpreter comes first.
    runtime = words[0] if words[1].startswith("-") or words[1] == verb else words[1]
    return (
        f"it may wait for `{shown(f'{runtime} {verb}')}` of container {container[:12]} (PID {pid}) since {age:.0f} s:"
        f" `kill -9 {pid}` lets Podman go on"
    )
