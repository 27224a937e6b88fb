"""The relist and the event stream, in virtual time: when Podman is asked, and what its silence means."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import MagicMock

import pytest

from podsupd.engine import observer
from podsupd.engine.observer import RETRY_CAP_S, Observer
from podsupd.errors import PodmanRejected, PodmanUnavailable
from podsupd.model.observed import Relist, RuntimeEvent, RuntimeInfo
from podsupd.model.plan import Now
from podsupd.ports import Meter, Notifier

pytestmark = pytest.mark.looptime

INTERVAL_S = 10.0
EVENT = RuntimeEvent("container", "died", "1" * 64, "c", "2" * 64, 137)
AWAY = PodmanUnavailable("cannot list pods: nobody listens")


def now() -> float:
    """Return the loop's virtual seconds."""
    return asyncio.get_running_loop().time()


@dataclass
class Podman:
    """A runtime that is there or away, slow or quick. relists, streams: when they were asked for."""

    away: bool = False
    takes_s: float = 0.0
    relists: list[float] = field(default_factory=list)
    infos: int = 0
    streams: list[float] = field(default_factory=list)
    told: Callable[[], AsyncIterator[RuntimeEvent]] | None = None

    async def relist(self) -> Relist:
        """List nothing, or fail."""
        self.relists.append(now())
        await asyncio.sleep(self.takes_s)
        if self.away:
            raise AWAY
        return Relist((), {})

    async def info(self) -> RuntimeInfo:
        """Say a version."""
        self.infos += 1
        return RuntimeInfo("4.3.1", rootless=False, cgroup_manager="cgroupfs")

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        """Tell what the test says."""
        self.streams.append(now())
        assert self.told is not None
        async for event in self.told():
            yield event


class Bench:
    """An observer and everything around it."""

    def __init__(self, podman: Podman, hanging: Callable[[], tuple[str, ...]] = tuple) -> None:
        self.podman = podman
        self.meter, self.notifier = MagicMock(spec=Meter), MagicMock(spec=Notifier)
        self.seen: list[Relist] = []
        self.events: list[RuntimeEvent] = []
        clock, runtime = MagicMock(), podman
        clock.now = lambda: Now(now(), "boot")
        clock.wall = now
        loose: Any = runtime
        self.observer = Observer(
            loose,
            clock,
            self.meter,
            self.notifier,
            INTERVAL_S,
            on_relist=self.seen.append,
            on_event=self.events.append,
            hanging=hanging,
        )

    @property
    def fed(self) -> int:
        """Count the watchdog's signs of life."""
        count: int = self.notifier.watchdog.call_count
        return count


