"""The ledger between the trace and those who ask: told, counted, followed, and without a trace."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from podsupd.core.drafts import Watch
from podsupd.engine import ledger as ledger_module
from podsupd.engine.ledger import Ledger
from podsupd.errors import TracingUnavailable
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, ContainerState, ObservedContainer, ObservedPod
from podsupd.model.sending import Purpose
from podsupd.model.signals import Delivered, Exited, Generated, Party, ProcessFacts, SignalRecord, TraceEvent
from podsupd.ports import TraceBatch

OWNER = "me"
MAIN, SIDE = "a" * 64, "b" * 64


class FakeTracer:
    """A kernel that says what the test puts into it; ``fault``: it cannot be asked; ``partial``: what it says not."""

    def __init__(self) -> None:
        self.watched: set[int] = set()
        self.fault = self.partial = ""
        self.opened = self.closed = 0
        self._events: list[TraceEvent] = []
        self._lost = 0
        self._wake = asyncio.Event()
        self.stuck = False

    def open(self) -> None:
        """Begin, unless there is a fault."""
        self.opened += 1
        if self.fault:
            raise TracingUnavailable(self.fault)

    def close(self) -> None:
        """End."""
        self.closed += 1

    def hurry(self) -> None:
        """Have it read."""
        self._wake.set()

    def write(self, *events: TraceEvent) -> None:
        """Let the kernel write records that nobody is woken for."""
        self._events += events

    def happen(self, *events: TraceEvent, lost: int = 0) -> None:
        """Let the kernel write records."""
        self._events += events
        self._lost += lost
        self._wake.set()

    async def read(self, timeout_s: float) -> TraceBatch:
        """Return what happened."""
        try:
            async with asyncio.timeout(min(timeout_s, 0.02)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        if self.stuck:
            return TraceBatch(iter(()), 0)
        events, self._events = self._events, []
        lost, self._lost = self._lost, 0
        return TraceBatch(iter(events), time.monotonic_ns(), lost)


class FakeTable:
    """A /proc with the first processes of two containers and a shell of the host."""

    def look(self, tid: int) -> ProcessFacts | None:
        """Return what is known."""
        containers = {11: MAIN, 12: SIDE}
        if tid in containers:
            return ProcessFacts(tid, 1, "sh", (f"/libpod-{containers[tid]}",), (tid, tid - 5), "root", (tid,))
        return ProcessFacts(tid, 1, "bash", ("/",), (tid,), "root", (tid,)) if tid == 500 else None

    def members(self, pid: int) -> tuple[int, ...]:
        """Return the process alone."""
        return (pid,)


class FakeHistory:
    """Rows in memory."""

    def __init__(self) -> None:
        self.rows: dict[int, SignalRecord] = {}

    def record_signal(self, record: SignalRecord) -> None:
        """Keep it."""
        self.rows[record.id] = record

    async def signals(self, pod: str | None, since: int, limit: int) -> list[SignalRecord]:
        """Return what is kept."""
        return [r for r in self.rows.values() if r.id > since and pod in {None, r.pod}][-limit:]


class FakeMeter:
    """Counts."""

    def __init__(self) -> None:
        self.signals = self.lost = 0

    def signal(self, record: SignalRecord) -> None:
        """Count a record."""
        self.signals += record.count

    def signals_lost(self, count: int) -> None:
        """Count lost ones."""
        self.lost += count


class Rig:
    """A ledger with everything around it."""

    def __init__(self, wanted: str = "auto") -> None:
        self.tracer, self.history, self.meter = FakeTracer(), FakeHistory(), FakeMeter()
        self.ledger = Ledger(self.tracer, FakeTable(), self.history, self.meter, OWNER, wanted)  # type: ignore[arg-type]
        self.ledger.observe("web", pod())

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        """Run it."""
        stopping = asyncio.Event()
        task = asyncio.create_task(self.ledger.run(stopping))
        try:
            yield self
        finally:
            stopping.set()
            self.tracer.hurry()
            async with asyncio.timeout(60):
                await task

    async def until(self, condition: object) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(60):
            while not condition():  # type: ignore[operator]
                await asyncio.sleep(0.01)


def container(name: str, cid: str, pid: int, *, dead: bool = False) -> ObservedContainer:
    """Return a container as it would be observed."""
    labels = {OWNER_LABEL: OWNER, CONTAINER_LABEL: name}
    state = ContainerState.EXITED if dead else ContainerState.RUNNING
    return ObservedContainer(
        cid,
        f"web-{name}",
        state,
        labels,
        0 if dead else pid,
        143 if dead else 0,
        started_at="t",
        started_epoch=1.0,
        finished_epoch=time.time() if dead else 0.0,
    )


def pod(*, dead: bool = False, owner: str = OWNER) -> ObservedPod:
    """Return the pod; with dead its container main has ended."""
    containers = (container("main", MAIN, 11, dead=dead), container("side", SIDE, 12))
    return ObservedPod("p", "web", {OWNER_LABEL: owner}, None, containers)


def sent(tid: int = 12, target: int = 11, signal: int = 15) -> Generated:
    """Return a signal sent now."""
    return Generated(time.monotonic_ns(), tid, signal, 0, target, "sh", 0)


def death(tid: int = 500) -> tuple[TraceEvent, ...]:
    """Return a signal that ends the container main."""
    made = sent(tid)
    return made, Delivered(made.at + 1000, 11, 9, 0, 0), Exited(made.at + 2000, 11, "sh")


async def test_a_signal_is_told_once_everywhere() -> None:
    """History, counter and followers get the same record, with the pod's names for its processes."""
    async with Rig().running() as rig:
        follower = rig.ledger.follow("web", 0)
        next_one = asyncio.create_task(anext(follower))
        rig.tracer.happen(sent(), sent(500, 999))
        async with asyncio.timeout(60):
            record = await next_one
        await follower.aclose()  # type: ignore[attr-defined]
    assert record.sender == Party("side", 7, 12, "sh", "container")
    assert record.target == Party("main", 6, 11, "sh")
    assert [record.id] == list(rig.history.rows)
    assert rig.meter.signals == 1


