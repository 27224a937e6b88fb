"""The wall clock is set while pods run: what it said before is told by what it says now.

A host without a battery for its clock boots in 1970, and NTP sets it right by decades with the pods running. Podman
dated their starts, and the memory their deaths and conditions, by the clock as it was. Nothing is decided by these
times; they are for whoever asks since when something is so.
"""

from dataclasses import replace

from podsupd.model.life import BootDate
from podsupd.model.observed import ObservedContainer
from podsupd.model.plan import ContainerMemory, Now, PodMemory

SET_S = 60.0
"""A clock that was set by less leaves the dates as they are; Podman's and ours are never so far apart."""


def redated(memory: PodMemory, now: Now, wall: float) -> PodMemory:
    """Move the dates of this boot by what the clock was set by since the last time, once. wall: epoch seconds."""
    began = wall - now.boottime
    known = memory.boot
    if known is None or known.boot_id != now.boot_id:
        return replace(memory, boot=BootDate(now.boot_id, began))
    if abs(began - known.began) < SET_S:
        return memory
    move = _Move(known.began, began, now.boottime)
    return replace(
        memory,
        boot=BootDate(now.boot_id, began),
        containers={name: _container(each, move) for name, each in memory.containers.items()},
        conditions={name: replace(each, at=move(each.at)) for name, each in memory.conditions.items()},
    )


def started(container: ObservedContainer, mine: ContainerMemory, now: Now, wall: float) -> float:
    """Return when a container's life began, in epoch seconds by the present clock; 0 for never.

    Podman's date, unless it is before the boot, in the future, or later than the life was first seen.
    """
    date = container.started_epoch
    known = mine.current == container.incarnation and mine.boot_id == now.boot_id
    seen = wall - (now.boottime - mine.running_since if known else 0.0)
    if not container.state.alive or not date or wall - now.boottime - SET_S <= date <= seen + SET_S:
        return date
    return seen if known else max(wall - now.boottime, min(date, wall))


class _Move:
    """From the dates of a boot that began at one time to those of one that began at another; others stay."""

    def __init__(self, was: float, began: float, boottime: float) -> None:
        self._was = was
        self._by = began - was
        self._last = was + boottime

    def __call__(self, at: float) -> float:
        return at + self._by if at and self._was <= at <= self._last + SET_S else at


def _container(memory: ContainerMemory, move: _Move) -> ContainerMemory:
    death = memory.last_death
    if death is None:
        return memory
    moved = replace(death, started_epoch=move(death.started_epoch), finished_epoch=move(death.finished_epoch))
    return replace(memory, last_death=moved)
