"""Finding and killing what an exec started, when it has to end before it is done."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MAX_ROUNDS = 16  # a process that forks while it is looked for is found in the next round; a fork bomb is not chased


@dataclass(frozen=True, slots=True)
class Process:
    """A line of /proc/PID/stat, as far as it matters here (proc(5)); start is in clock ticks since the boot."""

    pid: int
    state: str
    parent: int
    session: int
    start: int


def read(pid: int) -> Process | None:
    """Return a process, None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in parentheses can hold anything, so fields are counted from its end: state is the third of all.
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


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
    """Kill everything that an exec of the OCI runtime started, but not the runtime, which then ends by itself.

    That is the runtime's descendants, and in the container's cgroup whoever is in a session of theirs: a background
    process whose parent has gone belongs to the pod's PID 1, but keeps its session. exec_pid: the process that the
    runtime reported (0: none yet); it may be gone already, and its session still there.
    """
    sessions: set[int] = {exec_pid} - {0}
    killed: set[tuple[int, int]] = set()
    for _ in range(MAX_ROUNDS):
        processes = {p.pid: p for p in map(read, _pids()) if p is not None and p.state not in {"Z", "X"}}
        below = descendants(runtime_pid, processes)
        sessions |= {processes[pid].session for pid in below} - {0, os.getsid(0)}
        found = {
            p
            for p in processes.values()
            if (p.pid in below or (p.session in sessions and _in_container(p.pid, container_id)))
            and (p.pid, p.start) not in killed
        }
        if not found:
            return
        for process in found:
            _kill(process)
            killed.add((process.pid, process.start))


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208  names, by the hundred


def _in_container(pid: int, container_id: str) -> bool:
    try:
        return container_id in Path(f"/proc/{pid}/cgroup").read_text(errors="replace")
    except OSError:
        return False


def _kill(process: Process) -> None:
    """Send SIGKILL to exactly this process: a PID that was given away since is left alone."""
    with suppress(OSError):  # gone already
        pidfd = os.pidfd_open(process.pid)
        try:
            now = read(process.pid)
            if now is not None and now.start == process.start:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
