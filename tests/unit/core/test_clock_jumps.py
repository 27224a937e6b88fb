"""The wall clock is set by hours, forward or back, or by decades, and nothing that is decided depends on it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from core.world import CLIENT, POD, WEB, World, kinds, running

from podsupd.model.plan import Intent
from podsupd.model.spec import ContainerSpec, JobSpec, PodSpec, RestartPolicy, UpdateSpec

HOURS = 6 * 3600.0
YEARS = 56 * 365 * 86400.0
"""A host without a battery for its clock boots in 1970, and NTP puts that right with the pods running."""
JUMPS = [HOURS, -HOURS, YEARS]
STEP = ContainerSpec("step", "step", "busybox")


def history(world: World, jump: float, befall: Callable[[World], None]) -> list[tuple[float, list[str], str]]:
    """Let something happen, set the clock half a second later, and return what was done when in the next hour."""
    befall(world)
    found = []
    end = world.now + 3600
    while world.now < end:
        before = len(world.done)
        made = world.turn()
        found.append((world.now, [type(a).__name__ for a in world.done[before:]], made.why))
        if len(found) == 2:
            world.wall += jump
        if not made.actions:
            world.now = min(end, max(world.now + 0.5, made.wake_at or end))
    return found


def loop(world: World) -> None:
    """Have a container crash again and again."""
    world.codes = {"web": 1}
    world.crash("web")


def update(world: World) -> None:
    """Change a container of a pod whose updates have to prove themselves."""
    spec = replace(POD, update=UpdateSpec(30.0, 120.0), probes=(), containers=(replace(WEB, probes=()),))
    world.want = spec
    world.settle()
    world.want = replace(spec, containers=(replace(spec.containers[0], command=("new",)),))


def deadline(world: World) -> None:
    """Give the pod so long to run."""
    world.want = replace(POD, active_deadline_s=600.0)


def job(world: World) -> None:
    """Have a job end that is removed after a while."""
    world.want = replace(
        POD, job=JobSpec(1, 300.0), restart_policy=RestartPolicy.ON_FAILURE, containers=(CLIENT,), probes=()
    )
    world.codes = {"client": 0}


def stop(world: World) -> None:
    """Have a container stopped that does not want to."""
    world.obeys = False
    world.intent = Intent(stopped_containers=frozenset({"web"}))


@pytest.mark.parametrize("befall", [loop, update, deadline, job, stop])
@pytest.mark.parametrize("jump", JUMPS)
def test_waits_are_as_long_as_ever(befall: Callable[[World], None], jump: float) -> None:
    """Back-off, minHealthySeconds, activeDeadlineSeconds, ttlSecondsAfterFinished and grace periods take their time."""
    steady = history(running(), 0.0, befall)
    assert history(running(), jump, befall) == steady
    assert any(actions for _, actions, _ in steady)


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize(
    "want",
    [POD, replace(POD, share_process_namespace=False), replace(POD, init_containers=(STEP,))],
    ids=["shared", "apart", "init"],
)
def test_a_container_started_before_its_sandbox_by_the_clock_is_not_restarted_for_it(
    want: PodSpec, jump: float
) -> None:
    """With the clock set back, a crash would else be answered by one restart after the other, for ever."""
    world = World(want=want, codes={"step": 0})
    world.settle()
    world.done.clear()
    world.wall += jump
    world.crash("web")
    world.settle()
    world.now += 3600
    world.settle()
    assert kinds(world) == ["StartContainer"]
    assert not [n for n in world.notes if n.reason == "SandboxChanged"]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_container_that_is_made_anew_after_a_jump_runs_once(jump: float) -> None:
    """An edit after the clock was set is one new container, and init containers are not run again."""
    world = World(want=replace(POD, init_containers=(STEP,)), codes={"step": 0})
    world.settle()
    world.done.clear()
    world.wall += jump
    world.want = replace(POD, init_containers=(STEP,), containers=(replace(WEB, command=("new",)), CLIENT))
    world.settle()
    world.settle()
    assert kinds(world) == ["SignalContainer", "RemoveContainer", "CreateContainer", "StartContainer"]


def test_a_container_in_a_dead_sandbox_is_still_found() -> None:
    """What runs in namespaces that nobody else reaches is restarted, as ever."""
    world = World(want=replace(POD, share_process_namespace=False))
    world.settle()
    assert world.seen is not None
    assert world.seen.infra is not None
    world.done.clear()
    world.die(world.seen.infra.id, 137)
    world.settle()
    assert [n.container for n in world.notes if n.reason == "SandboxChanged"] == ["web", "client"]
