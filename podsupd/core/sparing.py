"""How often something may be told or written that can go on for ever: some at once, then one at a time."""

from dataclasses import dataclass, replace

from podsupd.model.plan import Note

TOLD = (25, 300.0)
"""Changes of one probe that become events: at once, and seconds for each further one.

client-go's filter for events (``tools/record/events_cache.go``) has these figures.
"""
SAVED = (10, 60.0)
"""Saves of a pod's conditions and probe states, which nothing waits for. A probe that flips every two seconds wrote
160 MB an hour with 4,000 syncs (measured, ext4), which wears out cheap flash."""

ROUNDING = 1e-6  # of the seconds of a clock, else what is asked for at next_at might come too soon


@dataclass(frozen=True, slots=True)
class Allowance:
    """burst at once, then one every_s seconds. used: of the burst, at the time ``at`` (seconds of any clock)."""

    burst: int
    every_s: float
    used: float = 0.0
    at: float = 0.0

    def take(self, now: float) -> "Allowance | None":
        """Return what is left after one more now, None when there is none."""
        used = max(0.0, self.used - (now - self.at) / self.every_s)
        return replace(self, used=used + 1, at=now) if used + 1 <= self.burst + ROUNDING else None

    @property
    def next_at(self) -> float:
        """When there is one more again."""
        return self.at + max(0.0, self.used + 1 - self.burst) * self.every_s


@dataclass(frozen=True, slots=True)
class Telling:
    """What may be told of one probe, and what was held back: the newest note, with how many it stands for."""

    allowance: Allowance = Allowance(*TOLD)
    held: Note | None = None
    count: int = 0

    def offer(self, note: Note | None, now: float) -> "tuple[Telling, Note | None]":
        """Take in what is new, if anything is, and return what is to be told now.

        Asked again and again, so that the newest is told in the end although nothing changes any more.
        """
        waiting = replace(self, held=note, count=self.count + 1) if note else self
        allowance = waiting.allowance.take(now) if waiting.held else None
        if waiting.held is None or allowance is None:
            return waiting, None
        told = waiting.held
        if waiting.count > 1:
            told = replace(told, message=f"{told.message} (it flaps: the newest of {waiting.count} changes)")
        return Telling(allowance), told
