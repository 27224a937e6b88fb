"""Which process is whose: the pods' processes and threads, kept from the kernel's records, with /proc where it must be.

A child is in its parent's cgroup unless it was cloned into another (CLONE_INTO_CGROUP, in the record's flags) or moved
later (an attach record): so nothing is guessed. What is known of none is ``unknown``.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from podsupd.model.signals import Attached, Execed, Exited, Forked, Life, Party, ProcessFacts

CLONE_THREAD = 0x0001_0000
CLONE_INTO_CGROUP = 0x2_0000_0000
RUNTIMES = frozenset({"podman", "conmon", "runc", "crun", "youki", "kata-runtime", "runsc"})
COMMAND_MAX = 15  # TASK_COMM_LEN less its end
SELF = "/proc/self/exe"
SELF_COMMAND = "exe"
RECENT = 1024
"""Processes of the host, the newest: an ancestor is asked for while what it began is at work. 300 B each."""
ANCESTORS = 12

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

Look = Callable[[int], ProcessFacts | None]
Members = Callable[[int], Iterable[int]]


@dataclass(slots=True)
class Process:
    """A process in a container, of ours once ``pod`` is set. container: empty for infra. pid: in the pod."""

    tgid: int
    parent: int
    command: str
    container_id: str
    origin: str
    born: int = 0
    pod: str = ""
    container: str = ""
    pid: int | None = None
    tids: set[int] = field(default_factory=set)
    ended: bool = False


@dataclass(slots=True)
class _Task:
    """A process of the host, or one whose cgroup is not known: for who began what."""

    tgid: int
    parent: int
    command: str
    elsewhere: bool = False  # cloned into a cgroup that could not be read in time


def container_of(path: str) -> str:
    """Return the id of the container that a cgroup's path belongs to, empty for none (conmon's own included)."""
    if "conmon" in path:
        return ""
    found = _CONTAINER_ID.findall(path)
    # Under the pod's cgroup, whose path ends with the pod's id.
    return found[-1] if found else ""


class Membership:
    """Follows the records, which must come in the order of time. look, members: /proc, injected.

    watched: the tracer's set of thread ids, kept to those of our pods' processes.
    """

    def __init__(self, look: Look, members: Members, own: int, watched: set[int]) -> None:
        self._look = look
        self._members = members
        self._own = own
        self._watched = watched
        self._threads: dict[int, Process] = {}
        self._by_container: dict[str, dict[int, Process]] = {}
        self._lives: dict[str, Life] = {}
        self._firsts: dict[str, int] = {}
        self._unresolved: list[Process] = []
        self._renamed: list[Process] = []
        self._tasks: OrderedDict[int, _Task] = OrderedDict()
        self._senders: OrderedDict[int, Party] = OrderedDict()

    # -- what the engine observes

    def observe(self, lives: Iterable[Life]) -> None:
        """Take the containers of ours that there are (pid 0: not running); reads the processes of new ones."""
        now = {life.container_id: life for life in lives}
        for gone in self._lives.keys() - now.keys():
            for process in self._by_container.get(gone, {}).values():
                self._watched -= process.tids
                process.pod = ""
            self._firsts.pop(gone, None)
        for life in now.values():
            if self._lives.get(life.container_id) != life:
                self._claim(life)
        self._lives = now

    def _claim(self, life: Life) -> None:
        self._lives[life.container_id] = life
        if life.pid:
            # Kept when it is seen dead: the record of its exit may be on the way yet.
            self._firsts[life.container_id] = life.pid
        if life.pid and life.pid not in self._by_container.get(life.container_id, {}):
            for pid in sorted({life.pid, *self._members(life.pid)}):
                self._discover(pid)
        elif life.pid:
            self._correct(life)
        for process in self._by_container.get(life.container_id, {}).values():
            self._adopt(process)

    def _correct(self, life: Life) -> None:
        """Now that the first process is known: who descends from it is the container's own, whatever was thought."""
        known = self._by_container[life.container_id]
        for process in known.values():
            at: Process | None = process
            for _ in range(ANCESTORS):
                if at is None or at.tgid == life.pid:
                    break
                at = known.get(at.parent)
            if at is not None and at.tgid == life.pid:
                process.origin = "container"

    def _adopt(self, process: Process) -> None:
        life = self._lives.get(process.container_id)
        if life is None:
            return
        process.pod, process.container = life.pod, life.container
        if not life.container:
            process.origin = "infra"
        self._watched |= process.tids
        if process.pid is None:
            self._unresolved.append(process)

    def resolve(self) -> None:
        """Read what /proc alone knows (the pid in the pod) of processes that came since the last call and live yet."""
        waiting, self._unresolved = self._unresolved, []
        for process in waiting:
            self._number(process)
        renamed, self._renamed = self._renamed, []
        for process in renamed:
            facts = self._look(process.tgid)
            if facts is None or process.ended:
                continue
            if facts.command == SELF_COMMAND:
                # It gives itself its name a moment after the exec.
                self._renamed.append(process)
            else:
                process.command = facts.command

    def _number(self, process: Process) -> None:
        if process.pid is None and not process.ended:
            facts = self._look(process.tgid)
            if facts is not None and facts.pids:
                process.pid = facts.pids[-1]

    def _discover(self, pid: int) -> Process | None:
        """Take in a process that /proc shows in a container; None when it is gone or in none."""
        facts = self._look(pid)
        if facts is None:
            return None
        ids = [found for found in map(container_of, facts.cgroups) if found]
        if not ids:
            return None
        known = self._by_container.get(ids[0], {}).get(facts.tgid)
        if known is not None:
            return known
        process = self._add(facts.tgid, facts.parent, facts.command, ids[0], self._origin_in(ids[0], facts))
        process.pid = facts.pids[-1] if facts.pids else None
        for tid in facts.tids:
            self._thread(process, tid)
        self._adopt(process)
        return process

    def _origin_in(self, container_id: str, facts: ProcessFacts) -> str:
        """Tell an exec from the container's own: it descends from the runtime, not from the first process."""
        life = self._lives.get(container_id)
        if life is None and not any(not p.ended for p in self._by_container.get(container_id, {}).values()):
            return "container"  # a runtime that clones into the cgroup: the first one there
        seen: ProcessFacts | None = facts
        for _ in range(ANCESTORS):
            if seen is None or (life is not None and seen.tgid == life.pid):
                break
            parent = self._look(seen.parent) if seen.parent > 1 else None
            if parent is not None and not any(container_of(path) for path in parent.cgroups):
                return "podsupd" if self._chain(parent.tgid) == "podsupd" else "exec"
            seen = parent
        return "container"

    def rescan(self) -> None:
        """Begin again from /proc, after records were lost: who came or went meanwhile was not told."""
        for process in list(self._threads.values()):
            facts = self._look(process.tgid)
            if facts is None or process.container_id not in map(container_of, facts.cgroups):
                for tid in list(process.tids):
                    self._drop(tid)
                process.ended = True
                self._by_container.get(process.container_id, {}).pop(process.tgid, None)
                continue
            for tid in process.tids - set(facts.tids):
                self._drop(tid)
            for tid in facts.tids:
                self._thread(process, tid)
        self._by_container = {found: members for found, members in self._by_container.items() if members}
        self._senders.clear()
        self._tasks.clear()
        for life in self._lives.values():
            for pid in sorted(self._members(life.pid)) if life.pid else ():
                self._discover(pid)

    # -- the records

    def fork(self, event: Forked) -> None:
        """Take in a new process or thread."""
        parent = self._threads.get(event.tid)
        self._senders.pop(event.child, None)
        if event.flags & CLONE_THREAD:
            if parent is not None:
                self._thread(parent, event.child)
            elif event.tid in self._tasks:
                self._remember(event.child, self._tasks[event.tid])
            return
        if event.flags & CLONE_INTO_CGROUP:
            task = self._task(event.tid)
            self._remember(event.child, _Task(event.child, task.tgid, event.command, elsewhere=True))
            if self._discover(event.child) is None:
                self._infer(event, task.tgid)
        elif parent is not None:
            child = self._add(event.child, parent.tgid, event.command, parent.container_id, parent.origin, event.at)
            self._thread(child, event.child)
            self._adopt(child)
        else:
            task = self._task(event.tid)
            self._remember(event.child, _Task(event.child, task.tgid, event.command, task.elsewhere))

    def _infer(self, event: Forked, parent: int) -> None:
        """Take in a child that was cloned into a container's cgroup and is gone: conmon, which waits for it, names it.

        As crun does with an exec on cgroup v2; on its command line conmon has the container's id after ``-c``.
        """
        at = parent
        for _ in range(ANCESTORS):
            facts = self._look(at)
            if facts is not None and facts.command == "conmon":
                container_id = next((b for a, b in pairwise(facts.arguments) if a == "-c"), "")
                if container_of(container_id):
                    first = not any(not p.ended for p in self._by_container.get(container_id, {}).values())
                    origin = "container" if first and container_id not in self._lives else "exec"
                    child = self._add(event.child, parent, event.command, container_id, origin, event.at)
                    self._thread(child, event.child)
                    self._adopt(child)
                return
            task = self._tasks.get(at)
            at = task.parent if task is not None else facts.parent if facts is not None else 0

    def execed(self, event: Execed) -> None:
        """Take a process's new name."""
        # Runtimes run a sealed copy of themselves, and busybox itself: that name would say less than the one before.
        again = "/fd/" in event.filename or event.filename == SELF
        command = event.filename.rpartition("/")[2][:COMMAND_MAX]
        self._senders.pop(event.tid, None)
        process = self._threads.get(event.tid)
        if process is None:
            task = self._task(event.tid)
            task.command = task.command if again and task.command else command
            if task.elsewhere:
                self._discover(event.tid)
            return
        process.command = process.command if again else command
        if again:
            self._renamed.append(process)
        if event.old != event.tid:
            self._drop(event.old)

    def attached(self, event: Attached) -> None:
        """Take in a process that the runtime moved into a container."""
        container_id = container_of(event.path)
        known = self._threads.get(event.pid)
        if not container_id or (known is not None and known.container_id == container_id):
            return
        if known is not None:
            return  # moved on between containers of one pod by nobody we know; namespaces do not follow
        origin = "container"
        if any(not p.ended for p in self._by_container.get(container_id, {}).values()):
            origin = "podsupd" if self._chain(event.pid) == "podsupd" else "exec"
        task = self._task(event.pid)
        process = self._add(event.pid, task.parent, task.command, container_id, origin, event.at)
        self._thread(process, event.pid)
        self._adopt(process)

    def exited(self, event: Exited) -> Process | None:
        """Take the end of a thread; return its process when that was the last one."""
        self._senders.pop(event.tid, None)
        process = self._drop(event.tid)
        if process is None:
            if event.tid in self._tasks and not self._tasks[event.tid].command:
                self._tasks[event.tid].command = event.command
            return None
        if process.tids:
            return None
        process.ended = True
        members = self._by_container.get(process.container_id, {})
        members.pop(process.tgid, None)
        if not members:
            self._by_container.pop(process.container_id, None)
        # Its children's ancestry, and a record that names it a moment later.
        self._remember(process.tgid, _Task(process.tgid, process.parent, process.command))
        return process

    # -- who is it

    def process(self, tid: int) -> Process | None:
        """Return the process of one of our pods that has this thread."""
        process = self._threads.get(tid)
        return process if process is not None and process.pod else None

    def first(self, process: Process) -> bool:
        """Say whether it is its container's first process."""
        return self._firsts.get(process.container_id) == process.tgid

    def party(self, process: Process) -> Party:
        """Return what is known of a pod's process."""
        self._number(process)
        return Party(process.container or None, process.pid, process.tgid, process.command, process.origin)

    def outsider(self, tid: int) -> Party:
        """Return what can be known of a sender or target that is in no pod of ours; ``unknown``, never a guess."""
        found = self._senders.get(tid)
        if found is None:
            found = self._senders[tid] = self._outsider(tid)
            if len(self._senders) > RECENT:
                self._senders.popitem(last=False)
        return found

    def _outsider(self, tid: int) -> Party:
        facts = self._look(tid)
        if facts is not None:
            origin = self._chain(facts.tgid) or "host"
            return Party(None, None, facts.tgid, facts.command, origin, facts.user)
        task = self._tasks.get(tid)
        if task is None:
            return Party(None, None, tid, "", "unknown")
        origin = self._chain(tid) or ("unknown" if task.elsewhere else "host")
        return Party(None, None, task.tgid, task.command, origin)

    def runtime_command(self, tid: int) -> str:
        """Return ``podman stop`` or the like when an ancestor of a sender is such a command and can be read."""
        at: int | None = tid
        for _ in range(ANCESTORS):
            if not at:
                return ""
            facts = self._look(at)
            task = self._tasks.get(at)
            if facts is not None and facts.command == "podman":
                words = [word for word in facts.arguments[1:] if not word.startswith("-")]
                return f"podman {' '.join(words[: 2 if words[:1] == ['pod'] else 1])}" if words else ""
            at = task.parent if task is not None else (facts.parent if facts is not None else None)
        return ""

    def _chain(self, tid: int) -> str:
        """Walk a host process's ancestors: podman's, podsupd's, or empty."""
        at, runtime = tid, False
        for _ in range(ANCESTORS):
            if at == self._own:
                return "podsupd"
            if at <= 1:
                break
            task = self._tasks.get(at)
            facts = self._look(at) if task is None else None
            if task is None and facts is None:
                break
            command = task.command if task is not None else facts.command if facts is not None else ""
            if command in {"podman", "conmon"}:
                return "podman"
            runtime = runtime or command in RUNTIMES
            at = task.parent if task is not None else facts.parent if facts is not None else 0
        return "podman" if runtime else ""

    # -- the books

    def _task(self, tid: int) -> _Task:
        """Return what is known of a process that is in no container, remembering what /proc says of it."""
        task = self._tasks.get(tid)
        if task is None:
            facts = self._look(tid)
            task = _Task(tid, 0, "") if facts is None else _Task(facts.tgid, facts.parent, facts.command)
            self._remember(tid, task)
        return task

    def _remember(self, tid: int, task: _Task) -> None:
        self._tasks[tid] = task
        self._tasks.move_to_end(tid)
        if len(self._tasks) > RECENT:
            self._tasks.popitem(last=False)

    def _add(self, tgid: int, parent: int, command: str, container_id: str, origin: str, born: int = 0) -> Process:
        process = Process(tgid, parent, command, container_id, origin, born)
        self._by_container.setdefault(container_id, {})[tgid] = process
        return process

    def _thread(self, process: Process, tid: int) -> None:
        process.tids.add(tid)
        self._threads[tid] = process
        if process.pod:
            self._watched.add(tid)

    def _drop(self, tid: int) -> Process | None:
        process = self._threads.pop(tid, None)
        self._watched.discard(tid)
        if process is not None:
            process.tids.discard(tid)
        return process
