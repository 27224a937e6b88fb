"""How processes ended, kept for a moment: the kernel tells it apart from the end itself."""

from collections import OrderedDict

from podsupd.model.signals import Ended

KEPT = 4096
KEPT_NS = 30_000_000_000
"""The trace tells of an end within half a second; where the host is too busy to read it, somewhat later."""
# Of a status as wait(2) gives it.
_SIGNAL, _CORE = 0x7F, 0x80


class Endings:
    """The newest statuses, by process."""

    def __init__(self) -> None:
        self._statuses: OrderedDict[int, Ended] = OrderedDict()

    def take(self, event: Ended) -> None:
        """Keep the status of a process; of several threads' the last one counts."""
        self._statuses[event.tgid] = event
        self._statuses.move_to_end(event.tgid)
        while len(self._statuses) > KEPT or next(iter(self._statuses.values())).at < event.at - KEPT_NS:
            self._statuses.popitem(last=False)

    def of(self, tgid: int, at: int) -> tuple[int | None, bool]:
        """Return the exit code of a process that ended at this time, and whether the kernel wrote its core.

        The code is None when a signal ended it, or when it is not known: a status from before is of another process
        that had this number.
        """
        event = self._statuses.pop(tgid, None)
        if event is None or event.at < at:
            return None, False
        return None if event.status & _SIGNAL else event.status >> 8, bool(event.status & _CORE)
