"""A pod and its /proc for the pure ledger, and records of signals."""

from dataclasses import replace

from podsupd.core.membership import Membership
from podsupd.core.propagation import Propagation
from podsupd.model.signals import Generated, Life, ProcessFacts, SignalRecord, TraceEvent
from tests.unit.core.replay import FAR

MAIN, SIDE, INFRA = "a" * 64, "b" * 64, "c" * 64
LIVES = (Life("web", "", INFRA, 10), Life("web", "main", MAIN, 11), Life("web", "side", SIDE, 12))
DEFAULT, HANDLER = 0, 0x4000
KILL, TERM, USR1, HUP, SEGV = 9, 15, 10, 1, 11


def facts(tgid: int, container: str = "", parent: int = 1, command: str = "sh", **more: object) -> ProcessFacts:
    """Return what /proc would say."""
    cgroups = (f"/libpod_parent/libpod-{container}",) if container else ("/user.slice",)
    plain = ProcessFacts(tgid, parent, command, cgroups, (tgid, tgid - 9) if container else (tgid,), "root", (tgid,))
    return replace(plain, **more)


class World:
    """A pod of three containers, each with its first process, and a /proc that the test may change."""

    def __init__(self) -> None:
        self.proc = {10: facts(10, INFRA), 11: facts(11, MAIN), 12: facts(12, SIDE), 500: facts(500, command="bash")}
        self.watched: set[int] = set()
        self.processes = Membership(self.proc.get, lambda pid: (pid,), 999, self.watched)
        self.ids = 0
        self.ledger = Propagation(self.processes, self.proc.get, self.stamp)
        self.processes.observe(LIVES)

    def stamp(self, _at: int) -> tuple[int, str]:
        """Number signals from 1."""
        self.ids += 1
        return self.ids, ""

    def feed(self, *events: TraceEvent) -> "World":
        """Feed records."""
        for event in events:
            self.ledger.feed(event)
        return self

    def all(self) -> list[SignalRecord]:
        """Return every record, as amended last."""
        told = self.ledger.settled(FAR) + self.ledger.settled(FAR)
        changed = {record.id: record for record in self.ledger.amended()}
        return [changed.get(record.id, record) for record in told]

    def one(self) -> SignalRecord:
        """Return the only record."""
        (record,) = self.all()
        return record


def sent(at: int, tid: int, target: int, signal: int = TERM, code: int = 0, result: int = 0) -> Generated:
    """Return the record of a signal sent."""
    return Generated(at, tid, signal, code, target, "sh", result)
