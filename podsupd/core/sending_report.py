"""The report of a signal that podsupd was asked to send: what each process did with it, who sent it on, who is left."""

from collections import Counter
from collections.abc import Mapping, Sequence

from podsupd.core import signal_words as words
from podsupd.core.drafts import Draft
from podsupd.core.sending import Evidence, Known, by_masks
from podsupd.model.processes import Process
from podsupd.model.sending import Ending, Fate, Reached, SignalReport, SignalRequest, Survivor


def report(evidence: Evidence, request: SignalRequest, time: str, began: int, now: int) -> SignalReport:
    """Return what came of a signal, from all that is known at ``now`` (ns; began: when it was asked for)."""
    reached: list[Reached] = []
    known, children = Known(evidence), _children(evidence)
    for process in evidence.targets:
        reached.append(_target(evidence, known, process))
        if process.host_pid in known.ours:
            reached += _chain(evidence, known, children, known.ours[process.host_pid])
    left = _left(evidence, request)
    ours = [r for r in reached if r.depth == 0]
    return SignalReport(
        request.pod,
        request.container,
        words.name(request.number),
        time,
        any(r.fate.got for r in ours),
        verdict(words.name(request.number), reached, len(left)),
        evidence.traced and request.number not in words.UNTRACED,
        round((now - began) / 1e9, 6),
        tuple(reached),
        left,
        _note(evidence, request),
    )


def _target(evidence: Evidence, known: Known, process: Process) -> Reached:
    sent = evidence.sent(process)
    name, pid = words.name(evidence.number), process.host_pid
    draft = known.ours.get(pid)
    fate, taken, ending = Fate.REFUSED, None, None
    if not sent.refused:
        fate, taken = _fate(evidence, known, process)
        # The end of one that ignores it has nothing to do with it.
        ending = None if fate is Fate.IGNORED else _ending(evidence, known, pid, sent.at)
    return Reached(
        0,
        process.container,
        process.pid,
        pid,
        process.name,
        name,
        fate,
        taken,
        ending,
        draft.id if draft else None,
        sent.refused,
    )


def _fate(evidence: Evidence, known: Known, process: Process) -> tuple[Fate, float | None]:
    if process.host_pid in known.ours:
        return _told(known.ours[process.host_pid])
    fate = by_masks(evidence.number, process)
    over = process.host_pid in known.over
    if fate is Fate.TERMINATED and not over:
        return Fate.UNKNOWN, None
    if fate is Fate.HANDLED and not over and evidence.later is not None:
        # Caught, and yet queued: it is stopped, or in a call that nothing interrupts.
        now = next((p for p in evidence.later.processes if p.host_pid == process.host_pid), None)
        if now is not None and words.name(evidence.number) in now.pending:
            return Fate.PENDING, None
    return fate, None


def _told(draft: Draft) -> tuple[Fate, float | None]:
    """Read a record's fate."""
    if draft.taken is not None:
        after = max(0, draft.taken - draft.at) / 1e9
        if draft.disposition == "handler":
            return Fate.HANDLED, after
        if draft.disposition == "ignored":
            return Fate.IGNORED, after
        return (Fate.TERMINATED if words.fatal(draft.number) else Fate.DELIVERED), after
    match draft.result:
        case "ignored":
            return Fate.IGNORED, None
        case "blocked":
            return Fate.BLOCKED, None
        case "lost":
            return Fate.GONE, None
        case _:
            return Fate.PENDING, None


def _ending(evidence: Evidence, known: Known, host_pid: int, sent_at: int) -> Ending | None:
    """Say how a process ended, from Podman's word, the trace and its pidfd."""
    if host_pid not in known.over:
        return None
    at = evidence.ended.get(host_pid)
    code, by, after = None, None, None if at is None else max(0, at - sent_at) / 1e9
    if host_pid in known.exits:
        began, consequence = known.exits[host_pid]
        code, by = consequence.exit_code, consequence.signal
        after = (began - sent_at) / 1e9 + consequence.after_ms / 1e3
    death = evidence.deaths.get(host_pid)
    if death is not None:
        by = by or death.signal
        code = None if by else death.exit_code
    return Ending(code, by, after)


def _children(evidence: Evidence) -> Mapping[int, Sequence[Draft]]:
    """Return by id what was sent on from each signal."""
    children: dict[int, list[Draft]] = {}
    for draft in evidence.watch.drafts:
        if draft.cause is not None:
            children.setdefault(draft.cause, []).append(draft)
    return children


