"""Which processes are in a pod, from /proc alone: by the PID namespace, and by the container's id in the cgroup.

Neither is enough: a process that a container puts into a namespace further inside has the cgroup only, and one that an
operator puts into the pod's namespace (nsenter) has the namespace only. A zombie of cgroups v1 has no cgroup any more
(cgroup.procs leaves zombies out altogether), but it has its namespace until it is reaped.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from podsupd.core.processes import arguments, container_of, parse_stat, parse_status, readable
from podsupd.model.processes import Member, ProcessCount, ProcessRecord, ProcessRecords
from podsupd.signals.held import ANY_CONTAINER
from podsupd.signals.proc import opened, pids, read

MAX_RECORDS = 4096
"""Processes read for one answer: two containers at Podman's own limit of 2048."""
MAX_CMDLINE = 4096
"""Bytes of a command line that are shown."""
_ROUNDS = 4

_NOT_TOLD = 0


class HostProcesses:
    """ports.ProcessTable over /proc (root: another one, for tests)."""

    def __init__(self, root: str = "/proc") -> None:
        self._root = root

    def records(self, members: Sequence[Member]) -> ProcessRecords:
        """Read the processes of one pod's containers, and of whoever else is in their PID namespaces."""
        scope = _Scope(self._root, {"": members})
        found: dict[int, ProcessRecord] = {}
        omitted: set[int] = set()
        for pid, _ in scope.candidates():
            if len(found) >= MAX_RECORDS:
                if scope.holds(pid):
                    omitted.add(pid)
            elif record := scope.record(pid):
                found[pid] = record
        self._settle(scope, found)
        return ProcessRecords(tuple(found.values()), len(omitted - found.keys()), frozenset(scope.seen))

    def _settle(self, scope: "_Scope", found: dict[int, ProcessRecord]) -> None:
        """Read the parents that are missing, so that "the parent is not in the pod" is a fact and not a race.

        A parent that has gone meanwhile has left its children to another one: they are read again.
        """
        outside: set[int] = {0}
        for _ in range(_ROUNDS):
            missing = {r.parent for r in found.values()} - found.keys() - outside
            if not missing:
                return
            for parent in missing:
                if record := scope.record(parent):
                    found[parent] = record
                elif scope.exists(parent):
                    outside.add(parent)
                else:
                    for child in [r.pid for r in found.values() if r.parent == parent]:
                        again = scope.record(child)
                        if again:
                            found[child] = again
                        else:
                            del found[child]

    def counts(self, pods: Mapping[str, Sequence[Member]]) -> Mapping[str, ProcessCount]:
        """Count the processes of all these pods (name -> containers) in one walk."""
        scope = _Scope(self._root, pods)
        alive, zombies = dict.fromkeys(pods, 0), dict.fromkeys(pods, 0)
        for pid, space in scope.candidates():
            try:
                pod = scope.pod(f"{self._root}/{pid}/", space)
                zombie = pod is not None and parse_stat(read(f"{self._root}/{pid}/stat")).zombie
            except (OSError, ValueError):
                continue
            if pod is not None:
                (zombies if zombie else alive)[pod] += 1
        counts = {pod: ProcessCount(alive[pod] + zombies[pod], zombies[pod]) for pod in pods}
        # A pod that runs and shows nothing is hidden from us (hidepid), not empty.
        hidden = {p for p, members in pods.items() if not counts[p].processes and any(m.pid for m in members)}
        return {pod: count for pod, count in counts.items() if pod not in hidden}


class _Scope:
    """What tells the processes of some pods from all others, at one moment."""

    def __init__(self, root: str, pods: Mapping[str, Iterable[Member]]) -> None:
        self._root = root
        self._pods = {m.container_id: pod for pod, members in pods.items() for m in members}
        self._own = _namespace(f"{root}/self/ns/pid")
        self._spaces: dict[int, str] = {}
        self._now = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        self._tick = os.sysconf("SC_CLK_TCK")
        self.seen: set[str] = set()
        for members in pods.values():
            for member in members:
                if member.pid:
                    self._look(member)

    def _look(self, member: Member) -> None:
        """Take over a first process' namespace, if the process is still the container's: PIDs are reused."""
        try:
            with opened(f"{self._root}/{member.pid}") as fd:
                cgroup, space = read("cgroup", fd), _namespace("ns/pid", fd)
        except OSError:
            return
        nested = space not in {self._own, _NOT_TOLD}
        # Rootless Podman on cgroups v1 makes none: then the namespace is all that there is.
        bare = nested and not ANY_CONTAINER.search(cgroup)
        if container_of(cgroup, (member.container_id,)) or bare:
            self.seen.add(member.container_id)
            if nested:
                self._spaces[space] = self._pods[member.container_id]

    def candidates(self) -> Iterator[tuple[int, int]]:
        """Yield the PIDs that are not plainly the host's own, each with its PID namespace."""
        if not self._pods:
            return
        for pid in pids(self._root):
            if (space := _namespace(f"{self._root}/{pid}/ns/pid")) != self._own:
                yield pid, space

    def pod(self, place: str, space: int, directory: int | None = None) -> str | None:
        """Return the pod of a process in this PID namespace, None when it is in none of them; OSError when it is gone.

        place: what its files' names begin with, under directory.
        """
        if space == self._own:
            return None
        if space in self._spaces:
            return self._spaces[space]
        return self._pods.get(container_of(read(f"{place}cgroup", directory), self._pods))

    def holds(self, pid: int) -> bool:
        """Say whether a process is in one of the pods."""
        try:
            with opened(f"{self._root}/{pid}") as fd:
                return self.pod("", _namespace("ns/pid", fd), fd) is not None
        except OSError:
            return False

    def exists(self, pid: int) -> bool:
        """Say whether there is a process of that PID."""
        return os.path.exists(f"{self._root}/{pid}")  # noqa: PTH110  no Path for a thing this small

    def record(self, pid: int) -> ProcessRecord | None:
        """Read a process; None when it is not in the pods, or gone before it was read."""
        try:
            with opened(f"{self._root}/{pid}") as fd:
                return self._record(pid, fd) if self.pod("", _namespace("ns/pid", fd), fd) is not None else None
        except (OSError, ValueError):
            return None

    def _record(self, pid: int, fd: int) -> ProcessRecord:
        stat, status = parse_stat(read("stat", fd)), parse_status(read("status", fd))
        return ProcessRecord(
            pid=pid,
            parent=stat.parent,
            namespace_pids=status.namespace_pids,
            container_id=container_of(read("cgroup", fd), self._pods),
            state=stat.state,
            threads=stat.threads,
            start_ticks=stat.start_ticks,
            started=self._now + stat.start_ticks / self._tick,
            name=readable(stat.name),
            arguments=arguments(read("cmdline", fd, MAX_CMDLINE)),
            caught=status.caught,
            ignored=status.ignored,
            blocked=status.blocked,
            pending=status.pending,
        )


def _namespace(path: str, directory: int | None = None) -> int:
    """Return the identity of a PID namespace, _NOT_TOLD when the process is gone or may not be looked at (rootless)."""
    try:
        return os.stat(path, dir_fd=directory).st_ino
    except OSError:
        return _NOT_TOLD
