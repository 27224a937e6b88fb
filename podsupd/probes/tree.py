"""Finding and killing what an exec started, when it has to end before it is done."""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from podsupd.core.processes import parse_stat

MAX_ROUNDS = 16  # a process that forks while it is looked for is found in the next round; a fork bomb is not chased
GONE_S = 1.0  # how long killed processes are waited for; one in an uninterruptible wait ends when it can


@dataclass(frozen=True, slots=True)
class Process:
    """A line of /proc/PID/stat, as far as it matters here (proc(5)); start is in clock ticks since the boot.

    PID and start are what it is; the rest changes.
    """

    pid: int
    start: int
    parent: int = field(compare=False)
    session: int = field(compare=False)
    state: str = field(compare=False)


def read(pid: int) -> Process | None:
    """Return a process, None when there is none."""
    try:
        stat = parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    except OSError:
        return None
    return Process(pid, stat.start_ticks, stat.parent, stat.session, stat.state)


def descendants(root: int, processes: dict[int, Process]) -> set[int]:
    """Return the children of a process, theirs, and so on."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    pending = [root]
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def kill_exec(root: int, exec_pid: int, place: str, mark: str) -> None:
    """Kill a command and everything that it started; root is a child of ours that is not reaped yet.

    That is root's descendants, and in the cgroup whose path holds ``place`` (a container's id; empty: anywhere) whoever
    is in a session of theirs, or has ``mark`` (NAME=VALUE, which the command was given) in its environment: a
    background process whose parent has gone belongs to somebody else's PID 1, but keeps its session, or else its
    environment. exec_pid: the process that the runtime reported (0: none yet); it may be gone already, and its session
    still there. root is stopped first, or it could start the command just after we looked, and killed last.
    """
    os.kill(root, signal.SIGSTOP)
    try:
        _kill_below(root, {exec_pid} - {0}, place, mark)
    finally:
        os.kill(root, signal.SIGKILL)


def _kill_below(root: int, sessions: set[int], place: str, mark: str) -> None:
    killed: dict[Process, int] = {}
    try:
        for _ in range(MAX_ROUNDS):
            found = _find(root, sessions, place, mark)
            if found <= killed.keys():
                break
            for process in found - killed.keys():
                pidfd = _kill(process)
                if pidfd is not None:
                    killed[process] = pidfd
            _await_ends(killed.values())
    finally:
        for pidfd in killed.values():
            os.close(pidfd)


def _find(root: int, sessions: set[int], place: str, mark: str) -> set[Process]:
    """Return who has to go; sessions of root's descendants are added to ``sessions``."""
    processes = {p.pid: p for p in map(read, _pids()) if p is not None and p.state not in {"Z", "X"}}
    below = descendants(root, processes)
    sessions |= {processes[pid].session for pid in below} - {0, os.getsid(0)}

    def started(process: Process) -> bool:
        if process.pid == root or place.encode() not in _read(process.pid, "cgroup"):
            return False
        return process.session in sessions or mark.encode() in _read(process.pid, "environ").split(b"\0")

    return {p for p in processes.values() if p.pid in below or started(p)}


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208  names, by the hundred


def _read(pid: int, file: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def _kill(process: Process) -> int | None:
    """Send SIGKILL to exactly this process and return its pidfd; None when it is gone, or its PID somebody else's."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        return None
    now = read(process.pid)
    if now is not None and now.start == process.start:
        with suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return pidfd
    os.close(pidfd)
    return None


def _await_ends(pidfds: Iterable[int]) -> None:
    """Wait until these have ended, for GONE_S at most: a process ends when it next runs, not when it is killed."""
    until = time.monotonic() + GONE_S
    for pidfd in pidfds:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll(max(0.0, until - time.monotonic()) * 1000)
