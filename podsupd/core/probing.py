"""The probe state machine, as the kubelet's: thresholds, hold, gating and when the next attempt is due.

The rules are those of the kubelet's prober (``pkg/kubelet/prober/worker.go``): consecutive equal results count, an
attempt that could not be made is no result, and after a failure that somebody must act on the prober holds still until
the container's incarnation changes. Times are seconds of CLOCK_BOOTTIME.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from math import floor
from typing import Any

from podsupd.model.observed import Incarnation
from podsupd.model.plan import Note, Verdict
from podsupd.model.spec import ProbeSpec, ProbeType

HISTORY_LENGTH = 20  # enough for a strip in a table cell
SPLAY_CAP_S = 10.0  # Kubernetes' default period: what is overdue after a restart is probed again within it


class Result(StrEnum):
    """What one attempt gave; the words are those of Kubernetes' ``prober_probe_total``."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    UNKNOWN = "unknown"


_MARKS = {Result.SUCCESSFUL: ".", Result.FAILED: "x", Result.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class ProbeState:
    """All that a probe remembers of one incarnation.

    passing: what the probe says now; None while it has not said anything (startup and policy before their first result
    that counts). counted, streak: the last result that counts and how often in a row it came. result, message,
    duration_s, at: the last attempt, whether it counts or not; at is None before the first. history: as in
    model.status.ProbeStatus.
    """

    incarnation: Incarnation
    passing: bool | None = None
    on_hold: bool = False
    counted: Result | None = None
    streak: int = 0
    result: Result | None = None
    message: str = ""
    duration_s: float = 0.0
    at: float | None = None
    history: str = ""


_INITIAL: Mapping[ProbeType, bool | None] = {
    ProbeType.LIVENESS: True,
    ProbeType.READINESS: False,
    ProbeType.STARTUP: None,
    ProbeType.POLICY: None,
}


def begin(spec: ProbeSpec, incarnation: Incarnation) -> ProbeState:
    """Return the state before the first result: ready is false, alive is true, started is not known."""
    return ProbeState(incarnation, passing=_INITIAL[spec.type])


def holds_after_failure(spec: ProbeSpec) -> bool:
    """Say whether a failure is acted on by a restart, so that more attempts on this incarnation mean nothing."""
    return spec.type in {ProbeType.LIVENESS, ProbeType.STARTUP}


def observe(
    spec: ProbeSpec, state: ProbeState, result: Result, now: float, *, message: str = "", duration_s: float = 0.0
) -> ProbeState:
    """Return the state after an attempt that ended at ``now``."""
    noted = replace(
        state,
        result=result,
        message=message,
        duration_s=duration_s,
        at=now,
        history=(state.history + _MARKS[result])[-HISTORY_LENGTH:],
    )
    if result is Result.UNKNOWN or state.on_hold:
        return noted
    streak = state.streak + 1 if result is state.counted else 1
    noted = replace(noted, counted=result, streak=streak)
    success = result is Result.SUCCESSFUL
    if streak < (spec.success_threshold if success else spec.failure_threshold):
        return noted
    return replace(noted, passing=success, on_hold=not success and holds_after_failure(spec))


def transition(spec: ProbeSpec, before: ProbeState, after: ProbeState) -> Note | None:
    """Return what an attempt brought to light, for the events: a verdict that is new, not a result that repeats one.

    Nothing for liveness and startup: what the planner does about those is told by itself.
    """
    if spec.type not in {ProbeType.READINESS, ProbeType.POLICY}:
        return None
    what = "Readiness probe" if spec.type is ProbeType.READINESS else f"probe {spec.name}"
    if after.passing and not before.passing:
        return Note("Normal", "Healthy", f"{what} succeeded: {after.message}", spec.container)
    # Not by the verdict: a container that never became ready was not ready before its first failure either.
    counts = (after.counted, after.streak) != (before.counted, before.streak)
    if after.counted is Result.FAILED and after.streak == spec.failure_threshold and counts:
        return Note("Warning", "Unhealthy", f"{what} failed: {after.message}", spec.container)
    return None


def awakened(state: ProbeState) -> ProbeState:
    """Return the state after a sleep of the system: the verdict holds, but results in a row have to be new ones."""
    return replace(state, counted=None, streak=0)


def finished(spec: ProbeSpec, state: ProbeState) -> bool:
    """Say whether no further attempt is wanted on this incarnation: on hold, or a startup probe that passed."""
    return state.on_hold or (spec.type is ProbeType.STARTUP and state.passing is True)


def gated(spec: ProbeSpec, startups: Mapping[str | None, bool]) -> bool:
    """Say whether a probe must wait for startup probes.

    startups: container -> its startup probe has passed, for the containers that have one. A container's liveness and
    readiness wait for its own; a policy probe speaks for the pod and waits for all of them.
    """
    if spec.type is ProbeType.STARTUP:
        return False
    if spec.type is ProbeType.POLICY:
        return not all(startups.values())
    return not startups.get(spec.container, True)


def first_due(spec: ProbeSpec, started_at: float, phase: float, now: float) -> float:
    """Return when the first attempt is due, from initialDelaySeconds after the container's start on.

    Readiness and startup, which somebody waits for: at once. The others at their phase, so that those of a hundred pods
    do not fire together. (The kubelet's workers tick from when a pod is added, whenever its containers start.)
    """
    earliest = started_at + spec.initial_delay_s
    if spec.type in {ProbeType.READINESS, ProbeType.STARTUP}:
        return max(now, earliest)
    due = splayed_due(spec, phase, earliest)
    return due if due >= now else splayed_due(spec, phase, now)


def second_due(spec: ProbeSpec, due: float, phase: float, now: float) -> float:
    """Return the next turn after the first attempt, which was due at ``due``: from readiness' second on at its phase.

    As after the kubelet's extra attempt at a container's start, that may come sooner than a period later. Not for
    startup: its failures are counted against the time that a container has to start.
    """
    # The attempt may have come a hair before its time, which is no reason for another one at its time.
    now = max(now, due)
    if spec.type is ProbeType.READINESS:
        due = splayed_due(spec, phase, due) - spec.period_s
    return next_due(spec, due, now)


def next_due(spec: ProbeSpec, due: float, now: float) -> float:
    """Return the next point after ``now`` of the grid that ``due`` is on: no drift, and no rush after a sleep."""
    missed = max(0, floor((now - due) / spec.period_s))
    following = due + (missed + 1) * spec.period_s
    # Rounding can put the product a hair at or before now.
    return following if following > now else following + spec.period_s


def resumed_due(spec: ProbeSpec, last: float, phase: float, now: float) -> float:
    """Return when a probe is due that is restored after a restart of podsupd; last: when its last attempt ended.

    Its own next turn if that is still to come; what is overdue is splayed, so that a start of podsupd does not fire
    every probe at once.
    """
    turn = last + spec.period_s
    if now < turn <= now + spec.period_s:
        return turn
    return splayed_due(spec, phase, now)


def splayed_due(spec: ProbeSpec, phase: float, now: float) -> float:
    """Return the moment of a phase in [0, 1) after ``now``: within the probe's period, and within SPLAY_CAP_S."""
    return now + phase * min(spec.period_s, SPLAY_CAP_S)


def verdict(spec: ProbeSpec, state: ProbeState) -> Verdict:
    """Return what the planner sees of a probe."""
    return Verdict(
        probe=spec.name,
        incarnation=state.incarnation,
        passing=state.passing,
        failed=state.on_hold,
        message=state.message,
    )


def fingerprint(spec: ProbeSpec) -> str:
    """Return a digest of what a probe is, to match saved states by.

    Fields at their default are left out, so that a release of podsupd that adds a field keeps the states it finds.
    """
    text = json.dumps(_plain(spec), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: object) -> Any:
    if is_dataclass(value):
        kept = {f.name: getattr(value, f.name) for f in fields(value)}
        defaults = {f.name: f.default for f in fields(value) if f.default is not MISSING}
        plain = {name: _plain(v) for name, v in kept.items() if name not in defaults or v != defaults[name]}
        return {"kind": type(value).__name__, **plain}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
