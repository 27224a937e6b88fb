"""What is shown: derived from the snapshot at the moment of asking, never stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from podsupd.model.desired import DesiredFile
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import Death
from podsupd.model.spec import PodSpec, ProbeSpec, ProbeType, Vantage


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the history. id grows (microseconds of the wall clock, made unique); time is RFC 3339 in UTC.

    type: Normal or Warning; reason: Kubernetes' word (Started, Killing, BackOff, Unhealthy, Pulled, Failed, ...).
    """

    id: int
    time: str
    pod: str
    container: str | None
    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A Kubernetes condition: status True, False or Unknown; since: epoch seconds of its last change, 0.0 unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """A probe and its last result; result is successful, failed, unknown, or empty before the first.

    history: the last results, newest last, as one character each: ``.`` successful, ``x`` failed, ``?`` unknown.
    ages and delays in seconds.
    """

    name: str
    type: ProbeType
    vantage: Vantage
    container: str | None
    passing: bool | None
    on_hold: bool
    result: str
    message: str
    duration_s: float
    age_s: float | None
    next_s: float | None
    streak: int
    history: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """An attempt that somebody asked for; it counts for nothing. result is successful, failed or unknown.

    address, the times and the texts are ports.probing.Detail's, a text that is no UTF-8 with replacement characters.
    """

    pod: str
    spec: ProbeSpec
    result: str
    message: str
    warning: str = ""
    duration_s: float = 0.0
    address: str = ""
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    head: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container as Kubernetes shows it: state is waiting, running or terminated, with reason and message."""

    name: str
    runtime_name: str
    container_id: str
    image: str
    image_id: str
    ready: bool
    started: bool
    restart_count: int
    state: str
    reason: str
    message: str
    started_at: float
    last_death: Death | None
    paused: bool
    backoff_s: float


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod as shown. phase: Pending, Running, Succeeded, Failed or Unknown; digest: of the spec in force.

    started_at: of its infra container, in epoch seconds.
    """

    name: str
    spec: PodSpec | None
    observed: ObservedPod | None
    phase: str
    conditions: tuple[Condition, ...]
    containers: tuple[ContainerStatus, ...]
    probes: tuple[ProbeStatus, ...]
    why: str
    digest: str
    source: str
    last_good: bool
    stopped: bool
    actions: tuple[str, ...] = ()
    init_containers: tuple[ContainerStatus, ...] = ()
    started_at: float = 0.0

    @property
    def every(self) -> tuple[ContainerStatus, ...]:
        """All containers, the init containers first."""
        return self.init_containers + self.containers

    @property
    def ready(self) -> bool:
        """The Ready condition."""
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


@dataclass(frozen=True, slots=True)
class PodPlan:
    """What would be done to a pod, and why; empty actions: nothing."""

    pod: str
    actions: tuple[str, ...]
    why: str
    wake_in_s: float | None


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """What /v1/config shows: directory, its fault if any, files, and removals held by pod with the reason."""

    directory: str
    error: str
    files: tuple[DesiredFile, ...]
    held: Mapping[str, str] = field(default_factory=dict)
    conflicts: Mapping[str, str] = field(default_factory=dict)


class ChangeState(StrEnum):
    """What became of an edit of intent."""

    PENDING = "Pending"
    DONE = "Done"
    SUPERSEDED = "Superseded"


@dataclass(frozen=True, slots=True)
class Change:
    """An accepted edit of intent: verb is restart, stop or start; container None is the whole pod."""

    id: str
    verb: str
    pod: str
    container: str | None
    state: ChangeState
    message: str


@dataclass(frozen=True, slots=True)
class Health:
    """An answer of /healthz or /readyz with the reasons when it is no."""

    ok: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """What the metrics need besides the pods. Timestamps are epoch seconds, None when never."""

    podman_up: bool
    podman_version: str
    last_relist: float | None
    last_config_success: float | None
    config_files: Mapping[str, int]
    conditions: tuple[Condition, ...] = ()
    tracer_up: bool = False
