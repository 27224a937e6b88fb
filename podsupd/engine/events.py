"""The event log: what was done and what happened, to the history, the log and whoever follows."""

from collections.abc import AsyncIterator
from functools import partial

from podsupd import log
from podsupd.core.stamps import stamp
from podsupd.engine.tail import Tail
from podsupd.model.plan import Note
from podsupd.model.status import Event
from podsupd.ports import Clock, History

logger = log.get("events")


class EventLog:
    """Numbers events, hands them to the history, and serves followers from memory."""

    def __init__(self, history: History, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._last_id = 0
        self._tail: Tail[Event] = Tail(partial(history.events, oldest=True))

    def number_after(self, last_id: int) -> None:
        """Number events above this, the highest of the history: the wall clock may have been set back since."""
        self._last_id = max(self._last_id, last_id)
        self._tail.begin(last_id)

    def note(self, pod: str, note: Note) -> None:
        """Record a note of a pod. Never blocks, never fails."""
        wall = self._clock.wall()
        # Microseconds of the wall clock grow over restarts even where the history is lost.
        self._last_id = max(self._last_id + 1, int(wall * 1_000_000))
        event = Event(self._last_id, stamp(wall), pod, note.container, note.type, note.reason, note.message)
        self._history.record(event)
        say = logger.warning if note.type == "Warning" else logger.info
        where = {"pod": pod} if note.container is None else {"pod": pod, "container": note.container}
        say(note.message, reason=note.reason, **where)
        self._tail.add(event)

    async def events(self, pod: str | None, since: int, limit: int) -> list[Event]:
        """Read the newest ``limit`` events after ``since``, oldest first."""
        return await self._history.events(pod, since, limit)

    def follow(self, pod: str | None, since: int) -> AsyncIterator[Event]:
        """Yield events after ``since``, from the history, then as they come."""
        return self._tail.follow(pod, since)
