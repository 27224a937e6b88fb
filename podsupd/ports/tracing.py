"""The kernel's trace of signals."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from podsupd.model.signals import ProcessFacts, TraceEvent


@dataclass(frozen=True, slots=True)
class TraceBatch:
    """Records in the order of time, all that are not younger than ``until`` (ns of CLOCK_MONOTONIC).

    events: to be read once, each before the next is decoded: the tracer asks ``watched`` in between. lost: how many the
    kernel dropped before them.
    """

    events: Iterator[TraceEvent]
    until: int
    lost: int = 0


class Tracer(Protocol):
    """The kernel's trace of signals and processes."""

    watched: set[int]
    """Thread ids whose signals are wanted; the reader of the records keeps it up to date."""

    @property
    def partial(self) -> str:
        """What is missing of a trace that was opened, and why; empty for nothing."""
        ...

    def open(self) -> None:
        """Begin to trace; blocks, so call it in a thread. Raises TracingUnavailable."""
        ...

    def close(self) -> None:
        """Stop tracing and leave nothing behind, also when open() is under way in a thread; never raises."""
        ...

    def hurry(self) -> None:
        """Have what the kernel wrote read at once."""
        ...

    async def read(self, timeout_s: float) -> TraceBatch:
        """Wait for records, no longer than this; raises TracingUnavailable when there will be no more."""
        ...


class ProcessLook(Protocol):
    """/proc: what is there now, nothing kept."""

    def look(self, tid: int) -> ProcessFacts | None:
        """Return what /proc says of a thread's process; None when it is gone."""
        ...

    def members(self, pid: int) -> tuple[int, ...]:
        """Return the processes of the cgroup that this process is in, empty when they cannot be read."""
        ...
