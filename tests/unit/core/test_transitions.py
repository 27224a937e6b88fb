"""Since when a condition is as it is."""

from core.world import World

from podsupd.core.conditions import PodView, derive
from podsupd.core.transitions import remembered, stamped
from podsupd.model.life import Transition
from podsupd.model.plan import Now, PodMemory
from podsupd.model.status import Condition

READY = Condition("Ready", "True")


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """Another reason or message is no transition, as in Kubernetes; another status is one, of this moment."""
    first = stamped([READY], {}, 100.0)
    assert [c.since for c in first] == [100.0]
    known = remembered(first)
    assert [c.since for c in stamped([Condition("Ready", "True", "Why", "else")], known, 200.0)] == [100.0]
    assert [c.since for c in stamped([Condition("Ready", "False")], known, 300.0)] == [300.0]


def test_a_condition_that_comes_again_begins_anew() -> None:
    """What was not shown for a while has no time of before."""
    known = remembered(stamped([Condition("Paused", "True")], {}, 100.0))
    known = remembered(stamped([READY], known, 200.0))
    assert stamped([Condition("Paused", "True")], known, 300.0)[0].since == 300.0


def test_a_pods_conditions_say_since_when() -> None:
    """The times that were kept over a restart of podsupd are shown; only what changed meanwhile has a new one."""
    world = World()
    world.settle()
    kept = {"PodScheduled": Transition("True", 50.0), "Ready": Transition("False", 60.0)}
    memory = PodMemory(world.memory.containers, conditions=kept)
    view = PodView("p", world.want, world.intent, world.seen, None, memory, owner="me", wall=900.0)
    since = {c.type: c.since for c in derive(view, Now(world.now, world.boot)).conditions}
    assert since["PodScheduled"] == 50.0
    assert since["Ready"] == 900.0
