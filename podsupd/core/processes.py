"""The processes of a pod: what /proc's texts mean (proc(5)), and the tree that they make.

Records are read one after the other while processes come and go, so any set of them has to make a forest in which
every record stands exactly once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from podsupd.core import signal_words
from podsupd.model.processes import Member, Origin, Process, ProcessRecord

_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "uninterruptible",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "x": "dead",
    "K": "wakekill",
    "W": "waking",
    "P": "parked",
    "I": "idle",
}
LEADER_GONE = "leader exited"
"""A process whose first thread has exited and whose others go on: Z to the kernel, and no zombie."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What is used of /proc/PID/stat. start_ticks: clock ticks since the boot."""

    name: bytes
    state: str
    parent: int
    session: int
    threads: int
    start_ticks: int

    @property
    def zombie(self) -> bool:
        """It is dead and waits for its parent; one whose other threads go on is alive."""
        return self.state == "Z" and self.threads <= 1


@dataclass(frozen=True, slots=True)
class Status:
    """What is used of /proc/PID/status: PIDs from the host's namespace inwards, and the masks of signals."""

    namespace_pids: tuple[int, ...]
    caught: int
    ignored: int
    blocked: int
    pending: int


def parse_stat(text: bytes) -> Stat:
    """Read /proc/PID/stat; ValueError when it is not one.

    The name is in parentheses and may hold anything, parentheses and newlines too: the last one ends it.
    """
    head, _, tail = text.rpartition(b")")
    fields = tail.split()
    if len(fields) < 20:  # noqa: PLR2004  starttime is field 22, and the third is the first after the name
        raise ValueError(f"not a line of /proc/PID/stat: {text[:80]!r}")
    return Stat(head.partition(b"(")[2], fields[0].decode(), *(int(fields[n]) for n in (1, 3, 17, 19)))


def parse_status(text: bytes) -> Status:
    """Read /proc/PID/status, where the kernel escapes newlines in the name; ValueError when it is not one."""
    fields: dict[bytes, bytes] = {}
    for line in text.split(b"\n"):
        key, _, value = line.partition(b":")
        fields.setdefault(key, value)
    try:
        pids = fields.get(b"NSpid", fields[b"Pid"]).split()
        pending = int(fields[b"SigPnd"], 16) | int(fields[b"ShdPnd"], 16)
        caught, ignored, blocked = (int(fields[key], 16) for key in (b"SigCgt", b"SigIgn", b"SigBlk"))
    except KeyError as error:
        raise ValueError(f"not a /proc/PID/status: no {error}") from None
    return Status(tuple(map(int, pids)), caught, ignored, blocked, pending)


def readable(raw: bytes) -> str:
    """Return bytes of a process' own making as text; what is not UTF-8 is shown by its numbers."""
    return raw.decode("utf-8", "backslashreplace")


def arguments(cmdline: bytes) -> tuple[str, ...]:
    """Read /proc/PID/cmdline. A program that wrote its title over it (nginx) has one argument, padded."""
    stripped = cmdline.rstrip(b"\0")
    return tuple(readable(part) for part in stripped.split(b"\0")) if stripped else ()


def container_of(cgroup: bytes, ids: Iterable[str]) -> str:
    """Return which of these containers a /proc/PID/cgroup names, empty when none.

    It may be a part of a path's segment (libpod-ID, libpod-ID.scope, a cgroup of ours beside it); conmon's has the id
    too, and conmon is not in the container.
    """
    text = cgroup.decode(errors="replace")
    for container_id in ids:
        before = 0
        while (at := text.find(container_id, before)) >= 0:
            if not text.endswith("conmon-", 0, at):
                return container_id
            before = at + 1
    return ""


def state_word(state: str, threads: int) -> str:
    """Return the kernel's letter in words."""
    if state == "Z" and threads > 1:
        return LEADER_GONE
    return _STATES.get(state, state)


def tree(members: Sequence[Member], records: Iterable[ProcessRecord]) -> tuple[Process, ...]:
    """Return the processes of a pod as a forest, depth first: each is followed by its descendants.

    Infra's come first, then the containers' in the order of members, which are the pod's containers and infra.
    """
    return _Forest(members, {record.pid: record for record in records}).built()


