"""The one scheduler of all probes: a heap of due times and a bounded set of attempts.

What a result means is core.probing's; how an attempt is made is the probing edge's. A worker registers what its pod
wants probed; verdicts are data that its next plan reads.
"""

import asyncio
import heapq
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count

from podsupd import log
from podsupd.core import probing
from podsupd.core.backoff import spread
from podsupd.core.probing import Result
from podsupd.core.sleeping import slept
from podsupd.engine.lanes import Lane
from podsupd.engine.probe_entries import Entry, Pod, Registration, SavedProbe
from podsupd.engine.tasks import pause
from podsupd.errors import ProbeUnrunnable
from podsupd.model.plan import Note, Now, Verdict
from podsupd.model.spec import ExecCommand
from podsupd.model.status import Condition, ProbeStatus
from podsupd.ports import Clock, Meter, Prober

logger = log.get("prober")

MAX_ATTEMPTS = 64  # sockets that a probe storm may hold at once
# An exec takes 40 ms of a core: more of them at once would only make each other late, and time out.
MAX_EXECS = 2 * (os.cpu_count() or 1)
LONGEST_WAIT_S = 60.0  # the loop's timers stand still while the system sleeps: look at the clock at least this often
EARLY_S = 0.001  # uvloop's timers are whole milliseconds: what is due within one is due, or the loop would spin
CLEANUP_S = 10.0  # what an attempt may take beyond its timeout (killing what an exec started) before it is given up


