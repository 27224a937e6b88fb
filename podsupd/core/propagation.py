"""From the kernel's records to signal records: who sent what to whom, what became of it, and what followed.

Records go in in the order of time; a signal comes out once, SETTLE_NS after it was sent, when its fate is mostly known.
What follows later (a process that takes its time to exit) amends the record under the same id.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from podsupd.core import signal_words as words
from podsupd.core.causes import FirstExit
from podsupd.core.drafts import Draft, Own, chained, follow
from podsupd.core.endings import Endings
from podsupd.core.membership import Look, Membership, Process
from podsupd.model.sending import Purpose
from podsupd.model.signals import (
    Attached,
    Consequence,
    Delivered,
    Ended,
    Execed,
    Exited,
    Forked,
    Generated,
    OutOfMemory,
    Party,
    SignalRecord,
    TraceEvent,
)

SETTLE_NS = 250_000_000
CHAIN_NS = 1_000_000_000
"""A signal sent so soon after one was handled, by the same process or a child of it since, was sent on."""
EXIT_NS = 30_000_000_000
"""An exit so soon after a signal was handled is put down to it."""
ANNOUNCED_NS = 5_000_000_000
"""Podman sends the signal that we ask for within so long, or has told us that it did not."""
STORM = 20
"""So many records of one edge in a second are told one by one; the rest of that second becomes one, with a count."""
STORM_NS = 1_000_000_000
LED_TO_MAX = 64
TAKEN_MAX = 8
WAITING_MAX = 128
"""Of one process: nothing tells that it took a signal by sigwait(3) or signalfd(2), so those would pile up for ever."""
OUT_OF_MEMORY = "out of memory"
OWN_MAX = 8192
"""Twice the processes that are read of one pod (signals.processes)."""
SIGKILL = 9
_RESULTS = {0: "delivered", 1: "ignored", 2: "already pending"}

Stamp = Callable[[int], tuple[int, str]]
"""From ns of CLOCK_MONOTONIC to a new id and RFC 3339 text."""


class Propagation:
    """The pure ledger. look: /proc, asked for the mask of who has not taken a signal."""

    def __init__(self, processes: Membership, look: Look, stamp: Stamp) -> None:
        self._processes = processes
        self._look = look
        self._stamp = stamp
        self._waiting: dict[int, deque[Draft]] = {}
        self._taken: OrderedDict[int, deque[Draft]] = OrderedDict()
        self._open: deque[Draft] = deque()
        self._amended: dict[int, Draft] = {}
        self._storms: OrderedDict[tuple[object, ...], tuple[int, int, list[Draft]]] = OrderedDict()
        self._counts: dict[int, int] = {}
        self._announced: deque[tuple[str, str, int]] = deque(maxlen=64)
        self._own: deque[Own] = deque(maxlen=OWN_MAX)
        self._exits: list[FirstExit] = []
        self._endings = Endings()
        self._fresh: list[Draft] = []
        self.wanted: frozenset[tuple[str, int]] = frozenset()
        """Container ids and signals whose sending is handed out by ``fresh``."""
        self._ended_by: OrderedDict[str, tuple[Draft, int]] = OrderedDict()

    def feed(self, event: TraceEvent) -> None:
        """Take the next record."""
        match event:
            case Generated():
                self._generated(event)
            case Delivered():
                self._delivered(event)
            case Forked():
                self._processes.fork(event)
            case Execed():
                self._processes.execed(event)
            case Exited():
                ended = self._processes.exited(event)
                if ended is not None and ended.pod:
                    self._ended(ended, event.at)
            case Attached():
                self._processes.attached(event)
            case OutOfMemory():
                self._out_of_memory(event)
            case Ended():
                self._endings.take(event)

    def announce(self, container_id: str, signal: str, at: int) -> None:
        """Take note that podsupd is about to ask Podman for a signal: the runtime that sends it does so for us."""
        self._announced.append((container_id, signal, at))

    def own(self, signal: Own) -> None:
        """Take note that podsupd is about to send a signal itself."""
        self._own.append(signal)

    def _claim(self, draft: Draft) -> None:
        """Find the note of a signal that podsupd sent itself."""
        while self._own and draft.at - self._own[0].at > ANNOUNCED_NS:
            self._own.popleft()
        for note in self._own:
            fits = (note.target, note.number) == (draft.target_tgid, draft.number)
            if fits and 0 <= draft.at - note.at <= ANNOUNCED_NS:
                self._own.remove(note)
                draft.purpose = note.watch.purpose
                follow(draft, note.watch)
                if note.watch.cause is not None:
                    self._follow(note.watch.cause, chained(note.watch.cause, draft))
                return

    def _ours(self, target: Process | None, event: Generated) -> bool:
        if target is None or not self._processes.first(target):
            return False
        for note in self._announced:
            container_id, signal, at = note
            fits = container_id == target.container_id and signal == words.name(event.signal)
            if fits and 0 <= event.at - at <= ANNOUNCED_NS:
                self._announced.remove(note)
                return True
        return False

    # -- sent

    def _generated(self, event: Generated) -> None:
        target = self._processes.process(event.target)
        sender = self._processes.process(event.tid)
        if target is None and (sender is None or words.by_kernel(event.code)):
            return
        if target is not None and event.command:
            target.command = event.command
        to = self._processes.party(target) if target else self._processes.outsider(event.target)
        by = self._sender(event, sender)
        if by.origin == "podman" and self._ours(target, event):
            by = replace(by, origin="podsupd")
        number, time = self._stamp(event.at)
        draft = Draft(
            number,
            event.at,
            time,
            event.signal,
            event.code,
            target.pod if target else sender.pod if sender else "",
            by,
            replace(to, origin="", user=""),
            sender.tgid if sender else 0,
            target.tgid if target else to.host_pid or event.target,
            target.container_id if target else "",
            _RESULTS.get(event.result, "lost"),
            fault=words.fault(event.code, event.signal),
            due=event.at + SETTLE_NS,
            root=number,
        )
        if draft.result == "ignored":
            draft.disposition = "ignored"
        if sender is not None and by.host_pid is not None:
            self._sent_on(sender, draft)
        elif by.origin == "podsupd":
            self._claim(draft)
        self._open.append(draft)
        if (draft.container_id, draft.number) in self.wanted:
            self._fresh.append(draft)
        if draft.result == "delivered" and target is not None:
            self._waiting.setdefault(target.tgid, deque(maxlen=WAITING_MAX)).append(draft)

    def _sender(self, event: Generated, sender: Process | None) -> Party:
        if words.by_kernel(event.code):
            return Party(origin="kernel")
        return self._processes.party(sender) if sender is not None else self._processes.outsider(event.tid)

    def _sent_on(self, sender: Process, draft: Draft) -> None:
        """Find the signal that this one was sent on from.

        Handled a moment ago by the sender, or by its parent before it was forked (a shell's trap runs ``kill``).
        """
        born = draft.at
        tgid = sender.tgid
        for _ in range(4):
            for cause in reversed(self._taken.get(tgid, ())):
                handled = cause.taken is not None and cause.disposition == "handler"
                if handled and cause.taken is not None and cause.taken <= born and draft.at - cause.taken <= CHAIN_NS:
                    self._follow(cause, chained(cause, draft))
                    return
            process = self._processes.process(tgid)
            if process is None or not process.born:
                return
            born, tgid = process.born, process.parent

    # -- taken

    def _delivered(self, event: Delivered) -> None:
        process = self._processes.process(event.tid)
        if process is None:
            return
        waiting = self._waiting.get(process.tgid)
        if not waiting:
            return
        draft = next((d for d in waiting if d.number == event.signal), None)
        if draft is None and event.signal == SIGKILL:
            # The kernel turns a fatal default into SIGKILL for every thread.
            draft = next((d for d in waiting if words.fatal(d.number)), None)
        if draft is None:
            return
        waiting.remove(draft)
        if not waiting:
            del self._waiting[process.tgid]
        draft.taken = event.at
        draft.result = "delivered"
        draft.disposition = {0: "default", 1: "ignored"}.get(event.handler, "handler")
        taken = self._taken.setdefault(process.tgid, deque(maxlen=TAKEN_MAX))
        taken.append(draft)
        if draft.told:
            self._amend(draft)

    def _out_of_memory(self, event: OutOfMemory) -> None:
        process = self._processes.process(event.pid)
        if process is None:
            return
        known = [*self._taken.get(process.tgid, ()), *self._waiting.get(process.tgid, ())]
        for draft in known[::-1]:
            if draft.number == SIGKILL:
                draft.sender, draft.fault = Party(origin="kernel"), OUT_OF_MEMORY
                return

    # -- what followed

    def _ended(self, process: Process, at: int) -> None:
        for draft in self._waiting.pop(process.tgid, ()):
            draft.result = "lost"
            if draft.told:
                self._amend(draft)
        taken = self._taken.pop(process.tgid, deque())
        killed = next((d for d in taken if d.disposition == "default" and words.fatal(d.number)), None)
        by = killed or _asked(taken, at)
        code, core_dumped = self._endings.of(process.tgid, at)
        if by is not None:
            ended_by = words.name(by.number) if killed else None
            after = round((at - by.at) / 1e6, 3)
            end = Consequence("exit", process.container or None, process.pid, after, code, ended_by)
            self._follow(by, replace(end, core_dumped=core_dumped))
        if self._processes.first(process):
            told, purpose = (by.record(), _purpose(by)) if by else (None, "")
            first = FirstExit(process.container_id, at, told, killed is None, process.command, purpose, core_dumped)
            self._exits.append(first)
            if by is not None and killed is None:
                self._ended_by[process.container_id] = (by, len(by.led_to) - 1)
                if len(self._ended_by) > TAKEN_MAX * 32:
                    self._ended_by.popitem(last=False)

    def exit_code(self, container_id: str, code: int) -> None:
        """Take Podman's word for how a container's first process ended."""
        found = self._ended_by.pop(container_id, None)
        if found is not None:
            draft, index = found
            if 0 <= index < len(draft.led_to):
                draft.led_to[index] = replace(draft.led_to[index], exit_code=code)
                if draft.told:
                    self._amend(draft)

    def _follow(self, draft: Draft, consequence: Consequence) -> None:
        if len(draft.led_to) < LED_TO_MAX:
            draft.led_to.append(consequence)
            if draft.told:
                self._amend(draft)

    def _amend(self, draft: Draft) -> None:
        if draft.count == 1:
            self._amended[draft.id] = draft

    # -- told

    def settled(self, until: int) -> list[SignalRecord]:
        """Return the signals that are old enough at ``until``, in the order in which they were sent, each once."""
        told: list[SignalRecord] = []
        while self._open and self._open[0].due <= until:
            draft = self._open.popleft()
            if draft.count == 0:
                told.append(self._storm(draft))
                continue
            self._judge(draft)
            draft.told = True
            if not self._coalesced(draft):
                told.append(draft.record())
        self._end_storms(until)
        for tgid in [t for t, d in self._taken.items() if until - d[-1].at > EXIT_NS]:
            del self._taken[tgid]
        self._forget_waiting(until)
        return told

    def _forget_waiting(self, until: int) -> None:
        """Drop what processes have not taken whose end nobody told: records were lost, or their container was gone."""
        for tgid in [t for t, d in self._waiting.items() if until - d[-1].at > EXIT_NS]:
            if self._processes.process(tgid) is None:
                del self._waiting[tgid]

    def _judge(self, draft: Draft) -> None:
        """Say why a signal that was sent was not taken yet."""
        if draft.taken is not None or draft.result != "delivered" or not draft.container_id:
            return
        facts = self._look(draft.target_tgid)
        if facts is None:
            draft.result = "lost"
        else:
            draft.result = "blocked" if draft.number in facts.blocked else "pending"

    def _coalesced(self, draft: Draft) -> bool:
        edge = (draft.sender_tgid or draft.sender.host_pid, draft.target_tgid, draft.number, draft.result)
        began, count, storm = self._storms.get(edge, (draft.at, 0, []))
        if draft.at - began > STORM_NS and not storm:
            began, count = draft.at, 0
        if count < STORM:
            self._storms[edge] = (began, count + 1, storm)
            return False
        if storm:
            storm[0].count += 1
        else:
            storm.append(draft)
        return True

    def _end_storms(self, until: int) -> None:
        """Put what a storm amounts to at the end of the queue, with a new id: ids grow for those who follow."""
        for edge, (began, _, storm) in list(self._storms.items()):
            if until - began > STORM_NS + SETTLE_NS:
                del self._storms[edge]
                for first in storm:
                    number, _ = self._stamp(until)
                    summary = replace(first, id=number, count=0, due=until, led_to=[])
                    self._open.append(summary)
                    self._counts[number] = first.count

    def _storm(self, summary: Draft) -> SignalRecord:
        summary.count = self._counts.pop(summary.id)
        summary.told = True
        return summary.record()

    def amended(self) -> list[SignalRecord]:
        """Return the told records that changed since the last call."""
        changed = [draft.record() for draft in self._amended.values()]
        self._amended.clear()
        return changed

    @property
    def has_fresh(self) -> bool:
        """Say whether ``fresh`` has something to return."""
        return bool(self._fresh)

    def fresh(self) -> list[Draft]:
        """Return the signals that are ``wanted`` and were sent since the last call; their fates are not known yet."""
        found, self._fresh = self._fresh, []
        return found

    def exits(self) -> list[FirstExit]:
        """Return the ends of first processes since the last call."""
        found, self._exits = self._exits, []
        return found

    @property
    def busy(self) -> bool:
        """Say whether signals wait to be told."""
        return bool(self._open or self._storms)


def _purpose(by: Draft) -> str:
    drilled = by.watch is not None and by.watch.first_purpose == Purpose.DRILL
    return Purpose.DRILL if drilled else by.purpose


def _asked(taken: Iterable[Draft], at: int) -> Draft | None:
    """Find the handled signal that an exit is put down to.

    The newest that asks for an end, however long that took; else the newest of any kind a moment ago: a process that
    quits gets others meanwhile (nginx, which has SIGIO from the kernel for each message between its processes).
    """
    handled = [d for d in taken if d.disposition == "handler" and at - d.at <= EXIT_NS]
    asking = [d for d in handled if d.number in words.ENDINGS]
    recent = [d for d in handled if at - d.at <= CHAIN_NS and d.sender.origin != "kernel"]
    found = asking or recent
    return found[-1] if found else None
