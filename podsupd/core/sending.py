"""Whom a signal of an operator's is for, and when its consequences are known.

Two witnesses are heard. The kernel's trace says what each process did with the signal and what it sent on. Where there
is none, /proc's masks before the signal say what a process does with it, and its pidfd says when it ended.
"""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from podsupd.core import signal_words as words
from podsupd.core.drafts import Draft, Watch
from podsupd.core.propagation import CHAIN_NS, SETTLE_NS
from podsupd.errors import SignalRefused
from podsupd.model.plan import Death
from podsupd.model.processes import Origin, PodProcesses, Process
from podsupd.model.sending import Dispatch, Fate, SignalRequest
from podsupd.model.signals import Consequence

ALWAYS = frozenset({signal.SIGKILL.value, signal.SIGSTOP.value})
"""Neither caught nor ignored nor blocked."""
INIT = 1
FAR = 1 << 62
"""A time that does not come: only an event tells."""


def choose(found: PodProcesses, firsts: Mapping[str, int], request: SignalRequest) -> tuple[Process, ...]:
    """Return the processes that a request is for, in the order of the tree.

    firsts: container -> host pid of its first process, for those that run. Raises LookupError for a PID that nobody
    has, and SignalRefused when nobody can be meant.
    """
    whose = f"container {request.container} of pod {found.pod}" if request.container else f"pod {found.pod}"
    inside = [p for p in found.processes if request.container in {None, p.container}]
    if request.pid is not None:
        return (_by_pid(found, inside, request, whose),)
    if request.everyone:
        chosen = [p for p in inside if p.container is not None and not p.zombie]
    else:
        pids = {pid for name, pid in firsts.items() if request.container in {None, name}}
        chosen = [p for p in inside if p.host_pid in pids]
    if not chosen:
        raise SignalRefused(f"cannot signal {whose}: no process of it runs")
    return tuple(chosen)


def _by_pid(found: PodProcesses, inside: Sequence[Process], request: SignalRequest, whose: str) -> Process:
    if not found.shared and request.container is None:
        raise SignalRefused(
            f"cannot signal PID {request.pid} of pod {found.pod}: its containers do not share a PID namespace, so that "
            "a PID means a process only with its container; name it"
        )
    named = [p for p in inside if p.pid == request.pid]
    if named:
        return named[0]
    here = next((p for p in found.processes if p.pid == request.pid), None)
    if here is not None and found.shared:
        owner = here.container or ("infra" if here.origin is Origin.INFRA else "no container")
        raise LookupError(f"no process of {whose} has the PID {request.pid}: it is of {owner}")
    raise LookupError(f"no process of {whose} has the PID {request.pid}; podsupd ps {found.pod} shows those there are")


@dataclass(slots=True)
class Evidence:
    """What is known of a signal that was sent to these processes, as they were right before it.

    ended: host pid -> ns at which its pidfd told its end. firsts: host pids of first processes, whose deaths Podman
    tells. deaths: host pid -> that. later: the pod's processes at the end, None until they were looked at. traced: the
    kernel's trace is read, up to read_until (ns). before: (host pid, start_ticks) of the pod's processes.
    """

    number: int
    targets: Sequence[Process]
    dispatches: Mapping[int, Dispatch]
    watch: Watch
    firsts: frozenset[int] = frozenset()
    ended: dict[int, int] = field(default_factory=dict)
    deaths: dict[int, Death] = field(default_factory=dict)
    traced: bool = True
    read_until: int = 0
    before: frozenset[tuple[int, int]] = frozenset()
    later: PodProcesses | None = None

    def sent(self, process: Process) -> Dispatch:
        """Return how the signal went out to a process."""
        return self.dispatches[process.host_pid]


class Known:
    """What the evidence says at this moment, by process: thousands may have been signalled."""

    def __init__(self, evidence: Evidence) -> None:
        self.ours: dict[int, Draft] = {}
        self.exits: dict[int, tuple[int, Consequence]] = {}
        for draft in evidence.watch.drafts:
            if draft.purpose == evidence.watch.purpose:
                self.ours.setdefault(draft.target_tgid, draft)
            for consequence in draft.led_to:
                if consequence.kind == "exit":
                    self.exits.setdefault(draft.target_tgid, (draft.at, consequence))
        self.over = evidence.ended.keys() | self.exits.keys()


def next_look(evidence: Evidence, now: int) -> int | None:
    """Return until when (ns) something may still follow if no event tells earlier; None when all is settled.

    FAR where only an event tells: the end of a process that was told to end.
    """
    known = Known(evidence)
    waits = [due for p in evidence.targets if (due := _process_due(evidence, known, p, now)) is not None]
    waits += [due for d in evidence.watch.drafts if (due := _chain_due(known, d, now)) is not None]
    return min(waits) if waits else None


def _process_due(evidence: Evidence, known: Known, process: Process, now: int) -> int | None:
    sent = evidence.sent(process)
    if sent.refused:
        return None
    pid = process.host_pid
    if pid in known.over:
        # Podman's word on how a first process ended comes some ten milliseconds later.
        return FAR if pid in evidence.firsts and pid not in evidence.deaths else None
    if pid in known.ours:
        return None  # _chain_due's business
    if evidence.traced and evidence.read_until < sent.at + SETTLE_NS:
        return sent.at + SETTLE_NS
    expected = by_masks(evidence.number, process)
    if expected is Fate.TERMINATED or (expected is Fate.HANDLED and evidence.number in words.ENDINGS):
        return FAR
    settles = sent.at + SETTLE_NS
    return settles if now < settles else None


def _chain_due(known: Known, draft: Draft, now: int) -> int | None:
    if draft.target_tgid in known.over:
        return None
    if not draft.told:
        return draft.due
    if draft.taken is None:
        return None
    if draft.disposition == "handler":
        # What it sends on later is not put down to this signal any more.
        until = FAR if draft.number in words.ENDINGS else draft.taken + CHAIN_NS
        return until if now < until else None
    return FAR if draft.disposition == "default" and words.fatal(draft.number) else None


def by_masks(number: int, process: Process) -> Fate:
    """Say what a process does with a signal by its masks from before it was sent."""
    name = words.name(number)
    if number not in ALWAYS:
        if name in process.ignored:
            return Fate.IGNORED
        if name in process.blocked:
            return Fate.BLOCKED
        if name in process.caught:
            return Fate.HANDLED
        if process.pid == INIT:
            # pid_namespaces(7): the first of a namespace gets only what it has a handler for.
            return Fate.IGNORED
    if words.fatal(number):
        return Fate.TERMINATED
    return Fate.IGNORED if number in words.IGNORED_BY_DEFAULT else Fate.DELIVERED
