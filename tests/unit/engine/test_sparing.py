"""What goes on for ever is told and written at a bounded rate: flash wears out, and a journal is to be read."""

import asyncio
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from engine.doubles import tools_over
from engine.probing_rig import START_S, P, R, Script, running, spec_of, wanted
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core.sparing import Allowance
from podsupd.engine.worker import Worker
from podsupd.model.life import Transition
from podsupd.model.plan import Intent
from podsupd.model.spec import ProbeType
from tests.unit.core.world import OWNER, POD, World

pytestmark = pytest.mark.looptime(start=START_S)
HOUR_S = 3600


@pytest.mark.parametrize("kind", [R, P])
async def test_a_flapping_probe_makes_few_events(kind: ProbeType) -> None:
    """An hour of a probe that changes its mind every five seconds is some forty lines of the journal, not 720."""
    async with running(Script({"p": "x." * (HOUR_S // 10) + "x"})) as b:
        b.scheduler.sync("web", wanted(spec_of("p", kind, period_s=5.0, failure_threshold=1)))
        await asyncio.sleep(HOUR_S)
        assert 30 < len(b.told) < 40
        assert sum(note.reason == "Unhealthy" for _, note in b.told) > 12
        assert "it flaps: the newest of 60 changes" in b.told[-1][1].message


@pytest.mark.parametrize("last", ["x", "."])
async def test_the_last_change_of_a_flapping_probe_is_told(last: str) -> None:
    """When it has calmed down, the newest event says how it is, though it came too soon to be told."""
    async with running(Script({"p": "x." * 60 + last})) as b:
        b.scheduler.sync("web", wanted(spec_of("p", period_s=1.0, failure_threshold=1)))
        await asyncio.sleep(125)
        assert len(b.told) == 25
        await asyncio.sleep(400)
        assert len(b.told) == 26
        assert b.told[-1][1].reason == {"x": "Unhealthy", ".": "Healthy"}[last]


async def test_changes_that_are_rare_are_all_told() -> None:
    """A probe that fails once in five minutes is never held back."""
    async with running(Script({"p": ("." * 29 + "x") * 20})) as b:
        b.scheduler.sync("web", wanted(spec_of("p", failure_threshold=1)))
        await asyncio.sleep(20 * 300)
        assert len(b.told) == 40
        assert not any("flaps" in note.message for _, note in b.told)


def settled_worker() -> tuple[Worker, Any]:
    """Return a worker whose pod is as desired, and its tools."""
    world = World(want=POD)
    world.settle()
    tools = replace(tools_over(world.seen), owner=OWNER)
    worker = Worker("p", tools, world.memory, Intent())
    worker.wish(POD, "")
    return worker, tools


async def test_what_nothing_waits_for_is_saved_sparingly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conditions that change every ten seconds cost state.db some seventy saves in an hour, and the newest is saved."""
    (worker, tools), numbers = settled_worker(), count(1)

    def changed(self: Worker) -> None:
        ready = Transition("True", float(next(numbers)))
        self._memory = replace(self._memory, conditions={"Ready": ready})

    monkeypatch.setattr(Worker, "_note_conditions", changed)
    stopping = asyncio.Event()
    running_worker = asyncio.create_task(worker.run(stopping))
    for _ in range(HOUR_S // 10):
        worker.poke()
        await asyncio.sleep(10)
    saved = tools.state.save_memory
    assert 60 < saved.await_count < 75
    stopping.set()
    worker.poke()
    await running_worker
    assert saved.await_args.args[1].conditions == worker.view().memory.conditions


async def test_a_change_that_had_to_wait_is_saved_later() -> None:
    """Without anything else that happens the last probe verdict is on disk a minute later."""
    worker, tools = settled_worker()
    tools.probe_memory.changed.return_value = True
    stopping = asyncio.Event()
    running_worker = asyncio.create_task(worker.run(stopping))
    for _ in range(12):
        worker.poke()
        await asyncio.sleep(1)
    assert tools.probe_memory.keep.await_count == 10
    await asyncio.sleep(60)
    assert tools.probe_memory.keep.await_count == 11
    stopping.set()
    worker.poke()
    await running_worker


@given(st.lists(st.floats(0.0, 500.0), max_size=200), st.integers(1, 30), st.floats(1.0, 300.0))
def test_an_allowance_is_never_exceeded(pauses: list[float], burst: int, every_s: float) -> None:
    """However the demands fall, no more is granted than the burst and one for each interval."""
    left, now, granted = Allowance(burst, every_s), 0.0, 0
    for pause in pauses:
        now += pause
        more = left.take(now)
        if more is None:
            assert left.next_at > now
            assert left.take(left.next_at) is not None
        else:
            left, granted = more, granted + 1
    assert granted <= burst + now / every_s + 1e-3
