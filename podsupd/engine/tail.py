"""What happened lately, for those who follow it: none is missed, none comes twice, and nothing is kept for anybody."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from podsupd.engine.broadcast import Broadcast

RECENT = 256
"""Served from memory; a reader that falls further behind reads a page of the history. A signal's record has 1.2 KB."""
PAGE = 500


class Numbered(Protocol):
    """Something that happened in a pod; its number is higher than that of whatever happened before."""

    @property
    def id(self) -> int:
        """Its number."""
        ...

    @property
    def pod(self) -> str:
        """The pod's name."""
        ...


T = TypeVar("T", bound=Numbered)


class Tail(Generic[T]):
    """The newest of what happened.

    older: reads from the history the oldest so many of a pod (None: of all) after an id.
    """

    def __init__(self, older: Callable[[str | None, int, int], Awaitable[list[T]]]) -> None:
        self._older = older
        self._recent: deque[T] = deque(maxlen=RECENT)
        self._before = 0
        self._changed = Broadcast()

    def begin(self, last_id: int) -> None:
        """Have what happened up to this id read from the history."""
        self._before = max(self._before, last_id)

    def add(self, item: T) -> None:
        """Take the newest."""
        if len(self._recent) == RECENT:
            self._before = self._recent[0].id
        self._recent.append(item)
        self._changed.notify()

    async def follow(self, pod: str | None, since: int) -> AsyncIterator[T]:
        """Yield what comes after an id, from the history as far as it is there only, then as it comes, for ever."""
        waiter = self._changed.join()
        try:
            last = since
            while True:
                waiter.clear()
                if last < self._before:
                    before = self._before
                    page = await self._older(pod, last, PAGE)
                    for item in page:
                        last = item.id
                        yield item
                    last = last if len(page) == PAGE else max(last, before)
                    continue
                for item in [i for i in self._recent if i.id > last]:
                    last = item.id
                    if pod in {None, item.pod}:
                        yield item
                await waiter.wait()
        finally:
            self._changed.leave(waiter)