async def test_a_follower_goes_on_from_the_history() -> None:
    """Whoever resumes gets what was missed, then what comes, nothing twice and nothing of other pods."""
    async with Rig().running() as rig:
        for _ in range(3):
            rig.tracer.happen(sent())
        await rig.until(lambda: len(rig.history.rows) == 3)
        first, second, third = rig.history.rows
        follower = rig.ledger.follow("web", first)
        assert [(await anext(follower)).id, (await anext(follower)).id] == [second, third]
        rig.tracer.happen(sent())
        async with asyncio.timeout(60):
            assert (await anext(follower)).id > third
        await follower.aclose()  # type: ignore[attr-defined]
        assert await rig.ledger.signals("other", 0, 10) == []


async def test_a_death_has_its_cause_when_it_is_planned() -> None:
    """The worker that sees a death gets the kernel's word for it, although Podman was as fast."""
    async with Rig().running() as rig:
        await rig.until(lambda: rig.ledger.up)
        rig.tracer.happen(*death())
        causes = await rig.ledger.causes("web", pod(dead=True))
        assert causes[MAIN].text == "SIGTERM from host process 'bash' (root)"
        assert causes[MAIN].origin == "host"
        assert await rig.ledger.causes("web", pod()) == {}


async def test_a_death_is_explained_although_podmans_clock_is_a_tick_late() -> None:
    """Podman stamps an exit by a clock that ticks every few milliseconds: the trace is read up to the exit itself."""
    async with Rig().running() as rig:
        await rig.until(lambda: rig.ledger.up)
        await rig.until(lambda: rig.ledger.read_until)
        stamped = replace(container("main", MAIN, 11, dead=True), finished_epoch=time.time() - 0.1)
        rig.tracer.write(*death())
        causes = await rig.ledger.causes("web", replace(pod(), containers=(stamped,)))
        assert causes[MAIN].text == "SIGTERM from host process 'bash' (root)"


