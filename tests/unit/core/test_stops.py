"""A stop that is overtaken by another wish."""

from dataclasses import replace

from core.world import POD, World

from podsupd.model.observed import CONTAINER_LABEL
from podsupd.model.plan import Intent, SignalContainer
from podsupd.model.spec import StopSpec, StopStep


def stopping() -> World:
    """Return a world whose container ``web`` ignores the SIGTERM of a stop that an operator asked for."""
    world = World(obeys=False)
    world.settle()
    world.done.clear()
    world.intent = Intent(stopped_containers=frozenset({"web"}))
    world.turn()
    assert signals(world) == ["SIGTERM"]
    return world


def signals(world: World) -> list[str]:
    """Return the signals sent so far."""
    return [a.signal for a in world.done if isinstance(a, SignalContainer)]


def test_a_start_during_a_stop_finishes_the_stop_and_starts_again() -> None:
    """A process that was told to end is not kept half shut down, and the next stop has its whole grace again."""
    world = stopping()
    before = world.named("web").incarnation
    world.intent = Intent()
    made = world.turn()
    assert made.waiting["web"][0] == "Stopping"
    assert made.wake_at == 1000.0 + POD.grace_s
    world.settle()
    assert signals(world) == ["SIGTERM", "SIGKILL"]
    assert world.named("web").incarnation != before
    assert world.memory.containers["web"].stop is None
    assert world.memory.containers["web"].failures == 0


def test_a_stop_that_was_not_sent_is_dropped_by_a_start() -> None:
    """Nobody is stopped for a wish that was taken back in time, and probes go on."""
    world = World(obeys=False)
    world.settle()
    world.done.clear()
    world.intent = Intent(stopped_containers=frozenset({"web"}))
    world.turn(limit=0)
    world.intent = Intent()
    assert world.settle().settled
    assert signals(world) == []
    assert world.memory.containers["web"].stop is None


def test_a_removal_has_the_grace_of_the_last_manifest() -> None:
    """Podman keeps the grace of the creation; an edit that restarted nothing counts all the same."""
    world = World(obeys=False)
    world.settle()
    world.want = replace(POD, grace_s=3.0)
    world.settle()
    world.want = None
    assert world.turn().wake_at == 1003.0


def test_a_stop_is_begun_with_the_signal_of_the_last_manifest() -> None:
    """An edit of lifecycle.stopSignal restarts nothing, and counts for the next stop, also when the file is gone."""
    world = World(obeys=False)
    world.settle()
    web, client = POD.containers
    world.want = replace(POD, containers=(replace(web, stop_signal="SIGUSR1"), client))
    assert world.settle().settled
    world.done.clear()
    world.want = None
    world.turn()
    assert signals(world) == ["SIGUSR1", "SIGTERM"]


def left_behind() -> World:
    """Return a world whose ``web`` was stopped by an operator, ended at once, and left two deaf processes behind."""
    world = World(litter=2, left_obey=False)
    world.settle()
    world.done.clear()
    world.intent = Intent(stopped_containers=frozenset({"web"}))
    world.turn()
    assert world.named("web").state.dead
    return world


def test_a_container_is_not_stopped_before_those_that_it_left_behind_are_gone() -> None:
    """`podsupd stop` does not say "stopped" while a process of the container works on."""
    world = left_behind()
    made = world.turn()
    assert made.waiting["web"][0] == "Stopping"
    assert world.memory.containers["web"].last_death is None
    assert [n.reason for n in world.notes if n.container == "web"][-1] == "Killing"
    world.settle()
    assert world.now == 1000.0 + POD.grace_s
    assert world.leftovers == {}
    assert world.memory.containers["web"].last_death is not None
    assert [n.reason for n in world.notes if n.container == "web"][-1] == "Stopped"


def test_an_ended_process_ends_the_wait_before_the_deadline() -> None:
    """A stop takes as long as the last process needs, not its grace period."""
    world = left_behind()
    world.turn()
    world.leftovers[world.named("web").id] = 0
    assert world.settle().settled
    assert world.now == 1000.0


def test_a_start_waits_for_those_left_behind_by_the_stop() -> None:
    """A new life never meets the last one's processes (World asserts it at every start)."""
    world = left_behind()
    world.turn()
    world.intent = Intent()
    world.settle()
    assert world.named("web").state.alive
    assert world.now == 1000.0 + POD.grace_s


def test_a_restart_of_podsupd_finishes_the_stop_that_it_finds() -> None:
    """What was left behind is found by the name of its cgroup, even when the memory of the stop is lost."""
    world = left_behind()
    world.turn()
    world.memory = type(world.memory)()
    world.settle()
    assert world.leftovers == {}
    assert signals(world) == ["SIGTERM"]


def test_leftovers_of_a_container_that_was_removed_by_hand_are_killed() -> None:
    """`podman rm` in the middle of a stop leaves no process behind that nobody knows."""
    world = left_behind()
    world.turn()
    assert world.seen is not None
    world.seen = replace(
        world.seen, containers=tuple(c for c in world.seen.containers if c.label(CONTAINER_LABEL) != "web")
    )
    world.turn()
    assert world.leftovers != {}
    world.turn()
    assert world.leftovers == {}
    assert world.settle().settled
    assert world.now == 1000.0


def test_nothing_is_done_to_leftovers_while_the_state_cannot_be_saved() -> None:
    """A full disk destroys nothing."""
    world = left_behind()
    world.facts = replace(world.facts, durable=False)
    made = world.turn()
    assert made.actions == ()
    assert made.waiting["web"][0] == "StateUnavailable"


def test_a_removal_of_the_manifest_keeps_how_the_pod_is_stopped() -> None:
    """The PodPolicy goes with the file, its last word counts."""
    world = World(want=replace(POD, stop=StopSpec(sequence=(StopStep("SIGINT", 7.0),))), obeys=False)
    world.settle()
    world.done.clear()
    world.want = None
    assert world.turn().wake_at == 1007.0
    assert set(signals(world)) == {"SIGINT"}