class ProbeScheduler:
    """Decides when which probe is attempted, and keeps what came of it. Everything but ``run`` is synchronous.

    on_change: called with the pod's name when a verdict changed (passing flips, or the probe goes on hold). tell: gets
    what an attempt brought to light, for the pod's events. phase: where in its period a probe of that key stands.
    """

    def __init__(
        self,
        prober: Prober,
        clock: Clock,
        meter: Meter,
        on_change: Callable[[str], None],
        *,
        tell: Callable[[str, Note], None] = lambda _pod, _note: None,
        max_attempts: int = MAX_ATTEMPTS,
        max_execs: int = MAX_EXECS,
        phase: Callable[[str], float] = spread,
    ) -> None:
        self._prober = prober
        self._clock = clock
        self._meter = meter
        self._on_change = on_change
        self._tell = tell
        self._phase = phase
        self._dials = Lane("probes over the network", max_attempts)
        self._execs = Lane("probes by exec", max_execs)
        self._pods: dict[str, Pod] = {}
        self._heap: list[tuple[float, int, Entry]] = []
        self._tickets = count(1)
        self._poke = asyncio.Event()
        self._looked = clock.now()
        self._began = self._looked.boottime

    def sync(self, pod: str, wanted: Mapping[str, Registration]) -> None:
        """Make the pod's probes exactly these, by name: add, drop, and start anew what changed.

        A probe with the same spec and incarnation keeps its state; its target and its suspension are taken over.
        """
        held = self._pods.setdefault(pod, Pod())
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

    def registration(self, pod: str, name: str) -> Registration | None:
        """Return what a probe is registered with, None when it is not wanted now."""
        entry = self._entries(pod).get(name)
        return entry.registration if entry else None

    def export(self, pod: str) -> tuple[SavedProbe, ...]:
        """Return the pod's probe states, to be kept over a restart of podsupd."""
        return tuple(SavedProbe(n, probing.fingerprint(e.spec), e.state) for n, e in self._entries(pod).items())

    def restore(self, pod: str, saved: Sequence[SavedProbe]) -> None:
        """Hand in what ``export`` gave, before the pod's first sync; what does not fit any more is not used."""
        self._pods.setdefault(pod, Pod()).saved = {s.name: s for s in saved}

    async def run(self) -> None:
        """Make attempts as they fall due, for ever; when cancelled, attempts in flight are cancelled too."""
        try:
            while True:
                self._poke.clear()
                upcoming = self._start_due()
                wait_s = LONGEST_WAIT_S if upcoming is None else upcoming - self._now()
                await pause(self._poke, min(max(wait_s, 0.0), LONGEST_WAIT_S))
        finally:
            for lane in (self._dials, self._execs):
                await lane.pool.close()

    @property
    def condition(self) -> Condition:
        """Say whether there is room for every attempt in its time."""
        troubles = [lane.trouble for lane in (self._dials, self._execs) if lane.trouble]
        if not troubles:
            return Condition("ProbesOnTime", "True")
        return Condition("ProbesOnTime", "False", "Overloaded", "; ".join(troubles))

    def _entries(self, pod: str) -> Mapping[str, Entry]:
        held = self._pods.get(pod)
        return held.entries if held else {}

    def _now(self) -> float:
        return self._clock.now().boottime

    def _enter(self, pod: str, registration: Registration, saved: SavedProbe | None, now: float) -> Entry:
        spec = registration.spec
        if (
            saved is not None
            and saved.state.incarnation == registration.incarnation
            and saved.fingerprint == probing.fingerprint(spec)
            and saved.state.at is not None
        ):
            entry = Entry(pod, registration, saved.state, now)
            entry.due = probing.resumed_due(spec, saved.state.at, self._phase(entry.key), now)
            return entry
        started_at = now - registration.started_age_s
        entry = Entry(pod, registration, probing.begin(spec, registration.incarnation), now)
        entry.due = probing.first_due(spec, started_at, self._phase(entry.key), now)
        if started_at < self._began and entry.due <= now < self._began + probing.SPLAY_CAP_S:
            # As the kubelet after its own start: what runs already is not probed all in one instant.
            entry.due = probing.splayed_due(spec, self._phase(entry.key), now)
        return entry

    def _schedule(self, held: Pod, now: float) -> None:
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
                self._line_up(entry)
        self._poke.set()

    def _start_due(self) -> float | None:
        """Start every attempt that is due while there is room; return when the next one is, None when none is.

        For what waits for room the end of an attempt pokes the loop.
        """
        at = self._clock.now()
        if slept(self._looked, at):
            self._wake(at)
        self._looked = at
        now = at.boottime
        while self._heap:
            due, ticket, entry = self._heap[0]
            if not entry.gone and entry.ticket == ticket:
                if due > now + EARLY_S:
                    break
                self._lane(entry).offer(ticket, entry)
            heapq.heappop(self._heap)
        for lane in (self._dials, self._execs):
            for entry in lane.take(now):
                self._start(lane, entry, now)
        return self._heap[0][0] if self._heap else None

    def _lane(self, entry: Entry) -> Lane:
        return self._execs if isinstance(entry.spec.handler, ExecCommand) else self._dials

    def _start(self, lane: Lane, entry: Entry, now: float) -> None:
        entry.ticket = 0
        entry.running = True
        self._meter.probe_lag(entry.spec, max(0.0, now - entry.due))
        lane.began(entry, now)
        entry.last = now
        task = lane.pool.spawn(f"probe {entry.pod} {entry.spec.name}", partial(self._attempt, entry))
        task.add_done_callback(lambda _: self._poke.set())

    def _wake(self, at: Now) -> None:
        """After a sleep of the system: what is overdue is splayed, and results from before are not counted on."""
        logger.info("the system slept", seconds=round(at.slept - self._looked.slept))
        for entry in [e for held in self._pods.values() for e in held.entries.values()]:
            entry.state = probing.awakened(entry.state)
            entry.last = None
            if entry.ticket and entry.due <= at.boottime:
                entry.due = probing.splayed_due(entry.spec, self._phase(entry.key), at.boottime)
                self._line_up(entry)

    def _line_up(self, entry: Entry) -> None:
        entry.ticket = next(self._tickets)
        heapq.heappush(self._heap, (entry.due, entry.ticket, entry))

    async def _attempt(self, entry: Entry) -> None:
        spec = entry.spec
        began = self._clock.now()
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

    def _end(self, entry: Entry, outcome: tuple[Result, str] | None, began: Now) -> None:
        """Take in what an attempt gave; outcome is None when it was cancelled."""
        at = self._clock.now()
        spec, before = entry.spec, entry.state
        took = at.awake - began.awake
        entry.running = False
        if outcome is not None:
            result, message = outcome
            if entry.registration.suspended:
                result, message = Result.UNKNOWN, "the container was paused during the attempt"
            elif slept(began, at):
                result, message = Result.UNKNOWN, "the system slept during the attempt"
            self._meter.probe(entry.pod, spec, result.value, took)
            entry.state = probing.observe(spec, before, result, at.boottime, message=message, duration_s=took)
        if entry.gone:
            return
        if before.at is None:
            entry.due = probing.second_due(spec, entry.due, self._phase(entry.key), at.boottime)
        else:
            entry.due = probing.next_due(spec, entry.due, at.boottime)
        self._schedule(self._pods[entry.pod], at.boottime)
        change = probing.transition(spec, before, entry.state)
        entry.telling, note = entry.telling.offer(change, at.boottime)
        if note is not None:
            self._tell(entry.pod, note)
        if (before.passing, before.on_hold) != (entry.state.passing, entry.state.on_hold):
            self._on_change(entry.pod)

    def _status(self, entry: Entry, now: float) -> ProbeStatus:
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
