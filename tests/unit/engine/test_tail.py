"""Readers that follow what happens: slow ones, late ones, and ones that come back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from podsupd.engine.tail import PAGE, RECENT, Tail


@dataclass(frozen=True)
class Item:
    """Something that happened."""

    id: int
    pod: str = "p"


class Rig:
    """A tail over a history that keeps everything."""

    def __init__(self, before: int = 0) -> None:
        self.kept = [Item(number) for number in range(1, before + 1)]
        self.reads = 0
        self.tail: Tail[Item] = Tail(self.older)
        self.tail.begin(before)

    async def older(self, pod: str | None, since: int, limit: int) -> list[Item]:
        """Read the oldest after an id."""
        self.reads += 1
        return [i for i in self.kept if i.id > since and pod in {None, i.pod}][:limit]

    def happen(self, count: int, pod: str = "p") -> None:
        """Have so many things happen."""
        for _ in range(count):
            self.kept.append(Item(len(self.kept) + 1, pod))
            self.tail.add(self.kept[-1])


async def ids(stream: AsyncIterator[Item], count: int) -> list[int]:
    """Return the ids of the next so many."""
    async with asyncio.timeout(60):
        return [(await anext(stream)).id for _ in range(count)]


async def test_a_reader_that_was_away_for_long_misses_nothing() -> None:
    """However much happened meanwhile, a reader that comes back with its last id gets all of it, in order."""
    rig = Rig(before=3 * PAGE)
    rig.happen(10)
    assert await ids(rig.tail.follow("p", 7), 3 * PAGE + 3) == list(range(8, 3 * PAGE + 11))


async def test_a_reader_that_is_slow_misses_nothing() -> None:
    """What happened while a terminal stood still comes when it goes on."""
    rig = Rig()
    rig.happen(2)
    stream = rig.tail.follow("p", 0)
    assert await ids(stream, 1) == [1]
    rig.happen(RECENT + PAGE)
    assert await ids(stream, RECENT + PAGE + 1) == list(range(2, RECENT + PAGE + 3))


async def test_a_reader_of_one_pod_gets_that_ones_only() -> None:
    """What happens to other pods neither shows nor holds anything up."""
    rig = Rig()
    rig.happen(RECENT, "other")
    rig.happen(1)
    rig.happen(RECENT, "other")
    rig.happen(1)
    assert await ids(rig.tail.follow("p", 0), 2) == [RECENT + 1, 2 * RECENT + 2]


async def test_a_reader_that_keeps_up_costs_the_disk_nothing() -> None:
    """Following is served from memory."""
    rig = Rig(before=5)
    stream = rig.tail.follow(None, 5)
    for number in range(6, 6 + PAGE):
        rig.happen(1)
        assert await ids(stream, 1) == [number]
    assert rig.reads == 0
