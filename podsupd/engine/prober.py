"""The one scheduler of all probes: a heap of due times and a bounded set of attempts.

What a result means is core.probing's; how an attempt is made is the probing edge's. A worker registers what its pod
wants probed; verdicts are data that its next plan reads.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from podsupd.core import probing
from podsupd.core.probing import ProbeState, Result
from podsupd.engine.tasks import TaskPool, pause
from podsupd.errors import ProbeUnrunnable
from podsupd.model.observed import Incarnation
from podsupd.model.plan import Verdict
from podsupd.model.spec import ProbeSpec, ProbeType
from podsupd.model.status import ProbeStatus
from podsupd.ports import Clock, Meter, Prober, ProbeTarget

MAX_ATTEMPTS = 64  # sockets and processes that a probe storm may hold at once
LONGEST_WAIT_S = 60.0  # the loop's timers stand still while the system sleeps: look at the clock at least this often
EARLY_S = 0.001  # uvloop's timers are whole milliseconds: what is due within one is due, or the loop would spin
CLEANUP_S = 10.0  # what an attempt may take beyond its timeout (killing what an exec started) before it is given up


@dataclass(frozen=True, slots=True)
class Registration:
    """A probe that a worker wants.

    started_age_s: how long ago the incarnation started, for initialDelaySeconds. suspended: make no attempts now
    (the container is paused). For a policy probe with an action the incarnation is that of what the action restarts:
    the hold ends when it changes.
    """

    spec: ProbeSpec
    incarnation: Incarnation
    target: ProbeTarget
    suspended: bool = False
    started_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SavedProbe:
    """A probe's state as it is kept over a restart of podsupd; fingerprint is core.probing's, of the spec."""

    name: str
    fingerprint: str
    state: ProbeState


@dataclass(slots=True, eq=False)
class _Entry:
    """One registered probe; dropped and made anew when the spec or the incarnation changes."""

    pod: str
    registration: Registration
    state: ProbeState
    due: float
    ticket: int = 0  # the one heap item that is current; 0: none
    running: bool = False
    gone: bool = False

    @property
    def spec(self) -> ProbeSpec:
        return self.registration.spec

    def is_for(self, other: Registration) -> bool:
        return self.spec == other.spec and self.registration.incarnation == other.incarnation


@dataclass(slots=True, eq=False)
class _Pod:
    entries: dict[str, _Entry] = field(default_factory=dict)
    saved: dict[str, SavedProbe] = field(default_factory=dict)

    def startups(self) -> dict[str | None, bool]:
        return {
            e.spec.container: e.state.passing is True for e in self.entries.values() if e.spec.type is ProbeType.STARTUP
        }


class ProbeScheduler:
    """Decides when which probe is attempted, and keeps what came of it. Everything but ``run`` is synchronous.

    on_change: called with the pod's name when a verdict changed (passing flips, or the probe goes on hold).
    """

    def __init__(
        self,
        prober: Prober,
        clock: Clock,
        meter: Meter,
        on_change: Callable[[str], None],
        *,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._prober = prober
        self._clock = clock
        self._meter = meter
        self._on_change = on_change
        self._pool = TaskPool(max_attempts)
        self._pods: dict[str, _Pod] = {}
        self._heap: list[tuple[float, int, _Entry]] = []
        self._tickets = count(1)
        self._poke = asyncio.Event()

    def sync(self, pod: str, wanted: Mapping[str, Registration]) -> None:
        """Make the pod's probes exactly these, by name: add, drop, and start anew what changed.

        A probe with the same spec and incarnation keeps its state; its target and its suspension are taken over.
        """
        held = self._pods.setdefault(pod, _Pod())
        now = self._now()
        for name in held.entries.keys() - wanted.keys():
            held.entries.pop(name).gone = True
        for name, registration in wanted.items():
            entry = held.entries.get(name)
            if entry is not None and entry.is_for(registration):
                entry.registration = registration
                continue
            if entry is not None:
                entry.gone = True
            held.entries[name] = self._enter(pod, registration, held.saved.pop(name, None), now)
        self._schedule(held, now)

    def forget(self, pod: str) -> None:
        """Drop a pod and all its probes."""
        held = self._pods.pop(pod, None)
        for entry in held.entries.values() if held else ():
            entry.gone = True

    def verdicts(self, pod: str) -> dict[str, Verdict]:
        """Return what the pod's probes say, by probe name."""
        return {n: probing.verdict(e.spec, e.state) for n, e in self._entries(pod).items()}

    def statuses(self, pod: str) -> dict[str, ProbeStatus]:
        """Return the pod's probes as shown, by probe name."""
        now = self._now()
        return {n: self._status(e, now) for n, e in self._entries(pod).items()}

    def export(self, pod: str) -> tuple[SavedProbe, ...]:
        """Return the pod's probe states, to be kept over a restart of podsupd."""
        return tuple(SavedProbe(n, probing.fingerprint(e.spec), e.state) for n, e in self._entries(pod).items())

    def restore(self, pod: str, saved: Sequence[SavedProbe]) -> None:
        """Hand in what ``export`` gave, before the pod's first sync; what does not fit any more is not used."""
        self._pods.setdefault(pod, _Pod()).saved = {s.name: s for s in saved}

    async def run(self) -> None:
        """Make attempts as they fall due, for ever; when cancelled, attempts in flight are cancelled too."""
        try:
            while True:
                self._poke.clear()
                upcoming = self._start_due()
                wait_s = LONGEST_WAIT_S if upcoming is None else upcoming - self._now()
                await pause(self._poke, min(max(wait_s, 0.0), LONGEST_WAIT_S))
        finally:
            await self._pool.close()

    def _entries(self, pod: str) -> Mapping[str, _Entry]:
        held = self._pods.get(pod)
        return held.entries if held else {}

    def _now(self) -> float:
        return self._clock.now().boottime

    def _enter(self, pod: str, registration: Registration, saved: SavedProbe | None, now: float) -> _Entry:
        spec = registration.spec
        if (
            saved is not None
            and saved.state.incarnation == registration.incarnation
            and saved.fingerprint == probing.fingerprint(spec)
        ):
            key = f"{pod}/{spec.name}"
            return _Entry(pod, registration, saved.state, probing.resumed_due(spec, saved.state, key, now))
        state = probing.begin(spec, registration.incarnation)
        return _Entry(pod, registration, state, probing.first_due(spec, now - registration.started_age_s, now))

    def _schedule(self, held: _Pod, now: float) -> None:
        """Put what may be attempted on the heap and take the rest off; wake the loop."""
        startups = held.startups()
        for entry in held.entries.values():
            waits = (
                entry.running
                or entry.registration.suspended
                or probing.finished(entry.spec, entry.state)
                or probing.gated(entry.spec, startups)
            )
            if waits:
                entry.ticket = 0
            elif not entry.ticket:
                # Overdue because it had to wait (a gate, a pause): due now, and the grid goes on from here.
                entry.due = max(entry.due, now)
                entry.ticket = next(self._tickets)
                heapq.heappush(self._heap, (entry.due, entry.ticket, entry))
        self._poke.set()

    def _start_due(self) -> float | None:
        """Start every attempt that is due while there is room; return when the next one is, None when none is.

        With no room the end of an attempt pokes the loop, so that is None too.
        """
        now = self._now()
        while self._heap:
            due, ticket, entry = self._heap[0]
            if entry.gone or entry.ticket != ticket:
                heapq.heappop(self._heap)
                continue
            if due > now + EARLY_S:
                return due
            if self._pool.full:
                return None
            heapq.heappop(self._heap)
            entry.ticket = 0
            entry.running = True
            self._meter.probe_lag(entry.spec, max(0.0, now - due))
            task = self._pool.spawn(f"probe {entry.pod} {entry.spec.name}", partial(self._attempt, entry))
            task.add_done_callback(lambda _: self._poke.set())
        return None

    async def _attempt(self, entry: _Entry) -> None:
        spec = entry.spec
        began = self._now()
        outcome: tuple[Result, str] | None = None
        try:
            async with asyncio.timeout(spec.timeout_s + CLEANUP_S):
                attempt = await self._prober.attempt(spec, entry.registration.target)
            message = f"{attempt.message} ({attempt.warning})" if attempt.warning else attempt.message
            outcome = (Result.SUCCESSFUL if attempt.successful else Result.FAILED), message
        except ProbeUnrunnable as error:
            outcome = Result.UNKNOWN, str(error)
        except TimeoutError:
            outcome = Result.UNKNOWN, f"cannot run probe {spec.name}: the attempt did not end"
        except Exception as error:
            outcome = Result.UNKNOWN, f"cannot run probe {spec.name}: {error!r}"
            raise  # the pool logs it
        finally:
            # On a cancellation too: an entry left running would never be attempted again.
            self._end(entry, outcome, began)

    def _end(self, entry: _Entry, outcome: tuple[Result, str] | None, began: float) -> None:
        """Take in what an attempt gave; outcome is None when it was cancelled."""
        now = self._now()
        spec, before = entry.spec, entry.state
        entry.running = False
        if outcome is not None:
            result, message = outcome
            if entry.registration.suspended:
                result, message = Result.UNKNOWN, "the container was paused during the attempt"
            self._meter.probe(entry.pod, spec, result.value, now - began)
            entry.state = probing.observe(spec, before, result, now, message=message, duration_s=now - began)
        if entry.gone:
            return
        entry.due = probing.next_due(spec, entry.due, now)
        self._schedule(self._pods[entry.pod], now)
        if (before.passing, before.on_hold) != (entry.state.passing, entry.state.on_hold):
            self._on_change(entry.pod)

    def _status(self, entry: _Entry, now: float) -> ProbeStatus:
        spec, state = entry.spec, entry.state
        return ProbeStatus(
            name=spec.name,
            type=spec.type,
            vantage=spec.vantage,
            container=spec.container,
            passing=state.passing,
            on_hold=state.on_hold,
            result=state.result.value if state.result else "",
            message=state.message,
            duration_s=state.duration_s,
            age_s=None if state.at is None else now - state.at,
            next_s=max(0.0, entry.due - now) if entry.ticket else None,
            streak=state.streak,
            history=state.history,
        )
