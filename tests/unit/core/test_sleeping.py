"""The system sleeps for hours in the middle of things, and nothing loses the time that it was given."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from core.world import CLIENT, POD, WEB, World, kinds, running

from podsupd.model.observed import ContainerState
from podsupd.model.plan import Intent, Now
from podsupd.model.spec import ExecCommand, HttpGet, ProbeSpec, ProbeType, UpdateSpec, Vantage

HOURS = 6 * 3600.0


def sleep(world: World) -> None:
    """Let the system sleep now."""
    world.now += HOURS
    world.slept += HOURS


def history(befall: Callable[[World], None], after: int | None) -> list[tuple[float, list[str]]]:
    """Let something happen and the system sleep after so many turns; return what was done after how long awake."""
    world = running()
    befall(world)
    began, found = world.now, []
    for turn in range(200):
        before = len(world.done)
        made = world.turn()
        if done := [type(a).__name__ for a in world.done[before:]]:
            found.append((round(world.now - world.slept - began, 3), done))
        if turn == after:
            sleep(world)
        elif not made.actions:
            world.now = max(world.now, made.wake_at or world.now + 3600)
        if world.now - world.slept - began > 3600:
            break
    return found


def stop(world: World) -> None:
    """Have a container stopped that does not want to."""
    world.obeys = False
    world.intent = Intent(stopped_containers=frozenset({"web"}))


def pre_stop(world: World) -> None:
    """Have a container stopped whose preStop hook never ends."""
    world.want = replace(POD, containers=(replace(WEB, pre_stop=ExecCommand(("true",))), CLIENT))
    world.settle()
    world.done.clear()
    world.hooks = "hang"
    stop(world)


def stuck(world: World) -> None:
    """Have a container stay in a state that somebody's podman stop left it in."""
    world.stick(world.named("web").id, ContainerState.STOPPING)


def update(world: World) -> None:
    """Change a container of a pod whose updates have to prove themselves, so that it never becomes Ready."""
    spec = replace(POD, update=UpdateSpec(30.0, 120.0), probes=(), containers=(replace(WEB, probes=()),))
    world.want = spec
    world.settle()
    world.now += 60
    world.settle()
    world.done.clear()
    ready = ProbeSpec("web/readiness", ProbeType.READINESS, Vantage.POD, HttpGet(80), "web")
    world.want = replace(spec, containers=(replace(spec.containers[0], command=("new",), probes=(ready,)),))


@pytest.mark.parametrize("befall", [stop, pre_stop, stuck, update])
@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_sleep_takes_nobody_s_time(befall: Callable[[World], None], after: int) -> None:
    """Grace periods, hooks, steps against stuck containers and updates have as long as without the sleep."""
    steady = history(befall, None)
    assert steady
    assert history(befall, after) == steady


def test_a_sleep_is_no_time_of_health() -> None:
    """A container that crashes soon after the wake backs off further, as if it had crashed a moment later."""
    world = running()
    for _ in range(3):
        world.crash("web")
        world.settle()
    assert world.memory.containers["web"].failures == 3
    sleep(world)
    world.settle()
    world.crash("web")
    world.turn()
    assert world.memory.containers["web"].failures == 4


def test_a_back_off_ends_in_a_sleep() -> None:
    """What waits for time to pass has waited: after the wake it is started at once."""
    world = running()
    world.crash("web")
    world.settle()
    world.crash("web")
    assert world.turn().waiting["web"][0] == "CrashLoopBackOff"
    world.done.clear()
    sleep(world)
    world.turn()
    assert kinds(world) == ["StartContainer"]


def test_seconds_awake_are_those_of_the_clock_without_the_sleep() -> None:
    """A limit that is measured by them stands still while the system sleeps."""
    assert Now(100.0, "boot", 40.0).awake == 60.0
