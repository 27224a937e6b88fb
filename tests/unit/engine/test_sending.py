"""A signal on its way from an operator to the processes, and the report on its way back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from podsupd.core.conditions import PodView
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.events import EventLog
from podsupd.engine.sending import Sending, Tools
from podsupd.errors import PodsupdError, SignalRefused
from podsupd.model.observed import Incarnation
from podsupd.model.plan import ContainerMemory, Death, Intent, PodMemory
from podsupd.model.processes import PodProcesses
from podsupd.model.sending import Addressee, Dispatch, Fate, Purpose, SignalRequest
from podsupd.model.signals import Delivered, Exited, Generated, ProcessFacts
from tests.unit.core.test_sending import process
from tests.unit.engine.rig import Clock, Deaths, Journal
from tests.unit.engine.test_ledger import MAIN, OWNER, FakeTable
from tests.unit.engine.test_ledger import Rig as LedgerRig
from tests.unit.engine.test_ledger import pod as observed

DAEMON = 999
HANDLER = 0x4000
TERM, USR1 = 15, 10
TREE = PodProcesses("web", shared=True, processes=tuple(replace(process(n), host_pid=5 + n, container=c, caught=("SIGTERM",)) for n, c in ((6, "main"), (7, "side"))))  # fmt: skip # noqa: E501


@dataclass
class Kernel:
    """Sends by telling the trace. refused: by host pid, why not. then: what happens once it was sent."""

    rig: LedgerRig
    refused: dict[int, str] = field(default_factory=dict)
    then: Callable[[int], None] = lambda _number: None
    sent: list[tuple[Addressee, int]] = field(default_factory=list)

    def send(self, to: Sequence[Addressee], number: int) -> dict[int, Dispatch]:
        """Send, as the port says; called in a thread."""
        self.sent += [(each, number) for each in to]
        self.rig.loop.call_soon_threadsafe(self.then, number)
        return {e.host_pid: Dispatch(time.monotonic_ns(), self.refused.get(e.host_pid, "")) for e in to}


class Map:
    """A process map that shows one tree for ever."""

    async def tree(self, view: PodView) -> PodProcesses:
        """Show it."""
        del view
        return TREE


class Rig:
    """Sending over a ledger with a fake trace."""

    def __init__(self, wanted: str = "auto") -> None:
        self.ledger = LedgerRig(wanted)
        self.ledger.loop = asyncio.get_running_loop()  # type: ignore[attr-defined]
        plain = FakeTable().look
        us = ProcessFacts(DAEMON, 1, "podsupd", (), (DAEMON,), "root", (DAEMON,))
        self.ledger.ledger._table.look = lambda tid: us if tid == DAEMON else plain(tid)  # type: ignore[method-assign]
        self.kernel, self.exits, self.changed = Kernel(self.ledger), Deaths(), Broadcast()
        self.journal, self.seen = Journal(), observed()
        self.events = EventLog(self.journal, Clock())
        self.memory = PodMemory()
        tools = Tools(self.events, Map(), self.ledger.ledger, self.kernel, self.exits, self.changed)  # type: ignore[arg-type]
        self.sending = Sending(tools, lambda name: self.view() if name == "web" else None)

    def view(self) -> PodView:
        """Return the pod as it is known."""
        return PodView("web", None, Intent(), self.seen, None, self.memory, owner=OWNER)

    def happen(self, number: int, *, handler: int = HANDLER, ends: bool = False) -> None:
        """Tell of a signal of ours to main, and maybe of its end."""
        at = time.monotonic_ns()
        events = [Generated(at, DAEMON, number, 0, 11, "sh", 0), Delivered(at + 1000, 11, number, 0, handler)]
        if ends:
            events.append(Exited(at + 2000, 11, "sh"))
            self.exits.tell(11)
        self.ledger.tracer.happen(*events)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Return a rig whose trace is read."""
    monkeypatch.setattr("podsupd.engine.ledger.os.getpid", lambda: DAEMON)
    made = Rig()
    async with made.ledger.running():
        await made.ledger.until(lambda: made.ledger.ledger.up)
        yield made


def died(code: int) -> PodMemory:
    """Return the memory of a worker that has seen main's death."""
    death = Death(Incarnation(MAIN, "t"), code, None, "Error", "")
    return PodMemory({"main": ContainerMemory(last_death=death)})


