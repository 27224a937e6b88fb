"""Rules on signals between the ledger that sees them and the pods that they are of; and drills of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from podsupd.core.expectations import Outcome
from podsupd.engine.drill import Drills
from podsupd.engine.drill import Tools as DrillTools
from podsupd.engine.expectation_memory import ExpectationMemory
from podsupd.engine.signal_policies import SignalPolicies, Tools
from podsupd.errors import SignalRefused
from podsupd.model.observed import Incarnation
from podsupd.model.plan import ContainerMemory, Death, Intent, PodMemory
from podsupd.model.sending import Addressee, Purpose, SignalRequest
from podsupd.model.signal_policy import Expectation, ForwardRule, ForwardTarget, SignalPolicy
from podsupd.model.signals import Delivered, Generated
from tests.unit.engine.rig import Clock, MemoryState
from tests.unit.engine.rig import pod as spec
from tests.unit.engine.test_ledger import MAIN
from tests.unit.engine.test_sending import DAEMON
from tests.unit.engine.test_sending import Rig as SendingRig

HUP, USR1, QUIT = 1, 10, 3
FORWARD = ForwardRule("main", "SIGHUP", (ForwardTarget("side", "SIGUSR1"),))
EXITS = Expectation("main", "SIGQUIT", exit_code=0)
STAYS = Expectation("main", "SIGUSR1", exits=False, within_s=0.1)
LIFE = Incarnation(MAIN, "t")


class Meter:
    """Counts expectations."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}

    def expectation(self, pod: str, rule: Expectation, outcome: str, count: int = 1) -> None:
        """Count one."""
        assert pod == "web"
        self.counts[rule.signal, outcome] = self.counts.get((rule.signal, outcome), 0) + count


class Rig(SendingRig):
    """Policies and drills over a ledger with a fake trace."""

    def __init__(self, signals: SignalPolicy, wanted: str = "auto", state: MemoryState | None = None) -> None:
        super().__init__(wanted)
        self.state = state or MemoryState([])
        self.want = replace(spec("web", "main", "side"), signals=signals)
        self.intent = Intent()
        self.workers: dict[str, Any] = {"web": SimpleNamespace(view=self.view, want=self.want, planned=True)}
        self.meter, clock = Meter(), Clock()
        ledger = self.ledger.ledger
        self.policies = SignalPolicies(
            Tools(
                ledger, self.kernel, self.workers, self.events, self.meter, clock, self.changed, self.memory_of(clock)
            )  # type: ignore[arg-type]
        )
        view = lambda name: self.view() if name in self.workers else None  # noqa: E731
        self.drills = Drills(DrillTools(self.events, self.policies, self.sending, view, self.changed, clock))
        self.kernel.then = lambda _number: None

    def memory_of(self, clock: Clock) -> ExpectationMemory:
        """Return what the state holds of expectations, as a daemon that starts reads it."""
        return ExpectationMemory(self.state, clock, dict(self.state.expectations))  # type: ignore[arg-type]

    def view(self) -> Any:
        """Return the pod as it is known."""
        return replace(super().view(), want=getattr(self, "want", None), intent=getattr(self, "intent", Intent()))

    def get(self, number: int, sender: int = 500, at: int | None = None, result: int = 0) -> None:
        """Let main get a signal."""
        at = time.monotonic_ns() if at is None else at
        got = Generated(at, sender, number, 0, 11, "sh", result)
        taken = () if result else (Delivered(at + 1000, 11, number, 0, 0x4000),)
        self.ledger.tracer.happen(got, *taken)

    def die(self, code: int, signal: str | None = None) -> None:
        """Let main's worker see its death."""
        death = Death(LIFE, code, signal, "", "", finished_epoch=time.time(), cause_signal="SIGQUIT")
        self.memory = PodMemory({"main": ContainerMemory(last_death=death)})
        self.changed.notify()

    async def told(self, reason: str) -> Any:
        """Wait for an event."""
        await self.ledger.until(lambda: reason in self.journal.reasons("web"))
        return next(e for e in self.journal.notes if e.reason == reason)