class _Forest:
    def __init__(self, members: Sequence[Member], records: Mapping[int, ProcessRecord]) -> None:
        self._records = records
        self._members = {member.container_id: member for member in members}
        ordered = sorted(members, key=lambda member: not member.infra)
        self._order = {member.container_id: number for number, member in enumerate(ordered)}
        self._firsts = {member.pid: member.container_id for member in members if member.pid in records}
        self._infra = next((m for m in members if m.infra), Member("", "", 0, infra=True))
        # How many namespaces from the host's inwards the pod's is: a process may be in one that is further inside.
        known = self._firsts or [r.pid for r in records.values() if r.container_id in self._members]
        self._level = min((len(records[pid].namespace_pids) for pid in known), default=0)

    def built(self) -> tuple[Process, ...]:
        children: dict[int, list[int]] = {}
        roots: list[int] = []
        for record in self._records.values():
            if record.parent in self._records and record.parent != record.pid:
                children.setdefault(record.parent, []).append(record.pid)
            else:
                roots.append(record.pid)
        made: dict[int, Process] = {}
        owners: dict[int, tuple[str, Origin]] = {}
        # Whoever is left after the roots' descendants is in a ring of parents, as PIDs that were used again while we
        # read can make one: the oldest of it becomes a root.
        rest = sorted(self._records, key=lambda pid: (self._records[pid].start_ticks, pid))
        for root in (*sorted(roots, key=self._rank), *rest):
            pending = [(root, 0, 0)]
            while pending:
                pid, parent, depth = pending.pop()
                if pid in made:
                    continue
                owners[pid] = self._owner(self._records[pid], owners.get(parent))
                made[pid] = self._process(self._records[pid], self._records.get(parent), depth, *owners[pid])
                pending += [(child, pid, depth + 1) for child in sorted(children.get(pid, ()), key=self._age)[::-1]]
        return tuple(made.values())

    def _rank(self, pid: int) -> tuple[int, bool, int, int]:
        record = self._records[pid]
        return (self._order.get(record.container_id, len(self._order)), pid not in self._firsts, *self._age(pid))

    def _age(self, pid: int) -> tuple[int, int]:
        return self._records[pid].start_ticks, pid

    def _owner(self, record: ProcessRecord, parent: tuple[str, Origin] | None) -> tuple[str, Origin]:
        """Return the container's id and the origin, from the record's own cgroup and those of its parent."""
        if record.pid in self._firsts:
            container = self._firsts[record.pid]
            return container, Origin.INFRA if container == self._infra.container_id else Origin.CONTAINER
        container = record.container_id
        if container not in self._members:
            # A zombie's cgroup is not told on v1. Infra's PID 1 takes over anybody's children.
            if parent is None:
                return "", Origin.HOST if record.state != "Z" else Origin.UNKNOWN
            return ("", Origin.UNKNOWN) if parent[1] is Origin.INFRA else parent
        if parent is None:
            return container, Origin.EXEC
        if container == self._infra.container_id:
            return container, Origin.INFRA
        return container, parent[1] if parent[0] == container else Origin.CONTAINER

    def _process(
        self, record: ProcessRecord, parent: ProcessRecord | None, depth: int, container: str, origin: Origin
    ) -> Process:
        member = self._members.get(container)
        return Process(
            pid=self._inside(record),
            host_pid=record.pid,
            parent=self._inside(parent) if parent else None,
            host_parent=parent.pid if parent else None,
            depth=depth,
            container=None if member is None or member.infra else member.name,
            origin=origin,
            name=record.name,
            arguments=record.arguments,
            state=state_word(record.state, record.threads),
            started=record.started,
            orphan=parent is not None and parent.pid == self._infra.pid,
            zombie=record.state == "Z" and record.threads <= 1,
            caught=signal_words.names(record.caught),
            ignored=signal_words.names(record.ignored),
            blocked=signal_words.names(record.blocked),
            pending=signal_words.names(record.pending),
            start_ticks=record.start_ticks,
        )

    def _inside(self, record: ProcessRecord) -> int:
        pids = record.namespace_pids
        return pids[self._level - 1] if 0 < self._level <= len(pids) else record.pid
