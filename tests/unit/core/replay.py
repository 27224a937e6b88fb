"""A recorded trace, replayed through the pure ledger."""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from podsupd.core.membership import Membership
from podsupd.core.propagation import Propagation
from podsupd.model import signals as model
from podsupd.model.signals import Life, ProcessFacts, SignalRecord

EVENTS = ("Generated", "Delivered", "Forked", "Execed", "Exited", "Attached", "OutOfMemory", "Ended")
FAR = 1 << 62


class Replay:
    """What a trace told. Records by id, as amended last; exits of first processes."""

    def __init__(self, entries: Iterable[list[Any]], every: int = 1) -> None:
        entries = list(entries)
        self._looks: dict[int, deque[ProcessFacts | None]] = defaultdict(deque)
        self._members: dict[int, tuple[int, ...]] = {}
        self.own = 0
        for kind, *rest in entries:
            if kind == "look":
                self._looks[rest[0]].append(None if rest[1] is None else _facts(rest[1]))
            elif kind == "members":
                self._members[rest[0]] = tuple(rest[1])
            elif kind == "own":
                self.own = rest[0]
        self.watched: set[int] = set()
        self.processes = Membership(self._look, lambda pid: self._members.get(pid, ()), self.own, self.watched)
        self._last = 0
        self.ledger = Propagation(self.processes, self._look, self._stamp)
        self.told: list[SignalRecord] = []
        self.records: dict[int, SignalRecord] = {}
        self.exits: list[Any] = []
        turns = 0
        for kind, *rest in entries:
            if kind == "observe":
                self.processes.observe([Life(*each) for each in rest[0]])
            elif kind == "settled":
                turns += 1
                if turns % every == 0:
                    self.settle(rest[0])
            elif kind in EVENTS:
                self.ledger.feed(getattr(model, kind)(*rest))
        self.settle(FAR)

    def settle(self, until: int) -> None:
        """Take what is told at this time."""
        self.processes.resolve()
        for record in self.ledger.settled(until):
            self.told.append(record)
            self.records[record.id] = record
        for record in self.ledger.amended():
            self.records[record.id] = record
        self.exits += self.ledger.exits()

    def find(self, wanted: Callable[[SignalRecord], bool]) -> SignalRecord:
        """Return the only record that fits."""
        found = [record for record in self.records.values() if wanted(record)]
        assert len(found) == 1, found
        return found[0]

    def _stamp(self, at: int) -> tuple[int, str]:
        self._last = max(self._last + 1, at // 1000)
        return self._last, "2026-11-22T00:00:00.000000Z"

    def _look(self, tid: int) -> ProcessFacts | None:
        answers = self._looks.get(tid)
        if not answers:
            return None
        return answers.popleft() if len(answers) > 1 else answers[0]


def _facts(kept: dict[str, Any]) -> ProcessFacts:
    lists = {name: tuple(kept[name]) for name in ("cgroups", "pids", "tids", "arguments")}
    return ProcessFacts(**{**kept, **lists, "blocked": frozenset(kept["blocked"])})


def load(name: str) -> list[list[Any]]:
    """Read a recorded trace."""
    entries: list[list[Any]] = json.loads((Path(__file__).parent / "traces" / name).read_text())
    return entries