async def run(rig: Rig, *, traced: bool = True) -> AsyncIterator[Rig]:
    """Run the ledger and the policies."""
    task = asyncio.create_task(rig.policies.run())
    async with rig.ledger.running():
        if traced:
            await rig.ledger.until(lambda: rig.ledger.ledger.up)
        rig.changed.notify()
        await rig.ledger.until(lambda: rig.policies.conditions("web"))
        yield rig
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def ruled(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """Return a traced pod with one rule of each kind."""
    monkeypatch.setattr("podsupd.engine.ledger.os.getpid", lambda: DAEMON)
    async for rig in run(Rig(SignalPolicy((FORWARD,), (STAYS, EXITS)))):
        yield rig


async def test_a_signal_is_sent_on_through_a_pidfd(ruled: Rig) -> None:
    """Main's HUP is side's USR1, addressed by process and container, told as an event."""
    ruled.get(HUP)
    event = await ruled.told("SignalForwarded")
    assert (event.container, event.message) == ("side", "SIGHUP to container main is sent on: SIGUSR1 to side")
    assert ruled.kernel.sent == [(Addressee(12, container_id="b" * 64), USR1)]


async def test_a_forward_that_fails_is_told(ruled: Rig) -> None:
    """Whoever waits for the signal in vain finds out why."""
    ruled.kernel.refused = {12: "it has ended"}
    ruled.get(HUP)
    assert (await ruled.told("SignalForwardFailed")).message.endswith("it has ended")


async def test_a_flood_is_held_back_and_told_once(ruled: Rig) -> None:
    """A process that is signalled without end does not make podsupd signal without end."""
    for _ in range(50):
        ruled.get(HUP)
    await ruled.told("SignalForwardLimited")
    await ruled.ledger.until(lambda: ruled.meter.counts and not ruled.ledger.tracer._events)
    assert len(ruled.kernel.sent) == 20
    assert ruled.journal.reasons("web").count("SignalForwardLimited") == 1


@pytest.mark.parametrize(
    ("code", "reason", "status"), [(0, "SignalExpectationMet", "True"), (3, "SignalExpectationBreached", "False")]
)
async def test_what_follows_is_an_event_a_metric_and_a_condition(
    ruled: Rig, code: int, reason: str, status: str
) -> None:
    """QUIT was sent by somebody, and how the process ended is compared with what is declared."""
    outcome = {"True": "met", "False": "breached"}[status]
    assert ruled.meter.counts["SIGQUIT", outcome] == 0
    ruled.get(QUIT)
    await ruled.ledger.until(lambda: ruled.policies.waits("web", EXITS))
    ruled.die(code)
    assert f"it exited with code {code}" in (await ruled.told(reason)).message
    assert ruled.meter.counts["SIGQUIT", outcome] == 1
    conditions = {c.type: c.status for c in ruled.policies.conditions("web")}
    assert conditions == {"SignalsForwarded": "True", "SignalExpectationsMet": status}


async def test_a_life_that_is_over_when_its_signal_is_read_is_judged(ruled: Rig) -> None:
    """On a busy machine a container lives anew before its signal is read: what followed is known as well."""
    at = time.monotonic_ns()
    ruled.die(0)
    again = [replace(c, pid=99, started_at="t2") for c in ruled.seen.containers]
    ruled.seen = replace(ruled.seen, containers=tuple(again))
    ruled.changed.notify()
    await asyncio.sleep(0)
    ruled.get(QUIT, at=at)
    assert "it exited with code 0" in (await ruled.told("SignalExpectationMet")).message


async def test_a_process_that_ignores_the_signal_is_waited_for_too(ruled: Rig) -> None:
    """A signal that a process ignores does not make it exit, which is what was expected of it."""
    ruled.get(QUIT, result=1)
    await ruled.ledger.until(lambda: ruled.policies.waits("web", EXITS))


async def test_an_edit_takes_the_rules_away(ruled: Rig) -> None:
    """A rule that is removed from the manifest is neither carried out nor shown any more."""
    ruled.workers["web"].want = spec("web", "main", "side")
    ruled.changed.notify()
    await ruled.ledger.until(lambda: not ruled.policies.conditions("web"))
    assert ruled.ledger.ledger._signals.wanted == frozenset()


async def test_without_the_trace_the_pod_says_so() -> None:
    """Nobody believes that signals are sent on where they are not seen."""
    async for rig in run(Rig(SignalPolicy((FORWARD,), (EXITS,)), "off"), traced=False):
        conditions = {c.type: (c.status, c.reason) for c in rig.policies.conditions("web")}
        assert conditions == {
            "SignalsForwarded": ("False", "NotTraced"),
            "SignalExpectationsMet": ("Unknown", "NotTraced"),
        }
        assert "signals.tracer is off" in rig.policies.conditions("web")[0].message


async def test_a_drill_sends_waits_and_tells(ruled: Rig) -> None:
    """Each expectation is tried in turn by a signal of the drill's own."""

    def follow(number: int) -> None:
        ruled.get(number, sender=DAEMON)
        if number == QUIT:
            ruled.die(7)

    ruled.kernel.then = follow
    report = await ruled.drills.run("web")
    assert [(r.signal, r.outcome) for r in report.results] == [("SIGUSR1", "met"), ("SIGQUIT", "breached")]
    assert report.results[1].message.startswith("it exited with code 7 after")
    assert (report.met, report.ready, report.verdict) == (False, True, "1 of 2 expectations met")
    assert [number for _, number in ruled.kernel.sent] == [USR1, QUIT]
    assert ruled.meter.counts["SIGQUIT", "breached"] == 1
    assert (await ruled.told("Drilled")).type == "Warning"
    await ruled.ledger.until(lambda: len(ruled.ledger.history.rows) == 2)
    assert {r.purpose for r in ruled.ledger.history.rows.values()} == {Purpose.DRILL}


async def test_what_could_not_be_sent_is_skipped(ruled: Rig) -> None:
    """A process that cannot be signalled is neither met nor breached."""
    ruled.kernel.refused = {11: "Operation not permitted"}
    report = await ruled.drills.run("web")
    assert {(r.outcome, r.message) for r in report.results} == {
        ("skipped", "nothing was sent: Operation not permitted")
    }
    assert not ruled.policies.waits("web", EXITS)


async def test_a_drill_is_refused_where_it_makes_no_sense(ruled: Rig) -> None:
    """No pod, nothing declared, a stopped pod, and a second drill at the same time are answers."""
    with pytest.raises(LookupError, match="no pod is named other"):
        await ruled.drills.run("other")
    first = asyncio.create_task(ruled.drills.run("web"))
    await ruled.ledger.until(lambda: ruled.policies.waits("web", STAYS))
    with pytest.raises(SignalRefused, match="a drill of it is under way"):
        await ruled.drills.run("web")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    ruled.intent = Intent(stopped=True)
    with pytest.raises(SignalRefused, match="it is stopped"):
        await ruled.drills.run("web")
    ruled.intent, ruled.want = Intent(), spec("web", "main", "side")
    with pytest.raises(SignalRefused, match="it expects nothing"):
        await ruled.drills.run("web")


async def test_an_operators_signal_is_checked_like_any_other(ruled: Rig) -> None:
    """`podsupd signal` is no drill, and what is declared is checked all the same."""
    ruled.kernel.then = lambda number: ruled.get(number, sender=DAEMON)
    await ruled.sending.send(SignalRequest("web", USR1, "main", wait_s=0))
    assert (await ruled.told("SignalExpectationMet")).message.endswith("it runs on")
    verdict = ruled.policies.verdict("web", STAYS)
    assert verdict is not None
    assert verdict.outcome is Outcome.MET
