"""A stop that is overtaken by another wish."""

from dataclasses import replace

from core.world import POD, World

from podsupd.model.plan import Intent, SignalContainer


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