async def test_a_process_that_ends_before_podman_calls_it_started_is_explained() -> None:
    """Podman stamps a start when the runtime has returned; by then a short life may be over."""
    async with Rig().running() as rig:
        await rig.until(lambda: rig.ledger.up)
        short = replace(container("main", MAIN, 11, dead=True), started_epoch=time.time() + 0.01)
        rig.tracer.happen(*death())
        causes = await rig.ledger.causes("web", replace(pod(), containers=(short,)))
        assert causes[MAIN].text == "SIGTERM from host process 'bash' (root)"


@pytest.mark.parametrize("jump", [6 * 3600, -6 * 3600])
async def test_a_death_is_explained_although_the_clock_was_set_meanwhile(
    monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """A container that began at noon may die at six in the morning by the clock, of a signal that was then sent."""
    async with Rig().running() as rig:
        await rig.until(lambda: rig.ledger.up)
        lives = replace(container("main", MAIN, 11), started_epoch=time.time() - 10, started_at="noon")
        await rig.ledger.causes("web", replace(pod(), containers=(lives,)))
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + jump * 10**9)
        rig.tracer.happen(*death())
        dead = replace(lives, state=ContainerState.EXITED, pid=0, finished_epoch=time.time() + jump)
        causes = await rig.ledger.causes("web", replace(pod(), containers=(dead,)))
        assert causes[MAIN].text == "SIGTERM from host process 'bash' (root)"


async def test_lives_that_are_over_cost_nothing() -> None:
    """A container that crashes every five minutes for years fills no memory."""
    rig = Rig()
    for life in range(100):
        begun = replace(container("main", MAIN, 11), started_at=str(life))
        rig.ledger.observe("web", replace(pod(), containers=(begun,)))
        assert len(rig.ledger._clocks["web"]) == 1
    rig.ledger.observe("web", None)
    assert not rig.ledger._clocks


async def test_a_machine_that_stood_still_takes_no_cause_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """When podsupd gets to run again, all of the time for the trace may be over: it is read all the same."""
    monkeypatch.setattr(ledger_module, "BEHIND_S", 0.3)
    rig = Rig()
    read, stills = rig.tracer.read, [0.4]

    async def in_turns(timeout_s: float) -> TraceBatch:
        """Read some turns of the loop after it was told to, as the real one does; before the first, nothing moves."""
        await rig.tracer._wake.wait()
        if rig.tracer._events and stills:
            time.sleep(stills.pop())
        for _ in range(5):
            await asyncio.sleep(0)
        return await read(timeout_s)

    monkeypatch.setattr(rig.tracer, "read", in_turns)
    async with rig.running():
        await rig.until(lambda: rig.ledger.up)
        rig.tracer.write(*death())
        causes = await rig.ledger.causes("web", pod(dead=True))
        assert (causes[MAIN].text, stills) == ("SIGTERM from host process 'bash' (root)", [])


async def test_what_podsupd_sent_itself_is_known_while_the_trace_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is too busy to read the trace in time, an operator's own signal is not told as a crash."""
    monkeypatch.setattr(ledger_module, "BEHIND_S", 0.1)
    async with Rig().running() as rig:
        await rig.until(lambda: rig.ledger.up)
        rig.tracer.stuck = True
        rig.ledger.own(Watch(Purpose.SIGNAL), {11: MAIN}, 15)
        causes = await rig.ledger.causes("web", pod(dead=True))
        assert (causes[MAIN].text, causes[MAIN].purpose) == ("SIGTERM from podsupd signal", Purpose.SIGNAL)