async def test_a_handled_signal_is_reported(rig: Rig) -> None:
    """The report has the kernel's word, and comes by itself when nothing more can follow."""
    rig.kernel.then = rig.happen
    report = await rig.sending.send(SignalRequest("web", USR1, "main", wait_s=60))
    (reached,) = report.reached
    assert (reached.fate, reached.taken_s, report.got, report.traced) == (Fate.HANDLED, 1e-6, True, True)
    assert report.waited_s < 30
    assert rig.kernel.sent == [(Addressee(11, 7, 6, MAIN), USR1)]
    assert [r.purpose for r in rig.ledger.history.rows.values()] == ["signal"]
    assert [(n.reason, n.message) for n in rig.journal.notes] == [
        ("Signalled", "podsupd signal: main/sh[6] handled SIGUSR1 after 1 us")
    ]


async def test_an_exit_waits_for_podmans_word_on_it(rig: Rig) -> None:
    """A first process that exits is told with its code, as soon as the worker has seen it."""

    def ends(number: int) -> None:
        rig.happen(number, ends=True)
        rig.memory = died(3)
        rig.changed.notify()

    rig.kernel.then = ends
    report = await rig.sending.send(SignalRequest("web", TERM, "main", wait_s=60))
    ending = report.reached[0].ending
    assert ending is not None
    assert (ending.code, ending.signal, report.waited_s < 30) == (3, None, True)


async def test_the_wait_has_an_end(rig: Rig) -> None:
    """A process that was told to end and does not is reported after the time that was given."""
    rig.kernel.then = rig.happen
    report = await rig.sending.send(SignalRequest("web", TERM, "main", wait_s=0.4))
    assert (report.reached[0].ending, report.waited_s >= 0.4) == (None, True)
    assert report.verdict.endswith("and still runs")


async def test_one_that_may_not_be_signalled_says_why(rig: Rig) -> None:
    """A refusal is in the report, and hides nobody else's fate."""
    rig.kernel.refused = {12: "Operation not permitted"}
    rig.kernel.then = rig.happen
    report = await rig.sending.send(SignalRequest("web", USR1, wait_s=60))
    assert [(r.container, r.fate, r.message) for r in report.reached] == [
        ("main", Fate.HANDLED, ""),
        ("side", Fate.REFUSED, "Operation not permitted"),
    ]


async def test_without_a_trace_masks_and_pidfds_do() -> None:
    """Where nobody traces, a handler is known by its mask, an end by its pidfd, and the death is put down to us."""
    rig = Rig("off")

    def ends(number: int) -> None:
        del number
        rig.exits.tell(11)
        rig.memory = died(3)
        rig.changed.notify()

    rig.kernel.then = ends
    request = SignalRequest("web", TERM, "main", wait_s=60, purpose=Purpose.DRILL)
    report = await rig.sending.send(request)
    assert (report.reached[0].fate, report.traced, report.waited_s < 30) == (Fate.HANDLED, False, True)
    causes = await rig.ledger.ledger.causes("web", observed(dead=True))
    assert (causes[MAIN].text, causes[MAIN].purpose) == ("SIGTERM from podsupd drill", "drill")


async def test_a_container_that_was_just_started_is_waited_for(rig: Rig) -> None:
    """Who signals right after a start is not told that nothing runs: the worker's look at it is on its way."""
    rig.kernel.then = rig.happen
    now, rig.seen = rig.seen, observed(dead=True)
    asking = asyncio.create_task(rig.sending.send(SignalRequest("web", USR1, "main", wait_s=60)))
    await rig.ledger.until(lambda: rig.changed._waiters)
    rig.seen = now
    rig.changed.notify()
    assert (await asking).got


async def test_nobody_is_signalled_by_mistake(rig: Rig) -> None:
    """A pod that is gone, or a first process that is not the one that was seen, gets nothing."""
    with pytest.raises(LookupError, match="no pod is named other"):
        await rig.sending.send(SignalRequest("other", TERM))
    with pytest.raises(SignalRefused):
        await rig.sending.send(SignalRequest("web", TERM, "third"))
    assert rig.kernel.sent == []


async def test_without_pidfds_the_trace_alone_tells(rig: Rig) -> None:
    """Too many open files: the report still comes."""
    rig.exits.usable = False
    with pytest.raises(PodsupdError):
        rig.exits.watch(1, lambda: None)
    rig.kernel.then = rig.happen
    report = await rig.sending.send(SignalRequest("web", USR1, "main", wait_s=60))
    assert report.reached[0].fate is Fate.HANDLED