def _chain(
    evidence: Evidence, known: Known, children: Mapping[int, Sequence[Draft]], first: Draft
) -> Sequence[Reached]:
    """Return what was sent on from a signal, and from that, depth first."""
    found: list[Reached] = []
    # A cause is older than what is sent on from it, so this ends.
    pending = [(draft, 1) for draft in reversed(children.get(first.id, ()))]
    while pending:
        draft, depth = pending.pop()
        found.append(_sent_on(evidence, known, draft, depth))
        pending += [(child, depth + 1) for child in reversed(children.get(draft.id, ()))]
    return found


def _sent_on(evidence: Evidence, known: Known, draft: Draft, depth: int) -> Reached:
    fate, taken = _told(draft)
    to = draft.target
    ending = _ending(evidence, known, draft.target_tgid, draft.at)
    name = words.name(draft.number)
    by = "forwarded by podsupd" if draft.purpose else ""
    return Reached(depth, to.container, to.pid, to.host_pid, to.command, name, fate, taken, ending, draft.id, by)


def _left(evidence: Evidence, request: SignalRequest) -> tuple[Survivor, ...]:
    """Return who is there in the end of what the request was about; of infra only what was signalled."""
    if evidence.later is None:
        return ()
    before = {p.host_pid: p.start_ticks for p in evidence.targets}
    return tuple(
        Survivor(p.container, p.pid, p.host_pid, p.name, p.state, (p.host_pid, p.start_ticks) not in evidence.before)
        for p in evidence.later.processes
        if not p.zombie
        and (
            (p.container is not None and request.container in {None, p.container})
            or before.get(p.host_pid) == p.start_ticks
        )
    )


def _note(evidence: Evidence, request: SignalRequest) -> str:
    """Say what a reader has to know of how the report came about."""
    notes = []
    if request.number in words.UNTRACED:
        notes.append(f"{words.name(request.number)} is never traced: this is what /proc's masks and pidfds show")
    elif not evidence.traced:
        notes.append("signals are not traced: this is what /proc's masks and pidfds show; who sent on what is unknown")
    if evidence.later is None:
        notes.append("who is left could not be seen")
    if request.everyone:
        notes.append("the pod's infra container is left out; --pid reaches it")
    return "; ".join(notes)


# -- in words


def verdict(signal: str, reached: Sequence[Reached], left: int) -> str:
    """Say in a line what came of a signal. left: processes of the scope that are there."""
    ours = [r for r in reached if r.depth == 0]
    if len(ours) == 1:
        return _one(ours[0], signal) + _relayed(reached)
    counts = Counter(r.fate for r in ours)
    fates = ", ".join(f"{counts[fate]} {fate}" for fate in Fate if counts[fate])
    ended = sum(r.ending is not None for r in ours)
    return f"{signal} to {len(ours)} processes: {fates}{_relayed(reached)}; {ended} ended, {left} are left"


def _relayed(reached: Sequence[Reached]) -> str:
    further = sum(r.depth > 0 for r in reached)
    return f"; {further} sent on from it" if further else ""


def _one(reached: Reached, signal: str) -> str:
    who = f"{reached.container or 'infra'}/{reached.command}[{reached.pid}]"
    after = "" if reached.taken_s is None else f" after {words.duration(reached.taken_s)}"
    end = _end(reached)
    match reached.fate:
        case Fate.HANDLED:
            still = " and still runs" if signal in _ENDINGS else ""
            return f"{who} handled {signal}{after}{end or still}"
        case Fate.TERMINATED:
            return f"{signal} terminated {who}{after}"
        case Fate.DELIVERED:
            return f"{who} took {signal}{after}{end}"
        case Fate.IGNORED:
            return f"{who} ignores {signal}"
        case Fate.BLOCKED:
            return f"{who} blocks {signal}, which waits until it is let in{end}"
        case Fate.PENDING:
            return f"{signal} waits: {who} has not taken it{end}"
        case Fate.GONE:
            return f"{who} ended before it took {signal}"
        case Fate.REFUSED:
            return f"{signal} was not sent to {who}: {reached.message}"
        case Fate.UNKNOWN:
            return f"{signal} was sent to {who}, which still runs; nobody tells what it did with it"


_ENDINGS = {words.name(number) for number in words.ENDINGS}


def _end(reached: Reached) -> str:
    ending = reached.ending
    if ending is None:
        return ""
    how = "and ended"
    if ending.signal:
        how = f"and was ended by {ending.signal}"
    elif ending.code is not None:
        how = f"and exited with code {ending.code}"
    return f" {how}" + ("" if ending.after_s is None else f" after {words.duration(ending.after_s)}")
