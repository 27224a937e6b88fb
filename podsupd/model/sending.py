"""A signal that somebody has podsupd send, and what came of it."""

from dataclasses import dataclass
from enum import StrEnum


class Purpose(StrEnum):
    """Why podsupd sends a signal that is no part of a stop."""

    SIGNAL = "signal"  # an operator's ``podsupd signal``
    FORWARD = "forward"  # a PodPolicy's signals.forward
    DRILL = "drill"  # ``podsupd drill``


@dataclass(frozen=True, slots=True)
class SignalRequest:
    """What is asked for: a signal's number, to whom, and how long its consequences are waited for.

    container None: each container's. pid: of one process, in the pod. everyone: all processes, not only the first.
    """

    pod: str
    number: int
    container: str | None = None
    pid: int | None = None
    everyone: bool = False
    wait_s: float = 5.0
    purpose: Purpose = Purpose.SIGNAL


@dataclass(frozen=True, slots=True)
class Addressee:
    """A process that is to be signalled. start_ticks: with the PID it names the process; None: not known.

    pid: in the pod, None where it is not known. container_id: that its cgroup has to name, empty for none.
    """

    host_pid: int
    start_ticks: int | None = None
    pid: int | None = None
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A signal that was sent at this time (ns of CLOCK_MONOTONIC), or why it was not."""

    at: int
    refused: str = ""


class Fate(StrEnum):
    """What a process did with a signal."""

    HANDLED = "handled"
    TERMINATED = "terminated"  # by the signal's default action
    DELIVERED = "delivered"  # taken, and its default action ended nobody (a stop, a continue)
    IGNORED = "ignored"
    BLOCKED = "blocked"  # queued until the process lets it in
    PENDING = "pending"  # queued and not blocked: not taken within the wait, or one of its kind was queued already
    GONE = "gone"  # the process ended before it took it
    REFUSED = "refused"  # not sent
    UNKNOWN = "unknown"  # sent; nobody tells what became of it

    @property
    def got(self) -> bool:
        """The process took it."""
        return self in {Fate.HANDLED, Fate.TERMINATED, Fate.DELIVERED}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended after a signal; code and signal are None where that is not known."""

    code: int | None
    signal: str | None
    after_s: float | None


@dataclass(frozen=True, slots=True)
class Reached:
    """A process that was signalled, by us (depth 0) or by one that sent the signal on (the nearest before, one less).

    pid: in the pod. taken_s: from the sending to the taking. id: of the ledger's record, None where there is none.
    """

    depth: int
    container: str | None
    pid: int | None
    host_pid: int | None
    command: str
    signal: str
    fate: Fate
    taken_s: float | None = None
    ending: Ending | None = None
    id: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A process of the scope that is there when the report is made. new: it was not there before the signal."""

    container: str | None
    pid: int
    host_pid: int
    command: str
    state: str
    new: bool


@dataclass(frozen=True, slots=True)
class SignalReport:
    """What came of it. got: somebody took it. traced: by the kernel's word; else by /proc's masks and pidfds alone."""

    pod: str
    container: str | None
    signal: str
    time: str
    got: bool
    verdict: str
    traced: bool
    waited_s: float
    reached: tuple[Reached, ...]
    left: tuple[Survivor, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class DrillResult:
    """An expectation that was tried: outcome is met, breached, inconclusive, or skipped (nothing was sent)."""

    container: str
    signal: str
    expected: str
    outcome: str
    message: str
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill of all of a pod's expectations came to. ready: the pod was Ready again in the end."""

    pod: str
    met: bool
    verdict: str
    ready: bool
    results: tuple[DrillResult, ...]
