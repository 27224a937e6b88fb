"""What is expected of a signal is judged by the next daemon when this one ends before it is known."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from podsupd.core.expectations import Outcome
from podsupd.engine.expectation_memory import NOTHING, ExpectationMemory
from podsupd.model.plan import Now
from podsupd.model.signal_policy import SignalPolicy
from tests.unit.engine.rig import Clock, MemoryState
from tests.unit.engine.test_sending import DAEMON
from tests.unit.engine.test_signal_policies import EXITS, FORWARD, QUIT, STAYS, Rig, run

RULES = SignalPolicy((FORWARD,), (EXITS,))


@asynccontextmanager
async def daemon(state: MemoryState, rules: SignalPolicy = RULES) -> AsyncIterator[Rig]:
    """Run the policies as one daemon after the other does, on the same state."""
    async for rig in run(Rig(rules, state=state)):
        yield rig


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> MemoryState:
    """Return a state that outlives daemons."""
    monkeypatch.setattr("podsupd.engine.ledger.os.getpid", lambda: DAEMON)
    return MemoryState([])


async def signalled(state: MemoryState) -> None:
    """Let a daemon see the signal, save that, and end."""
    async with daemon(state) as rig:
        rig.get(QUIT)
        await rig.ledger.until(lambda: "waiting" in state.expectations.get("web", ""))


@pytest.mark.parametrize(("code", "outcome"), [(0, Outcome.MET), (3, Outcome.BREACHED)])
async def test_what_was_waited_for_is_judged_by_the_next_daemon(
    state: MemoryState, code: int, outcome: Outcome
) -> None:
    """An upgrade of podsupd in the middle of a slow shutdown loses neither a breach nor its event."""
    await signalled(state)
    async with daemon(state) as rig:
        assert rig.policies.waits("web", EXITS)
        rig.die(code)
        await rig.told("SignalExpectationMet" if code == 0 else "SignalExpectationBreached")
        verdict = rig.policies.verdict("web", EXITS)
        assert verdict is not None
        assert verdict.outcome is outcome


async def test_an_end_while_nobody_looked_counts(state: MemoryState) -> None:
    """How and when the process ended is Podman's word, whoever was there."""
    await signalled(state)
    rig = Rig(RULES, state=state)
    rig.die(0)
    async for _ in run(rig):
        assert "it exited with code 0" in (await rig.told("SignalExpectationMet")).message


async def test_nothing_is_judged_before_the_pod_was_looked_at(state: MemoryState) -> None:
    """A daemon that starts does not call a process alive that it has not seen."""
    await signalled(state)
    rig = Rig(RULES, state=state)
    rig.workers["web"].planned = False
    async for _ in run(rig):
        assert not rig.policies.waits("web", EXITS)
        rig.workers["web"].planned = True
        rig.changed.notify()
        await rig.ledger.until(lambda: rig.policies.waits("web", EXITS))


async def test_the_last_verdict_is_shown_by_the_next_daemon(state: MemoryState) -> None:
    """A breach does not turn into "never happened" by a restart of podsupd."""
    async with daemon(state) as rig:
        rig.get(QUIT)
        await rig.ledger.until(lambda: rig.policies.waits("web", EXITS))
        rig.die(3)
        await rig.ledger.until(lambda: "breached" in state.expectations.get("web", ""))
    async with daemon(state) as rig:
        (_, shown) = rig.policies.conditions("web")
        assert (shown.status, shown.reason) == ("False", "Breached")
        assert "SignalExpectationBreached" not in rig.journal.reasons("web")


async def test_a_rule_that_was_edited_is_not_judged_by_the_old_signal(state: MemoryState) -> None:
    """What is expected now was not expected then."""
    await signalled(state)
    async with daemon(state, SignalPolicy((FORWARD,), (STAYS,))) as rig:
        assert not rig.policies.waits("web", EXITS)
        await rig.ledger.until(lambda: json.loads(state.expectations["web"])["waiting"] == [])


async def test_a_full_disk_takes_nothing_away(state: MemoryState) -> None:
    """What cannot be saved is judged all the same, by this daemon."""
    state.full = True
    async with daemon(state) as rig:
        rig.get(QUIT)
        await rig.ledger.until(lambda: rig.policies.waits("web", EXITS))
        rig.die(0)
        await rig.told("SignalExpectationMet")
    assert state.expectations == {}


async def test_a_reboot_ends_what_was_waited_for(state: MemoryState) -> None:
    """No clock of one boot tells the time of another, and no process outlives it."""
    await signalled(state)

    class Rebooted(Clock):
        def now(self) -> Now:
            return Now(super().now().boottime, "another boot")

    assert ExpectationMemory(state, Clock(), state.expectations).take("web").waiting != ()  # type: ignore[arg-type]
    assert ExpectationMemory(state, Rebooted(), state.expectations).take("web").waiting == ()  # type: ignore[arg-type]


def test_what_cannot_be_read_is_begun_anew(state: MemoryState, caplog: pytest.LogCaptureFixture) -> None:
    """A row that a newer podsupd wrote keeps no daemon from starting."""
    with caplog.at_level(logging.WARNING):
        memory = ExpectationMemory(state, Clock(), {"web": "{"})  # type: ignore[arg-type]
    assert memory.take("web") == NOTHING
