"""Finding and killing what an exec started, when it has to end before it is done."""

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

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
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in parentheses can hold anything, so fields are counted from its end: state is the third of all.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, int(fields[19]), int(fields[1]), int(fields[3]), fields[0])


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


def kill_exec(runtime_pid: int, exec_pid: int, container_id: str) -> None:
    """Kill an exec of the OCI runtime and everything that it started; the runtime is a child that is not reaped yet.

    That is the runtime's descendants, and in the container's cgroup whoever is in a session of theirs: a background
    process whose parent has gone belongs to the pod's PID 1, but keeps its session. exec_pid: the process that the
    runtime reported (0: none yet); it may be gone already, and its session still there. The runtime is stopped first,
    or it could start the command just after we looked, and killed last.
    """
    os.kill(runtime_pid, signal.SIGSTOP)
    try:
        _kill_below(runtime_pid, {exec_pid} - {0}, container_id)
    finally:
        os.kill(runtime_pid, signal.SIGKILL)


def _kill_below(runtime_pid: int, sessions: set[int], container_id: str) -> None:
    killed: dict[Process, int] = {}
    try:
        for _ in range(MAX_ROUNDS):
            found = _find(runtime_pid, sessions, container_id)
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


def _find(runtime_pid: int, sessions: set[int], container_id: str) -> set[Process]:
    """Return who has to go; sessions of the runtime's descendants are added to ``sessions``."""
    processes = {p.pid: p for p in map(read, _pids()) if p is not None and p.state not in {"Z", "X"}}
    below = descendants(runtime_pid, processes)
    sessions |= {processes[pid].session for pid in below} - {0, os.getsid(0)}
    return {
        p
        for p in processes.values()
        if p.pid in below or (p.session in sessions and _in_container(p.pid, container_id))
    }


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208  names, by the hundred


def _in_container(pid: int, container_id: str) -> bool:
    try:
        return container_id in Path(f"/proc/{pid}/cgroup").read_text(errors="replace")
    except OSError:
        return False


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
