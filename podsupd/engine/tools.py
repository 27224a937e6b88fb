"""What every worker works with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from podsupd.engine.events import EventLog
from podsupd.engine.executor import Executor
from podsupd.engine.file_keeper import FileKeeper
from podsupd.engine.hooks import Hooks
from podsupd.engine.probe_memory import ProbeMemory
from podsupd.engine.prober import ProbeScheduler
from podsupd.engine.puller import Puller
from podsupd.model.observed import ObservedPod, RuntimeInfo
from podsupd.model.signals import DeathCause
from podsupd.ports import Clock, Meter, Monitors, Processes, Runtime, Shelters, State


def _unhurried() -> None:
    """Without the kernel's trace there is nothing to read."""


async def _untraced(_pod: str, _seen: ObservedPod | None) -> Mapping[str, DeathCause]:
    """Without the kernel's trace nobody tells who ended what."""
    return {}


def _alone(_pod: str) -> str:
    """Without a fleet there is nobody to wait for."""
    return ""


async def _kept(_owners: frozenset[str]) -> None:
    """Without a state directory nothing is taken over."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every worker works with; made once by the daemon."""

    owner: str
    runtime: Runtime
    state: State
    clock: Clock
    executor: Executor
    puller: Puller
    files: FileKeeper
    hooks: Hooks
    prober: ProbeScheduler
    probe_memory: ProbeMemory
    processes: Processes
    shelters: Shelters
    monitors: Monitors
    events: EventLog
    meter: Meter
    info: Callable[[], RuntimeInfo | None]
    changed: Callable[[str], None]
    unavailable: Callable[[str], None]
    died: Callable[[], None] = _unhurried
    causes: Callable[[str, ObservedPod | None], Awaitable[Mapping[str, DeathCause]]] = _untraced
    unmet: Callable[[str], str] = _alone
    adopt: Callable[[frozenset[str]], Awaitable[None]] = _kept