async def test_a_stop_of_ours_is_ours() -> None:
    """What podsupd asked Podman for is not put down to an operator."""
    rig = Rig()

    def runc(tid: int) -> ProcessFacts | None:
        return ProcessFacts(501, 1, "runc", (), (501,), "root", (501,)) if tid == 501 else FakeTable().look(tid)

    rig.ledger._table.look = runc  # type: ignore[method-assign]
    rig.ledger._begin()
    async with rig.running():
        await rig.until(lambda: rig.ledger.up)
        rig.ledger.announce(MAIN, "SIGTERM")
        rig.tracer.happen(*death(501))
        assert (await rig.ledger.causes("web", pod(dead=True)))[MAIN].text == "SIGTERM from podsupd"


async def test_lost_records_are_counted_and_said() -> None:
    """An overflow is in the metric and in the log."""
    with capture_logs() as logs:
        async with Rig().running() as rig:
            rig.tracer.happen(lost=5)
            await rig.until(lambda: rig.meter.lost == 5)
    assert [entry["lost"] for entry in logs if "overflowed" in entry["event"]] == [5]


async def test_a_foreign_pod_is_not_traced() -> None:
    """The ledger is of our pods only."""
    rig = Rig()
    rig.ledger.observe("web", pod(owner="somebody"))
    async with rig.running():
        await rig.until(lambda: rig.ledger.up)
        assert rig.tracer.watched == set()


@pytest.mark.parametrize(("wanted", "level"), [("auto", "warning"), ("tracefs", "error")])
async def test_without_rights_it_says_so_once_and_goes_on(wanted: str, level: str) -> None:
    """Rootless or in a container: one line, a condition with the reason, and deaths without a cause."""
    rig = Rig(wanted)
    rig.tracer.fault = "cannot mount tracefs: Operation not permitted"
    with capture_logs() as logs:
        async with rig.running():
            await rig.until(lambda: rig.tracer.closed)
            assert await rig.ledger.causes("web", pod(dead=True)) == {}
    assert [(e["log_level"], rig.tracer.fault in e["event"]) for e in logs] == [(level, True)]
    assert not rig.ledger.up
    condition = rig.ledger.condition
    assert (condition.status, condition.reason, condition.message) == ("False", "Unavailable", rig.tracer.fault)


async def test_a_trace_that_cannot_be_had_for_a_moment_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two podsupds that begin at once may get in each other's way; nobody waits a minute for signals because of it."""
    monkeypatch.setattr(ledger_module, "RETRY_FIRST_S", 0.01)
    rig = Rig()
    rig.tracer.fault = "cannot trace signals: trace_pipe_raw: No such file or directory"
    async with rig.running():
        await rig.until(lambda: rig.tracer.opened > 1)
        rig.tracer.fault = ""
        await rig.until(lambda: rig.ledger.up)


async def test_off_is_off() -> None:
    """Who does not want it pays nothing: the kernel is not asked."""
    async with Rig("off").running() as rig:
        await asyncio.sleep(0)
        assert rig.tracer.opened == 0
        assert (rig.ledger.condition.reason, rig.ledger.condition.status) == ("Off", "False")


async def test_the_trace_ends_with_the_ledger() -> None:
    """Nothing goes on in the kernel when the daemon has ended."""
    async with Rig().running() as rig:
        await rig.until(lambda: rig.ledger.up)
    assert (rig.tracer.opened, rig.tracer.closed, rig.ledger.up) == (1, 1, False)


async def test_what_the_trace_has_not_is_said_once() -> None:
    """In a network namespace of its own podsupd has no exit codes of children: a condition and one line say so."""
    rig = Rig()
    rig.tracer.partial = "exit codes stay unknown"
    with capture_logs() as logs:
        async with rig.running():
            await rig.until(lambda: rig.ledger.up)
            said = rig.ledger.condition
    assert (said.status, said.message) == ("True", "exit codes stay unknown")
    assert [e["event"] for e in logs] == ["exit codes stay unknown"]
