"""A scheduler of probes in virtual time, with a prober that answers as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from podsupd.engine.probe_entries import Registration
from podsupd.engine.prober import ProbeScheduler
from podsupd.errors import ProbeUnrunnable
from podsupd.model.observed import Incarnation
from podsupd.model.plan import Note, Now
from podsupd.model.spec import HttpGet, ProbeSpec, ProbeType, Vantage
from podsupd.ports import Attempt, Meter, ProbeTarget

LIFE = Incarnation("c1", "2026-11-22T10:00:00Z")
LATER = replace(LIFE, started_at="2026-11-22T11:00:00Z")
TARGET = ProbeTarget("web")
START_S = 1000  # of the loop's clock
L, R, S, P = ProbeType.LIVENESS, ProbeType.READINESS, ProbeType.STARTUP, ProbeType.POLICY


@dataclass
class LoopClock:
    """The loop's virtual time, with a jump that stands for the system's sleep."""

    slept: float = 0.0

    def now(self) -> Now:
        """Return the loop's time plus what was slept."""
        return Now(asyncio.get_running_loop().time() + self.slept, "boot", self.slept)

    def wall(self) -> float:
        """Return the same."""
        return self.now().boottime


class Counts(Meter):
    """Keeps what the scheduler metered."""

    def __init__(self) -> None:
        self.probes: list[tuple[str, str, str, float]] = []
        self.lags: list[float] = []

    def probe(self, pod: str, spec: ProbeSpec, result: str, seconds: float) -> None:
        """Keep an attempt."""
        self.probes.append((pod, spec.name, result, seconds))

    def probe_lag(self, spec: ProbeSpec, seconds: float) -> None:
        """Keep a lag."""
        del spec
        self.lags.append(seconds)


@dataclass
class Script:
    """A prober that answers as told; attempts are kept as (probe, seconds since the start of the test)."""

    answers: dict[str, str | Callable[[], Awaitable[Attempt]]] = field(default_factory=dict)
    takes_s: dict[str, float] = field(default_factory=dict)
    attempts: list[tuple[str, float]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Answer: ``.`` successful, ``x`` failed, ``?`` unrunnable; a text is used up to its last letter."""
        del target
        self.attempts.append((spec.name, round(asyncio.get_running_loop().time() - START_S, 3)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes_s.get(spec.name, 0.0))
        finally:
            self.at_once -= 1
        answer = self.answers.get(spec.name, ".")
        if not isinstance(answer, str):
            return await answer()
        mark, rest = answer[0], answer[1:]
        self.answers[spec.name] = rest or mark
        if mark == "?":
            raise ProbeUnrunnable("cannot enter the network namespace")
        return Attempt(mark == ".", f"answered {mark}", 0.0)

    def times(self, name: str) -> list[float]:
        """Return when a probe was attempted."""
        return [at for probe, at in self.attempts if probe == name]


def spec_of(name: str, kind: ProbeType = R, **changes: object) -> ProbeSpec:
    """Return a probe of container ``web`` (a policy probe: of the pod)."""
    spec = ProbeSpec(name, kind, Vantage.POD, HttpGet(80), None if kind is P else "web")
    return replace(spec, **changes)  # type: ignore[arg-type]


def wanted(
    *specs: ProbeSpec, life: Incarnation = LIFE, age: float = 0.0, paused: bool = False
) -> dict[str, Registration]:
    """Return registrations of these probes."""
    return {s.name: Registration(s, life, TARGET, suspended=paused, started_age_s=age) for s in specs}


@dataclass
class Bench:
    """A scheduler and everything around it."""

    scheduler: ProbeScheduler
    script: Script
    clock: LoopClock
    counts: Counts
    changes: list[str]
    told: list[tuple[str, Note]]


@asynccontextmanager
async def running(script: Script | None = None, **options: Any) -> AsyncIterator[Bench]:
    """Run a scheduler for the length of the block; without phases, unless a test is about them."""
    options.setdefault("phase", lambda _: 0.0)
    script, clock, counts, changes = script or Script(), LoopClock(), Counts(), list[str]()
    told: list[tuple[str, Note]] = []
    scheduler = ProbeScheduler(
        script, clock, counts, changes.append, tell=lambda pod, note: told.append((pod, note)), **options
    )
    task = asyncio.create_task(scheduler.run())
    try:
        yield Bench(scheduler, script, clock, counts, changes, told)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
