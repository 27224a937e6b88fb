"""The event log: what was done and what happened, to the history, the log and whoever follows."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from podsupd import log
from podsupd.model.plan import Note
from podsupd.model.status import Event
from podsupd.ports import Clock, History

logger = log.get("events")

RECENT = 2000
PAGE = 500


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


class EventLog:
    """Numbers events, hands them to the history, and serves followers from memory."""

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._last_id = 0
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._changed = Broadcast()

    def number_after(self, last_id: int) -> None:
        """Number events above this, the highest of the history: the wall clock may have been set back since."""
        self._last_id = max(self._last_id, last_id)

    def note(self, pod: str, note: Note) -> None:
        """Record a note of a pod. Never blocks, never fails."""
        wall = self._clock.wall()
        # Microseconds of the wall clock grow over restarts even where the history is lost.
        self._last_id = max(self._last_id + 1, int(wall * 1_000_000))
        time = datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        event = Event(self._last_id, time, pod, note.container, note.type, note.reason, note.message)
        self._recent.append(event)
        self._history.record(event)
        say = logger.warning if note.type == "Warning" else logger.info
        where = {"pod": pod} if note.container is None else {"pod": pod, "container": note.container}
        say(note.message, reason=note.reason, **where)
        self._changed.notify()

    async def events(self, pod: str | None, since: int, limit: int) -> list[Event]:
        """Read the newest ``limit`` events after ``since``, oldest first."""
        return await self._history.events(pod, since, limit)

    async def follow(self, pod: str | None, since: int) -> AsyncIterator[Event]:
        """Yield events after ``since``, from the history, then as they come."""
        waiter = self._changed.join()
        try:
            last = since
            for event in await self._history.events(pod, since, PAGE):
                last = max(last, event.id)
                yield event
            while True:
                waiter.clear()
                for event in [e for e in self._recent if e.id > last]:
                    last = event.id
                    if pod is None or event.pod == pod:
                        yield event
                await waiter.wait()
        finally:
            self._changed.leave(waiter)
