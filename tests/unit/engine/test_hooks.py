"""Hooks that run beside the worker which began them."""

import asyncio

import pytest

from podsupd.engine.hooks import Hooks
from podsupd.errors import ProbeUnrunnable
from podsupd.model.life import HookFact, HookKind
from podsupd.model.observed import Incarnation
from podsupd.model.plan import RunHook
from podsupd.model.spec import ExecCommand, HttpGet, ProbeSpec, Vantage
from podsupd.ports import Attempt, ProbeTarget

LIFE = Incarnation("c1", "t1")
TARGET = ProbeTarget("p")


class Steered:
    """A prober whose attempt ends when the test says how."""

    def __init__(self) -> None:
        self.asked: list[ProbeSpec] = []
        self.end: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Wait for the test."""
        assert target == TARGET
        self.asked.append(spec)
        return await self.end


def action(hook: ExecCommand | HttpGet = ExecCommand(("x",)), life: Incarnation = LIFE) -> RunHook:  # noqa: B008  frozen
    """Return a postStart hook of a container."""
    return RunHook(life.container_id, "web", HookKind.POST_START, hook, life, 9.0)


async def begun(hook: ExecCommand | HttpGet = ExecCommand(("x",))) -> tuple[Hooks, Steered, list[str]]:  # noqa: B008
    """Return hooks of which one has begun."""
    prober, poked = Steered(), list[str]()
    hooks = Hooks(prober, poked.append)
    hooks.begin("p", action(hook), TARGET)
    assert hooks.facts("p") == {"web/PostStart": HookFact(LIFE)}
    await asyncio.sleep(0)
    return hooks, prober, poked


@pytest.mark.parametrize(
    ("attempt", "fact"),
    [
        (Attempt(successful=True, message="exit code 0", duration_s=0.1), HookFact(LIFE, ended=True)),
        (
            Attempt(successful=False, message="exit code 1", duration_s=0.1),
            HookFact(LIFE, ended=True, failed="exit code 1"),
        ),
        (ProbeUnrunnable("cannot enter"), HookFact(LIFE, ended=True, warning="cannot enter")),
        (RuntimeError("a bug of ours"), HookFact(LIFE, ended=True, failed="it did not end")),
    ],
)
async def test_the_end_of_a_hook_is_a_fact_and_pokes_the_pod(attempt: Attempt | Exception, fact: HookFact) -> None:
    """The worker that began it never waited, and learns at once how it ended, whatever went wrong."""
    hooks, prober, poked = await begun()
    assert poked == []
    if isinstance(attempt, Attempt):
        prober.end.set_result(attempt)
    else:
        prober.end.set_exception(attempt)
    while not poked:
        await asyncio.sleep(0)
    assert hooks.facts("p") == {"web/PostStart": fact}
    assert poked == ["p"]


@pytest.mark.parametrize(("hook", "vantage"), [(ExecCommand(("x",)), Vantage.CONTAINER), (HttpGet(80), Vantage.POD)])
async def test_a_hook_is_one_attempt_from_inside_with_its_own_time(
    hook: ExecCommand | HttpGet, vantage: Vantage
) -> None:
    """It goes where a probe of the container would go."""
    hooks, prober, _ = await begun(hook)
    (asked,) = prober.asked
    assert (asked.handler, asked.vantage, asked.timeout_s, asked.container) == (hook, vantage, 9.0, "web")
    await hooks.close()


async def test_a_hook_that_runs_is_not_begun_twice_and_a_new_life_has_its_own() -> None:
    """However often a plan asks; a life that ended takes its hook's outcome with it."""
    hooks, prober, _ = await begun()
    hooks.begin("p", action(), TARGET)
    await asyncio.sleep(0)
    assert len(prober.asked) == 1
    second = Incarnation("c1", "t2")
    hooks.begin("p", action(life=second), TARGET)
    prober.end.set_result(Attempt(successful=True, message="", duration_s=0.1))
    await asyncio.sleep(0)
    while not hooks.facts("p")["web/PostStart"].ended:
        await asyncio.sleep(0)
    assert hooks.facts("p")["web/PostStart"].incarnation == second
    hooks.forget("p")
    assert hooks.facts("p") == {}
    await hooks.close()
