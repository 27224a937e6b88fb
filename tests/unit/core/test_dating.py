"""The wall clock is set while pods run: since when something is so is still told as it was."""

from dataclasses import replace

import pytest
from core.world import MIDNIGHT

from podsupd.core.dating import redated, started
from podsupd.model.life import Transition
from podsupd.model.observed import ContainerState, Incarnation, ObservedContainer
from podsupd.model.plan import ContainerMemory, Death, Now, PodMemory

NOW = Now(1000.0, "boot", 0.0)
"""A thousand seconds after the boot."""
HOURS = 6 * 3600.0
WEB = ObservedContainer("id", "web", ContainerState.RUNNING, started_at="then", started_epoch=1.0)
SEEN = ContainerMemory(current=Incarnation("id", "then"), running_since=900.0, boot_id="boot")


@pytest.mark.parametrize(
    ("by_podman", "mine", "shown"),
    [
        (900.0, SEEN, MIDNIGHT - 100),
        (900.0, ContainerMemory(), MIDNIGHT - 1000),
        (MIDNIGHT - 100 + HOURS, SEEN, MIDNIGHT - 100),
        (MIDNIGHT - 100 + HOURS, ContainerMemory(), MIDNIGHT),
        (MIDNIGHT - 101, SEEN, MIDNIGHT - 101),
        (MIDNIGHT - 800, SEEN, MIDNIGHT - 800),
        (900.0, replace(SEEN, boot_id="before"), MIDNIGHT - 1000),
        (0.0, SEEN, 0.0),
    ],
    ids=["1970", "1970-unseen", "set-back", "set-back-unseen", "right", "adopted", "before-the-boot", "never"],
)
def test_a_life_is_as_old_as_it_is(by_podman: float, mine: ContainerMemory, shown: float) -> None:
    """A pod that was started in 1970 is not 56 years old once NTP has answered; a date that can be right stays."""
    assert started(replace(WEB, started_epoch=by_podman), mine, NOW, MIDNIGHT) == shown


def test_an_ended_life_keeps_its_date() -> None:
    """It may be one of an earlier boot."""
    ended = replace(WEB, state=ContainerState.EXITED, started_epoch=900.0)
    assert started(ended, SEEN, NOW, MIDNIGHT) == 900.0


def memory(at: float) -> PodMemory:
    """Return what is remembered of a pod with a death and a condition of that time, and of a day before the boot."""
    death = Death(Incarnation("id", "then"), 1, None, "Error", "", started_epoch=0.0, finished_epoch=at)
    conditions = {"Ready": Transition("True", at), "PodScheduled": Transition("True", MIDNIGHT - 86400)}
    return PodMemory({"web": replace(SEEN, last_death=death), "new": SEEN}, conditions=conditions)


@pytest.mark.parametrize("was", [0.0, MIDNIGHT + HOURS], ids=["1970", "set-back"])
def test_deaths_and_conditions_of_this_boot_move_with_the_clock(was: float) -> None:
    """Once, whatever it was set by; what lies before the boot and what never was stays."""
    before = redated(memory(was + 950), replace(NOW, boottime=970.0), was + 970)
    after = redated(before, NOW, MIDNIGHT)
    assert after.conditions == memory(MIDNIGHT - 50).conditions
    assert after.containers == memory(MIDNIGHT - 50).containers
    assert redated(after, replace(NOW, boottime=1010.0), MIDNIGHT + 11) is after


def test_a_new_boot_moves_nothing() -> None:
    """What another boot dated by a clock of its own cannot be told by this one's."""
    before = redated(memory(950.0), NOW, 1000.0)
    assert redated(before, Now(30.0, "next", 0.0), MIDNIGHT).conditions == before.conditions
