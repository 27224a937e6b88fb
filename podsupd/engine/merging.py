"""Several streams as one, each item as it comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TypeVar

from podsupd.engine.tasks import TaskPool

T = TypeVar("T")

AHEAD = 256


async def merged(streams: Sequence[AsyncIterator[T]]) -> AsyncIterator[T]:
    """Yield from all streams until all have ended; a slow reader slows them down instead of filling memory.

    Raises the first error of a stream, after the others have ended.
    """
    pool = TaskPool()
    queue: asyncio.Queue[T | None] = asyncio.Queue(AHEAD)
    errors: list[Exception] = []

    async def pump(stream: AsyncIterator[T]) -> None:
        try:
            async for item in stream:
                await queue.put(item)
        except Exception as error:  # noqa: BLE001  it is raised to the reader
            errors.append(error)
        # None stands for an end. Not told when cancelled: the reader is gone, and the queue may be full for good.
        await queue.put(None)

    for number, stream in enumerate(streams):
        pool.spawn(f"stream {number}", partial(pump, stream))
    left = len(streams)
    try:
        while left:
            item = await queue.get()
            if item is None:
                left -= 1
            else:
                yield item
        if errors:
            raise errors[0]
    finally:
        await pool.close()
