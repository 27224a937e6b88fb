"""Protocols between the engine and the edges, in terms of the model: what one side may ask of the other."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from podsupd.model.desired import DirectoryScan
from podsupd.model.observed import ExecResult, LogLine, ObservedPod, Relist, RuntimeEvent, RuntimeInfo
from podsupd.model.plan import (
    CreateContainer,
    CreatePod,
    Intent,
    Now,
    PodMemory,
)
from podsupd.model.processes import Member, PodProcesses, ProcessCount, ProcessRecords
from podsupd.model.signals import ProcessFacts, SignalRecord, TraceEvent
from podsupd.model.spec import ProbeSpec
from podsupd.model.status import Change, ConfigStatus, DaemonStatus, Event, Health, PodPlan, PodStatus


class Clock(Protocol):
    """Time as the engine sees it."""

    def now(self) -> Now:
        """Return CLOCK_BOOTTIME and the boot id."""
        ...

    def wall(self) -> float:
        """Return epoch seconds, for showing only."""
        ...


class Runtime(Protocol):
    """The runtime edge (libpod). Every method raises PodmanError's subclasses only."""

    async def info(self) -> RuntimeInfo:
        """Ask who answers; the cheapest sign of life is relist, not this."""
        ...

    def sees_processes(self) -> bool:
        """Say whether a pid in what is observed means the same process here (not in a container of our own)."""
        ...

    async def relist(self) -> Relist:
        """List all pods and containers of the host, ours and others'."""
        ...

    async def observe_pod(self, name: str) -> ObservedPod | None:
        """Inspect one pod and its containers afresh; None when there is none of that name."""
        ...

    async def create_pod(self, action: CreatePod, labels: Mapping[str, str]) -> str:
        """Create the pod, its infra container and nothing else; return its id."""
        ...

    async def create_container(self, action: CreateContainer, labels: Mapping[str, str]) -> str:
        """Create, not start, a container in the pod; return its id."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start a created or dead container; already running is success."""
        ...

    async def signal_container(self, container_id: str, signal: str) -> None:
        """Send a signal to its first process; PodmanConflict when it is not running."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Remove a container that is not running, with its anonymous volumes; gone already is success."""
        ...

    async def remove_pod(self, pod_id: str) -> None:
        """Remove a pod without running containers; gone already is success. Never by force."""
        ...

    async def remove_volumes(self, labels: Mapping[str, str]) -> None:
        """Remove the volumes that carry all these labels (a removed pod's emptyDirs)."""
        ...

    async def image_id(self, reference: str) -> str | None:
        """Return the id of a local image, None when it is absent."""
        ...

    def pull(self, reference: str) -> AsyncIterator[str]:
        """Pull an image, yielding progress lines; PodmanRejected with the registry's word when it fails."""
        ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Follow Podman's events of pods, containers and images until the connection ends."""
        ...

    def logs(self, container_id: str, container: str, *, follow: bool, tail: int | None) -> AsyncIterator[LogLine]:
        """Read a container's log."""
        ...

    async def exec(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command in a container through the exec API (the fallback of exec probes)."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What an attempt needs to know of where it goes, as observed when the probe was registered.

    netns_pid: host pid of the infra container; infra_id: its id, checked against that process. ip: the pod's own.
    container_id, oci_*: for exec.
    """

    pod: str
    netns_pid: int = 0
    ip: str = ""
    container_id: str = ""
    container_pid: int = 0
    oci_runtime: str = ""
    oci_config_path: str = ""
    infra_id: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt: successful or not, with a sentence. Unrunnable raises ProbeUnrunnable instead."""

    successful: bool
    message: str
    duration_s: float
    warning: str = ""


class Prober(Protocol):
    """The probing edge: one attempt of any kind, from any vantage."""

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Make one attempt within spec.timeout_s; a time-out is an unsuccessful Attempt.

        Raises ProbeUnrunnable when the attempt itself could not be made.
        """
        ...


@dataclass(frozen=True, slots=True)
class Persisted:
    """What state.db held at the start.

    last_good: absolute path -> text of the file when it last parsed well. probes: pod -> what save_probes was given.
    """

    memories: Mapping[str, PodMemory] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    last_good: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[int, int] | None = None
    messages: tuple[str, ...] = ()


class State(Protocol):
    """The durable state. Each save returns when the bytes are on disk, or raises StateUnavailable."""

    async def load(self) -> Persisted:
        """Read everything once, at the start; a corrupt file is set aside and named in messages."""
        ...

    async def save_memory(self, pod: str, memory: PodMemory) -> None:
        """Save a pod's memory, before the action it covers."""
        ...

    async def save_probes(self, pod: str, text: str) -> None:
        """Save a pod's probe states, as text of the engine's own making."""
        ...

    async def forget_pod(self, pod: str) -> None:
        """Drop memory, intent and probe states of a pod that is gone."""
        ...

    async def save_intent(self, pod: str, intent: Intent) -> None:
        """Save what an operator asked."""
        ...

    async def save_files(self, last_good: Mapping[str, str], identity: tuple[int, int] | None) -> None:
        """Save the last good texts (the whole map replaces what was there) and the directory's identity."""
        ...


class History(Protocol):
    """The expendable history: recording never blocks and never fails; reading may be empty."""

    def record(self, event: Event) -> None:
        """Queue an event for the next batch."""
        ...

    async def events(self, pod: str | None, since: int, limit: int) -> list[Event]:
        """Read the newest ``limit`` events with an id above ``since``, oldest first."""
        ...


class Directory(Protocol):
    """The manifest directory."""

    async def scan(self) -> DirectoryScan:
        """Read the whole directory, off the event loop; raises nothing, faults are in the result."""
        ...

    def hints(self) -> AsyncIterator[None]:
        """Yield whenever something may have changed; a hint, the timed rescan is the truth."""
        ...


class Processes(Protocol):
    """Exits of first processes."""

    def watch(self, pid: int, on_exit: Callable[[], None]) -> Callable[[], None] | None:
        """Call on_exit once when the process is gone; returns a cancel, or None when it is gone already."""
        ...


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


class SignalHistory(Protocol):
    """The ledger's rows in the history: recording never blocks and never fails; reading may be empty."""

    def record_signal(self, record: SignalRecord) -> None:
        """Queue a record; one with an id that is there already replaces it."""
        ...

    async def signals(self, pod: str | None, since: int, limit: int) -> list[SignalRecord]:
        """Read the newest ``limit`` records with an id above ``since``, oldest first."""
        ...


class Shelters(Protocol):
    """Cgroups of our own, beside a container's: there its processes are out of reach of the runtime's last kill.

    Everything raises CgroupUnavailable and is done in the order in which it was asked for.
    """

    async def shelter(self, container_id: str, pid: int) -> None:
        """Move all processes of the container but the first, whose host pid is given, to a cgroup of ours.

        Nothing is made when there are none. What they start stays with them. When it fails all are where they were.
        """
        ...

    def sweep(self, container_id: str) -> None:
        """Move, soon, whoever the first process started after shelter(); it has just ended. Raises nothing."""
        ...

    async def look(self, lives: Mapping[str, int]) -> Mapping[str, tuple[int, ...]]:
        """Return container id -> pids in its cgroup of ours, for those of these containers that have one.

        lives: container id -> host pid of its first process, or 0 when it is not to be swept after (or gone).
        """
        ...

    async def signal(self, container_id: str, signal: str, step: int, pid: int) -> tuple[str, ...]:
        """Signal everyone in its cgroup of ours and, unless pid is 0, in its own but the process of that pid.

        Nobody gets the same signal of the same step twice, but for SIGKILL. Returns those who got it first now, as
        ``command (pid N)``.
        """
        ...

    async def remove(self, container_id: str) -> None:
        """Remove its cgroup of ours, which is empty; gone already is success."""
        ...


class ProcessTable(Protocol):
    """The processes of this host. Both methods block, for microseconds a process: call them in a thread."""

    def records(self, members: Sequence[Member]) -> ProcessRecords:
        """Read the processes of one pod's containers, and of whoever else is in their PID namespaces."""
        ...

    def counts(self, pods: Mapping[str, Sequence[Member]]) -> Mapping[str, ProcessCount]:
        """Count the processes of all these pods (name -> containers) in one walk.

        A pod whose containers run and whose processes are hidden from us is left out.
        """
        ...


class Notifier(Protocol):
    """systemd's notify socket; all no-ops when there is none."""

    def ready(self, status: str) -> None:
        """READY=1."""
        ...

    def status(self, text: str) -> None:
        """STATUS=."""
        ...

    def watchdog(self) -> None:
        """WATCHDOG=1."""
        ...

    def reloading(self) -> None:
        """RELOADING=1 with MONOTONIC_USEC."""
        ...

    def stopping(self) -> None:
        """STOPPING=1."""
        ...


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

    async def processes(self, pod: str) -> PodProcesses:
        """Return the tree of a pod's processes. Raises ProcessesUnavailable."""
        ...

    async def count_processes(self) -> None:
        """Count the processes of all pods, unless that was done a moment ago. Raises nothing."""
        ...

    def process_counts(self) -> Mapping[str, ProcessCount]:
        """Return what count_processes counted last, by pod; empty where processes cannot be looked at."""
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
