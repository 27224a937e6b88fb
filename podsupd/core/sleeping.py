"""What a sleep of the whole system is to a pod: a pause in which nothing ran, and nobody had the time to do anything.

So it is no part of a grace period, of a hook's or an update's time, of a life that has to prove itself, nor of how
long something was stuck; a process that was told to end gets after the wake what was left to it before. Waits that are
there to let time pass (the back-off, a retry, a job's ttl, activeDeadlineSeconds) are over when their time is over.
The kubelet counts by Go's monotonic clock, which stands still in a sleep too.
"""

from dataclasses import replace

from podsupd.model.life import HookRun, LadderMemory, Rollout, Stuck
from podsupd.model.plan import ContainerMemory, Now, PodMemory, Stop

SLEPT_S = 1.0
"""A sleep of the system; its two clocks read one after the other are never so far apart."""


def slept(before: Now, now: Now) -> bool:
    """Say whether the system slept between the two."""
    return now.slept - before.slept > SLEPT_S


def carried_over(memory: PodMemory, now: Now) -> PodMemory:
    """Move the beginnings of what is under way by what the system slept since the last time, once."""
    seconds = now.slept - memory.slept
    if abs(seconds) <= SLEPT_S:
        return memory
    # Less than before is another boot, whose beginnings none of these are.
    move = _Move(max(seconds, 0.0), now)
    return replace(
        memory,
        slept=now.slept,
        containers={name: _container(each, move) for name, each in memory.containers.items()},
        ladders={name: _ladder(each, move) for name, each in memory.ladders.items()},
        rollout=memory.rollout and _rollout(memory.rollout, move),
        ending_since=move.of(memory.ending_since, memory.boot_id),
    )


class _Move:
    """By so many seconds; never beyond now: what began then cannot lie ahead."""

    def __init__(self, seconds: float, now: Now) -> None:
        self._seconds = seconds
        self._now = now

    def __call__(self, at: float, boot_id: str) -> float:
        if boot_id != self._now.boot_id or at > self._now.boottime:
            return at
        return min(at + self._seconds, self._now.boottime)

    def of(self, at: float | None, boot_id: str) -> float | None:
        """Move what may not have begun."""
        return None if at is None else self(at, boot_id)


def _container(memory: ContainerMemory, move: _Move) -> ContainerMemory:
    return replace(
        memory,
        running_since=move(memory.running_since, memory.boot_id),
        stop=memory.stop and _stop(memory.stop, move),
        post_start=memory.post_start and _hook(memory.post_start, move),
        stuck=memory.stuck and _stuck(memory.stuck, move),
    )


def _stop(stop: Stop, move: _Move) -> Stop:
    return replace(
        stop,
        started_at=move(stop.started_at, stop.boot_id),
        stage_at=move(stop.stage_at, stop.boot_id),
        signals_at=move.of(stop.signals_at, stop.boot_id),
    )


def _hook(run: HookRun, move: _Move) -> HookRun:
    return replace(run, began_at=move(run.began_at, run.boot_id))


def _stuck(stuck: Stuck, move: _Move) -> Stuck:
    return replace(stuck, since=move(stuck.since, stuck.boot_id), at=move(stuck.at, stuck.boot_id))


def _ladder(memory: LadderMemory, move: _Move) -> LadderMemory:
    boot_id = memory.boot_id
    return replace(memory, at=move(memory.at, boot_id), passing_since=move.of(memory.passing_since, boot_id))


def _rollout(rollout: Rollout, move: _Move) -> Rollout:
    boot_id = rollout.boot_id
    return replace(
        rollout, began_at=move.of(rollout.began_at, boot_id), healthy_since=move.of(rollout.healthy_since, boot_id)
    )
