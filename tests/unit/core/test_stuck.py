"""Containers that Podman holds in a state which they do not leave: which step is taken when, and what is told."""

from dataclasses import replace
from itertools import pairwise

import pytest
from core.world import POD, World, kinds, running

from podsupd.core import stuck
from podsupd.core.accounting import INFRA
from podsupd.model.observed import ContainerState, MonitorState
from podsupd.model.plan import RemoveContainer, SignalContainer, StartContainer, WakeMonitor

EXITING, STOPPING = ContainerState.RUNNING, ContainerState.STOPPING
REMOVING, UNKNOWN = ContainerState.REMOVING, ContainerState.UNKNOWN


def steps(world: World, seconds: float, every: float = 0.5) -> list[tuple[float, str]]:
    """Look again and again while nothing helps; return what was done against it, and after how many seconds."""
    began, found = world.now, []
    while world.now <= began + seconds:
        made = world.plan()
        world.memory = made.memory
        world.notes += made.notes
        for action in made.actions:
            match action:
                case WakeMonitor():
                    found.append((world.now - began, "wake"))
                case SignalContainer(signal=signal):
                    found.append((world.now - began, signal))
                case RemoveContainer(force=force):
                    found.append((world.now - began, "force" if force else "remove"))
                case _:
                    raise AssertionError(action)
        world.now += every
    return found


LADDERS = [
    (EXITING, MonitorState.GONE, [(5.0, "force")]),
    (EXITING, MonitorState.STOPPED, [(3.0, "wake"), (60.0, "force")]),
    (EXITING, MonitorState.RUNS, [(10.0, "SIGKILL"), (60.0, "force")]),
    (EXITING, None, [(10.0, "SIGKILL"), (60.0, "force")]),
    (REMOVING, None, [(10.0, "remove"), (20.0, "force")]),
    (UNKNOWN, None, [(10.0, "force")]),
]


def stick(world: World, state: ContainerState, monitor: MonitorState | None = None) -> str:
    """Have web stuck in this state; return its id."""
    web = world.named("web").id
    world.stick(web, state)
    if monitor:
        world.facts = replace(world.facts, monitors={web: monitor})
    return web


@pytest.mark.parametrize(
    ("state", "monitor", "expected"), [*LADDERS, (STOPPING, None, [(40.0, "SIGKILL"), (70.0, "force")])]
)
def test_each_state_has_a_ladder(
    state: ContainerState, monitor: MonitorState | None, expected: list[tuple[float, str]]
) -> None:
    """From what harms nobody to removal by force, each step once and in its time; each is an event."""
    world = running()
    stick(world, state, monitor)
    assert steps(world, expected[-1][0] + 15.0) == expected
    told = [n for n in world.notes if n.reason == "Stuck"]
    assert len(told) == len(expected) + 1
    assert all(n.container == "web" for n in told)


@pytest.mark.parametrize(("state", "monitor", "expected"), LADDERS)
def test_a_pod_that_has_to_go_takes_the_same_steps(
    state: ContainerState, monitor: MonitorState | None, expected: list[tuple[float, str]]
) -> None:
    """A deleted manifest is no other way out."""
    world = running()
    stick(world, state, monitor)
    world.die(world.named("client").id, 0)
    world.want = None
    assert steps(world, expected[-1][0] + 15.0) == expected


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("state", [EXITING, STOPPING, REMOVING, UNKNOWN])
@pytest.mark.parametrize("which", ["web", INFRA])
def test_where_a_step_helps_the_pod_is_whole_again_or_gone(which: str, state: ContainerState, *, wanted: bool) -> None:
    """A container of ours is made anew where it has to be, an infra container with its pod; its neighbour stays."""
    world = running()
    assert world.seen is not None
    assert world.seen.infra is not None
    old, client = world.seen.id, world.named("client").incarnation
    world.stick(world.seen.infra.id if which == INFRA else world.named("web").id, state)
    world.want = POD if wanted else None
    made = world.settle(400)
    while any(m.stuck for m in world.memory.containers.values()) and not made.gone:
        assert made.wake_at is not None
        world.now = made.wake_at
        made = world.settle(400)
    assert made.gone or wanted
    if wanted and which:
        assert world.named("client").incarnation == client
    if wanted and which == INFRA and state is not STOPPING:
        assert world.seen.id != old
    assert all(m.stuck is None for m in world.memory.containers.values())


