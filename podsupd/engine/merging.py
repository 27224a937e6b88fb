"""Several streams as one, each item as it comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TypeVar

from podsupd.engine.tasks import TaskPool

T = TypeVar("T")

AHEAD = 256


async def merged(streams: Sequence[AsyncIterator[T]]) -> AsyncIterator[T]:
    """Yield from all streams until all have ended; a slow reader slows them down instead of filling memory."""
    pool = TaskPool()
    queue: asyncio.Queue[T | None] = asyncio.Queue(AHEAD)

    async def pump(stream: AsyncIterator[T]) -> None:
        try:
            async for item in stream:
                await queue.put(item)
        finally:
            # None stands for an end; when the reader is gone the pool cancels this wait.
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
    finally:
        await pool.close()
