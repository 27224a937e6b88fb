"""More probes than there is room for: whose turn it is, and whether periods are kept.

Each probe's period is stretched by the same factor, since the next attempt goes to the probe that has waited longest
for its own period. Times are seconds of CLOCK_BOOTTIME.
"""

from dataclasses import dataclass, replace
from math import inf

WINDOW_S = 10.0  # Kubernetes' default period: most probes had a turn
LATE = 0.25  # of a period, on average: where attempts are skipped, turns are late by anything up to one, by half of it
ON_TIME = 0.05


def urgency(period_s: float, last: float | None, now: float) -> float:
    """Return how many of its periods a probe has waited since its last turn; a first turn goes before all others."""
    return inf if last is None else (now - last) / period_s


@dataclass(frozen=True, slots=True)
class Load:
    """How the attempts of the last whole window began.

    overloaded: periods are not kept. stretch: the mean of (time between two attempts) / (the probe's period). The rest
    is of the window that began at since: attempts, the sum of their lags and of their waits in periods, and how many of
    them had a wait.
    """

    overloaded: bool = False
    stretch: float = 1.0
    since: float | None = None
    attempts: int = 0
    lags: float = 0.0
    waits: float = 0.0
    waited: int = 0


def began(load: Load, period_s: float, due: float, last: float | None, now: float) -> Load:
    """Return the load after an attempt began now that was due at ``due``; last: when the one before began."""
    if load.since is None:
        load = replace(load, since=now)
    elif now >= load.since + WINDOW_S and load.waited:
        load = _judged(load, now)
    return replace(
        load,
        attempts=load.attempts + 1,
        lags=load.lags + max(0.0, now - due) / period_s,
        waits=load.waits + (0.0 if last is None else (now - last) / period_s),
        waited=load.waited + (0 if last is None else 1),
    )


def _judged(load: Load, now: float) -> Load:
    """Close a window: periods are missed from LATE on, and kept again below ON_TIME."""
    overloaded = load.lags / load.attempts > (ON_TIME if load.overloaded else LATE)
    return Load(overloaded, max(1.0, load.waits / load.waited) if overloaded else 1.0, now)