def test_when_nothing_helps_it_is_told_once_with_the_way_out() -> None:
    """Event and condition name the container, what was tried, and the command; it is tried on, ever more slowly."""
    world = running()
    stick(world, EXITING, MonitorState.GONE)
    done = steps(world, 2000.0, every=1.0)
    assert 4 <= len(done) <= 8
    gaps = [b - a for (a, _), (b, _) in pairwise(done)]
    assert gaps == sorted(gaps)
    ends = [n.message for n in world.notes if "nothing helped" in n.message]
    assert len(ends) == 1
    assert "container web: its process is gone and Podman calls it running (its conmon is gone" in ends[0]
    assert "`podman rm -f -t 0 web`" in ends[0]
    condition = next(c for c in world.status().conditions if c.type == "Stuck")
    assert (condition.status, condition.reason) == ("True", stuck.EXITING)
    assert "tried to remove it by force" in condition.message
    assert "`podman rm -f -t 0 web`" in condition.message


def test_what_leaves_by_itself_is_left_alone() -> None:
    """A removal that ends within its time was somebody's own; nothing is remembered of it."""
    world = running()
    web = stick(world, REMOVING)
    assert steps(world, 9.0) == []
    assert not [c for c in world.status().conditions if c.type == "Stuck"]
    world.die(web, 0)
    world.settle()
    assert kinds(world) == ["StartContainer"]
    assert world.memory.containers["web"].stuck is None


def test_a_process_that_outlives_sigkill_is_removed_by_force_and_then_reported() -> None:
    """A stop never hangs for ever without a word: the process and what it may wait for are named."""
    world = running()
    world.obeys = False
    world.facts = replace(world.facts, gone={})
    world.want = None
    world.die(world.named("client").id, 0)
    found = steps(world, POD.grace_s + 60.0)
    first_kill = next(at for at, what in found if what == "SIGKILL")
    force = next(at for at, what in found if what == "force")
    assert force - first_kill == pytest.approx(30.0, abs=1.0)
    assert any("waits in the kernel" in n.message for n in world.notes)


def test_without_durable_state_nothing_is_forced() -> None:
    """What would not be remembered is not done."""
    world = running()
    stick(world, REMOVING)
    world.facts = replace(world.facts, durable=False)
    assert steps(world, 60.0) == []


def test_what_cannot_be_started_is_made_anew_once() -> None:
    """A container that was left half made (its maker died) is replaced after five refusals, and no second time."""
    world = World()
    world.turn(limit=2)
    starts, remade = 0, 0
    for _ in range(60):
        made = world.plan()
        world.memory = made.memory
        for action in made.actions:
            if isinstance(action, StartContainer) and action.container == "web":
                starts += 1
                world.refuse(action, "runc start failed")
                break
            remade += isinstance(action, RemoveContainer)
            world.apply(action)
        world.now = max(world.now, made.wake_at or 0.0) if not made.actions else world.now
    assert remade == 1
    assert starts > 8
    world.settle()
    assert world.memory.containers["web"].remade is False


def test_a_removal_that_is_refused_again_and_again_is_forced() -> None:
    """Storage that is busy, a state that Podman cannot read: after half a minute the container goes by force."""
    world = running()
    world.want = replace(POD, containers=(replace(POD.containers[0], command=("new",)), POD.containers[1]))
    removals: list[bool] = []
    for _ in range(60):
        made = world.plan()
        world.memory = made.memory
        for action in made.actions:
            if isinstance(action, RemoveContainer):
                removals.append(action.force)
                if not action.force:
                    world.refuse(action, "device or resource busy")
                    break
            world.apply(action)
        world.now = max(world.now, made.wake_at or 0.0) if not made.actions else world.now
    assert removals == [False] * 5 + [True]
    assert world.named("web").state is ContainerState.RUNNING
