"""What the control endpoint asks of the engine, and the counters that everybody feeds."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from podsupd.model.observed import LogLine
from podsupd.model.processes import PodProcesses, ProcessCount
from podsupd.model.sending import DrillReport, SignalReport, SignalRequest
from podsupd.model.signal_policy import Expectation
from podsupd.model.signals import SignalRecord
from podsupd.model.spec import ProbeSpec
from podsupd.model.status import Change, ConfigStatus, DaemonStatus, Event, Health, PodPlan, PodStatus, ProbeRun


class Meter(Protocol):
    """Counters and histograms that the engine and the edges feed; the metrics endpoint implements it."""

    def runtime_operation(self, operation: str, seconds: float, *, error: bool) -> None:
        """Count one libpod call."""
        ...

    def probe(self, pod: str, spec: ProbeSpec, result: str, seconds: float) -> None:
        """Count one attempt: result is successful, failed or unknown."""
        ...

    def probe_lag(self, spec: ProbeSpec, seconds: float) -> None:
        """Note how late after its due time an attempt began."""
        ...

    def restart_latency(self, seconds: float) -> None:
        """Note the time from a death noticed to running again, without the back-off."""
        ...

    def stop_killed(self, pod: str, container: str, processes: int) -> None:
        """Count processes that had to be killed at the end of a stop."""
        ...

    def update(self, pod: str, outcome: str) -> None:
        """Count an update of a pod that ended: succeeded, rolled_back or failed."""
        ...

    def image_removed(self, reason: str) -> None:
        """Count an image that was removed because no pod needs it: age or disk."""
        ...

    def event(self) -> None:
        """Count an event of Podman's stream."""
        ...

    def missed_event(self) -> None:
        """Count a change that the relist found and no event told."""
        ...

    def reconnect(self) -> None:
        """Count a reconnect of the event stream."""
        ...

    def relist(self, seconds: float) -> None:
        """Note how long a relist took."""
        ...

    def signal(self, record: SignalRecord) -> None:
        """Count a signal of the ledger (a storm's record by its count)."""
        ...

    def expectation(self, pod: str, rule: Expectation, outcome: str, count: int = 1) -> None:
        """Count an expectation of a signal that was met or breached; a count of 0 makes the series."""
        ...

    def signals_lost(self, count: int) -> None:
        """Count records that the kernel's buffer dropped."""
        ...


class Control(Protocol):
    """What the control endpoint, the metrics and the status page may ask of the engine. Reads never block.

    Unknown pods and containers raise LookupError with a sentence for the user.
    """

    def health(self) -> Health:
        """The loops turn."""
        ...

    def readiness(self) -> Health:
        """First reconcile done, Podman reachable, observation fresh."""
        ...

    def daemon(self) -> DaemonStatus:
        """Return what the metrics need besides the pods."""
        ...

    def pods(self) -> tuple[PodStatus, ...]:
        """All pods, by name."""
        ...

    def plans(self) -> tuple[PodPlan, ...]:
        """Pending actions by pod, with reasons."""
        ...

    def config(self) -> ConfigStatus:
        """Return files, their states, removals held."""
        ...

    async def change(self, verb: str, pod: str, container: str | None) -> Change:
        """Edit the intent (restart, stop, start); saved before this returns."""
        ...

    async def wait_change(self, change_id: str, wait_s: float) -> Change:
        """Return what became of it, waiting up to wait_s while it is pending."""
        ...

    async def reload(self) -> ConfigStatus:
        """Rescan now; returns after the scan is in force."""
        ...

    async def prune(self, *, confirm: bool) -> Mapping[str, str]:
        """Return the removals held, by pod with the reason; with confirm release them."""
        ...

    async def adopt(self, *, confirm: bool) -> Mapping[str, str]:
        """Return our directory's pods of another owner id, with that id; with confirm take the ids for ours.

        Raises StateUnavailable when that cannot be saved.
        """
        ...

    async def processes(self, pod: str) -> PodProcesses:
        """Return the tree of a pod's processes. Raises ProcessesUnavailable."""
        ...

    async def run_probe(self, pod: str, probe: str) -> ProbeRun:
        """Make one attempt of a probe now, which counts for nothing."""
        ...

    async def count_processes(self) -> None:
        """Count the processes of all pods, unless that was done a moment ago. Raises nothing."""
        ...

    def process_counts(self) -> Mapping[str, ProcessCount]:
        """Return what count_processes counted last, by pod; empty where processes cannot be looked at."""
        ...

    async def signal(self, request: SignalRequest) -> SignalReport:
        """Send a signal and return what came of it. Raises LookupError, SignalRefused, ProcessesUnavailable."""
        ...

    async def drill(self, pod: str) -> DrillReport:
        """Send every signal whose consequences the pod declares, and say what followed. Raises as ``signal``."""
        ...

    async def events(self, pod: str | None, since: int, limit: int) -> list[Event]:
        """Read the history."""
        ...

    def follow_events(self, pod: str | None, since: int) -> AsyncIterator[Event]:
        """Yield events after ``since``, then new ones as they come, for ever."""
        ...

    async def signals(self, pod: str, since: int, limit: int) -> list[SignalRecord]:
        """Read the ledger of a pod."""
        ...

    def follow_signals(self, pod: str, since: int) -> AsyncIterator[SignalRecord]:
        """Yield records after ``since``, then new ones as they come, for ever."""
        ...

    def logs(self, pod: str, container: str | None, *, follow: bool, tail: int | None) -> AsyncIterator[LogLine]:
        """Read logs of a pod's containers."""
        ...
