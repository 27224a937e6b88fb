"""Several streams as one: whoever stops reading is let go, and a stream that breaks off is told."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from podsupd.engine.merging import AHEAD, merged
from podsupd.errors import PodmanUnavailable


async def lines(name: str, count: int | None) -> AsyncIterator[str]:
    """Yield so many lines, None: for ever."""
    number = 0
    while count is None or number < count:
        yield f"{name}{number}"
        number += 1


async def broken() -> AsyncIterator[str]:
    """Yield a line and break off."""
    yield "b0"
    raise PodmanUnavailable("cannot read the log of b: gone")


async def test_every_line_comes_in_its_streams_order() -> None:
    """The log of a pod has all that its containers said."""
    found = [line async for line in merged([lines("a", 3), lines("b", AHEAD)])]
    assert [line for line in found if line.startswith("a")] == ["a0", "a1", "a2"]
    assert len(found) == 3 + AHEAD


async def test_a_reader_that_goes_away_is_not_waited_for() -> None:
    """`podsupd logs -f` of busy containers, ended with ctrl-C, leaves nothing behind in the daemon."""
    before = asyncio.all_tasks()
    stream = merged([lines("a", None), lines("b", None)])
    assert await anext(stream)
    async with asyncio.timeout(60):
        await stream.aclose()
    assert asyncio.all_tasks() == before


async def test_a_stream_that_breaks_off_is_told_after_the_others() -> None:
    """Whoever reads a log knows that it is not whole."""
    stream = merged([broken(), lines("a", 2)])
    assert sorted([await anext(stream) for _ in range(3)]) == ["a0", "a1", "b0"]
    with pytest.raises(PodmanUnavailable):
        await anext(stream)
