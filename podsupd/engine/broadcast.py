"""Telling whoever waits that something changed."""

import asyncio


class Broadcast:
    """Wakes everyone who waits: each waiter has an Event of its own, so that none is missed and none overflows."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()

    def notify(self) -> None:
        """Wake all waiters."""
        for waiter in self._waiters:
            waiter.set()

    def join(self, waiter: asyncio.Event | None = None) -> asyncio.Event:
        """Return an Event (the one given) that is set at every notify until ``leave``; the waiter clears it."""
        waiter = waiter or asyncio.Event()
        self._waiters.add(waiter)
        return waiter

    def leave(self, waiter: asyncio.Event) -> None:
        """Stop waking this waiter."""
        self._waiters.discard(waiter)
