"""Waits of the control endpoint that end when the daemon does, or when the client is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

GONE_CHECK_S = 1.0
"""How often a waiting answer looks whether its client is still there (seconds)."""


class Closing:
    """Every answer that waits does so inside ``within``; ``close`` ends all of them at once.

    Handlers are not cancelled when a client disconnects, so that an edit of intent is never cut in half: a wait
    looks for itself. Ending is a time-out of that wait, never a cancellation.
    """

    def __init__(self) -> None:
        self.closed = False
        self._open: dict[asyncio.Timeout, asyncio.TimerHandle] = {}

    def close(self) -> None:
        """End all waits, and those still to come as they begin."""
        self.closed = True
        for timeout in self._open:
            _expire(timeout)

    def ended(self, request: web.Request) -> bool:
        """Say whether an answer to this request should stop: the daemon ends or the client is gone."""
        return self.closed or _gone(request)

    @asynccontextmanager
    async def within(self, request: web.Request, seconds: float | None) -> AsyncIterator[None]:
        """Raise TimeoutError in the body after ``seconds`` (None: never), at ``close``, or without a client."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(0 if self.closed else seconds) as timeout:

            def look() -> None:
                if _gone(request):
                    _expire(timeout)
                else:
                    self._open[timeout] = loop.call_later(GONE_CHECK_S, look)

            self._open[timeout] = loop.call_later(GONE_CHECK_S, look)
            try:
                yield
            finally:
                self._open.pop(timeout).cancel()


def _gone(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()


def _expire(timeout: asyncio.Timeout) -> None:
    if not timeout.expired():
        timeout.reschedule(asyncio.get_running_loop().time())
