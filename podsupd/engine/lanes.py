"""A bounded set of attempts of one kind, and whose turn it is when more are due than may run."""

from podsupd import log
from podsupd.core import shedding
from podsupd.core.shedding import Load
from podsupd.engine.probe_entries import Entry
from podsupd.engine.tasks import TaskPool

logger = log.get("prober")


class Lane:
    """Attempts that share a limit. what: they, in words."""

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self.pool = TaskPool(limit)
        self._waiting: list[tuple[int, Entry]] = []
        self._load = Load()

    def offer(self, ticket: int, entry: Entry) -> None:
        """Take an entry whose turn has come; the ticket tells whether it is still current when there is room."""
        self._waiting.append((ticket, entry))

    def take(self, now: float) -> list[Entry]:
        """Return whose attempts begin now, the rest waits; without room for all, who has waited longest comes first."""
        ready = [(t, e) for t, e in self._waiting if not e.gone and e.ticket == t]
        room = max(0, self._limit - len(self.pool))
        if len(ready) > room:
            ready.sort(key=lambda turn: shedding.urgency(turn[1].spec.period_s, turn[1].last, now), reverse=True)
        self._waiting = ready[room:]
        return [entry for _, entry in ready[:room]]

    def began(self, entry: Entry, now: float) -> None:
        """Note that an attempt begins; says so once when periods are not kept, and once when they are again."""
        before = self._load.overloaded
        self._load = shedding.began(self._load, entry.spec.period_s, entry.due, entry.last, now)
        if self._load.overloaded and not before:
            logger.warning("probes are late, periods are stretched", kind=self._what, factor=self._factor)
        elif before and not self._load.overloaded:
            logger.info("probes are on time again", kind=self._what)

    @property
    def trouble(self) -> str:
        """What a user has to know of it, or nothing."""
        late = f"{self._what} are {self._factor} times as far apart as their periods: there is no room for more"
        return late if self._load.overloaded else ""

    @property
    def _factor(self) -> float:
        return round(self._load.stretch, 1)
