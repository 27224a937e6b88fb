"""Deaths that somebody brought about through podsupd: told as such, and counted as what they are."""

from dataclasses import replace

import pytest

from podsupd.model.signals import DeathCause
from podsupd.model.spec import RestartPolicy
from tests.unit.core.world import POD, World, running


def ended(purpose: str, policy: RestartPolicy = RestartPolicy.ALWAYS, code: int = 143) -> World:
    """Return a world in which podsupd sent web a signal that ended it."""
    world = running()
    world.want = replace(POD, restart_policy=policy)
    cause = DeathCause(f"SIGTERM from podsupd {purpose}", "podsupd", purpose, signal="SIGTERM")
    world.facts = replace(world.facts, causes={world.named("web").id: cause})
    world.crash("web", code)
    world.turn()
    return world


@pytest.mark.parametrize(("purpose", "kind"), [("signal", "Normal"), ("drill", "Normal"), ("forward", "Warning")])
def test_who_asked_for_it_is_told(purpose: str, kind: str) -> None:
    """An operator's own doing is no warning, and the event says whose it was."""
    (note,) = [n for n in ended(purpose).notes if n.reason == "Died"]
    assert (note.type, f"SIGTERM from podsupd {purpose}" in note.message) == (kind, True)
    # It lasts as it is: nobody is told to use podsupd stop.
    assert "if that was you" not in note.message


@pytest.mark.parametrize(("purpose", "failures"), [("signal", 1), ("drill", 0), ("forward", 1)])
def test_a_drill_counts_for_nothing_and_a_signal_as_a_kill(purpose: str, failures: int) -> None:
    """The back-off is for a container that fails by itself or is killed; a drill is neither."""
    memory = ended(purpose).memory.containers["web"]
    assert (memory.failures, memory.not_before > 0) == (failures, failures > 0)
    assert memory.last_death is not None
    assert (memory.last_death.ours, memory.last_death.cause_signal) == (purpose == "drill", "SIGTERM")


@pytest.mark.parametrize(("purpose", "starts"), [("signal", False), ("drill", True)])
def test_a_drill_leaves_the_pod_as_it_was(purpose: str, starts: bool) -> None:  # noqa: FBT001  a table's column
    """A container that is never restarted is after a drill, since nothing had failed."""
    world = ended(purpose, RestartPolicy.NEVER)
    world.settle()
    assert world.named("web").state.alive is starts