@asynccontextmanager
async def running(main: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    """Run one of the observer's loops while the test looks; it must not have ended by an error."""
    stopping = asyncio.Event()
    task = asyncio.ensure_future(main(stopping))
    try:
        yield
    finally:
        stopping.set()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None


async def test_it_relists_at_once_and_at_the_interval() -> None:
    """The truth is asked for by a timer; who Podman is only once."""
    bench = Bench(Podman())
    async with running(bench.observer.run_relist):
        await asyncio.sleep(35)
    assert bench.podman.relists == [0, 10, 20, 30]
    assert bench.podman.infos == 1
    assert bench.observer.up
    assert bench.observer.last_relist_at == 30
    assert len(bench.seen) == 4


async def test_what_podman_may_wait_for_is_said() -> None:
    """A runtime that hangs holds its container's lock, and Podman with it: the reason names the process to end."""
    bench = Bench(Podman(away=True), lambda: ("it may wait for `runc kill` (PID 7)",))
    async with running(bench.observer.run_relist):
        while "runc" not in bench.observer.error:
            await asyncio.sleep(0.1)
        assert bench.observer.error == f"{AWAY}; it may wait for `runc kill` (PID 7)"


async def test_a_look_that_blocks_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc itself waits for a dead disk the watchdog is fed all the same, and one thread is lost, not all."""
    for name in ("LOOK_S", "RETRY_FIRST_S", "RETRY_CAP_S"):
        monkeypatch.setattr(observer, name, 0.01)
    over, looks = threading.Event(), list[float]()

    def block() -> tuple[str, ...]:
        looks.append(1)
        over.wait()
        return ()

    bench = Bench(Podman(away=True), block)
    try:
        async with running(bench.observer.run_relist):
            while bench.fed < 5:
                await asyncio.sleep(0.01)
    finally:
        over.set()
    assert len(looks) <= 1


async def test_a_poke_hastens_the_relist() -> None:
    """A doubt or a reload does not wait for the timer."""
    bench = Bench(Podman())
    async with running(bench.observer.run_relist):
        await asyncio.sleep(3)
        bench.observer.poke()
        await asyncio.sleep(1)
    assert bench.podman.relists == [0, 3]


async def test_the_watchdog_is_fed_by_every_cycle_that_ends() -> None:
    """A Podman that is away or hangs until the time-out is no reason for systemd to kill us."""
    bench = Bench(Podman())
    async with running(bench.observer.run_relist):
        await asyncio.sleep(15)
        assert bench.fed == 2
        bench.podman.away, bench.podman.takes_s = True, 30.0
        await asyncio.sleep(120)
        assert bench.fed >= 2 + 120 // (30 + RETRY_CAP_S) - 1
        assert not bench.observer.up
        assert bench.observer.error == str(AWAY)


async def test_an_absent_podman_is_asked_ever_more_slowly_up_to_a_cap() -> None:
    """It is never given up and never hammered."""
    bench = Bench(Podman(away=True))
    async with running(bench.observer.run_relist):
        await asyncio.sleep(30)
    pauses = [b - a for a, b in zip(bench.podman.relists, bench.podman.relists[1:], strict=False)]
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert set(pauses[4:]) == {RETRY_CAP_S}


async def test_pokes_do_not_hammer_a_podman_that_is_away() -> None:
    """Twenty workers that got no answer ask twice a second together, not twenty times."""
    bench = Bench(Podman(away=True))
    async with running(bench.observer.run_relist):
        for _ in range(100):
            bench.observer.poke()
            await asyncio.sleep(0.1)
    assert len(bench.podman.relists) <= 21


async def test_the_first_attempt_counts_however_it_ends() -> None:
    """READY=1 does not wait for a Podman that is away."""
    bench = Bench(Podman(away=True))
    async with running(bench.observer.run_relist):
        await asyncio.wait_for(bench.observer.attempted.wait(), 30)
    assert bench.seen == []


async def test_a_doubt_is_shown_at_once_and_looked_into() -> None:
    """A worker that got no answer makes us not ready with its reason, and an answer takes that back."""
    bench = Bench(Podman())
    async with running(bench.observer.run_relist):
        await asyncio.sleep(5)
        bench.observer.doubt("cannot start container 1: no answer")
        assert not bench.observer.up
        assert bench.observer.error == "cannot start container 1: no answer"
        await asyncio.sleep(0.1)
        assert bench.observer.up
        assert bench.observer.error == ""
    assert bench.podman.relists == [0, 5]


async def test_podmans_return_is_noticed_and_its_version_asked_again() -> None:
    """It may be a newer one that came back."""
    bench = Bench(Podman())
    async with running(bench.observer.run_relist):
        await asyncio.sleep(5)
        bench.podman.away = True
        await asyncio.sleep(10)
        bench.podman.away = False
        await asyncio.sleep(RETRY_CAP_S)
        assert bench.observer.up
    assert bench.podman.infos == 2


async def test_every_event_is_handed_on_and_counted() -> None:
    """The stream hastens what the relist would find."""

    async def two() -> AsyncIterator[RuntimeEvent]:
        yield EVENT
        yield EVENT
        await asyncio.Event().wait()

    bench = Bench(Podman(told=two))
    async with running(bench.observer.run_events):
        await asyncio.sleep(1)
    assert bench.events == [EVENT, EVENT]
    assert bench.meter.event.call_count == 2
    assert bench.podman.streams == [0]


@pytest.mark.parametrize("error", [None, AWAY, PodmanRejected("cannot follow events: not libpod")])
async def test_a_lost_stream_is_taken_up_again(error: Exception | None) -> None:
    """However it ended: after a pause that grows while nothing comes and starts anew with an event."""
    broken = 3

    async def told() -> AsyncIterator[RuntimeEvent]:
        if len(bench.podman.streams) > broken:
            yield EVENT
        if error is not None:
            raise error

    bench = Bench(Podman(told=told))
    async with running(bench.observer.run_events):
        await asyncio.sleep(6)
    assert bench.podman.streams[:6] == [0, 0.5, 1.5, 3.5, 4.0, 4.5]
    assert bench.meter.reconnect.call_count == len(bench.podman.streams)
    assert len(bench.events) == len(bench.podman.streams) - broken
