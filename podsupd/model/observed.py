"""What Podman says is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OWNER_LABEL = "podsupd.io/owner"
POD_LABEL = "podsupd.io/pod"
POD_IP_LABEL = "podsupd.io/pod-ip"
"""The pod's address that a container was told by its environment."""
CONTAINER_LABEL = "podsupd.io/container"
DIGEST_LABEL = "podsupd.io/digest"
SOURCE_LABEL = "podsupd.io/source"


class ContainerState(StrEnum):
    """libpod's container states; anything else is UNKNOWN."""

    CREATED = "created"
    INITIALIZED = "initialized"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXITED = "exited"
    REMOVING = "removing"
    UNKNOWN = "unknown"

    @property
    def dead(self) -> bool:
        """Its process ran and is gone."""
        return self in {ContainerState.STOPPED, ContainerState.EXITED}

    @property
    def alive(self) -> bool:
        """A process of it is there."""
        return self in {ContainerState.RUNNING, ContainerState.PAUSED, ContainerState.STOPPING}


class MonitorState(StrEnum):
    """conmon, which records how a container ends: it runs, was stopped by a signal, or is not there any more."""

    RUNS = "runs"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One life of a container: a restart in place keeps the id, so the start time is part of the key.

    started_at: Podman's own RFC 3339 text with nanoseconds; compared for equality only.
    """

    container_id: str
    started_at: str


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    """A container, from inspect. Times are epoch seconds (0.0: never); pid is the host's, 0 when not running.

    monitor_pid: of its conmon, 0 where Podman does not tell.
    """

    id: str
    name: str
    state: ContainerState
    labels: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: str = ""
    started_epoch: float = 0.0
    finished_epoch: float = 0.0
    image: str = ""
    image_id: str = ""
    stop_signal: str = "SIGTERM"
    stop_timeout_s: float = 30.0
    oci_runtime: str = ""
    oci_config_path: str = ""
    monitor_pid: int = 0

    @property
    def incarnation(self) -> Incarnation:
        """Return the key of this life."""
        return Incarnation(self.id, self.started_at)

    def label(self, key: str) -> str:
        """Return a label, empty if missing."""
        return self.labels.get(key, "")


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """A pod with its infra container and its other containers; ip is the pod's own, empty when infra is down."""

    id: str
    name: str
    labels: Mapping[str, str]
    infra: ObservedContainer | None
    containers: tuple[ObservedContainer, ...]
    shared_namespaces: frozenset[str] = frozenset()
    ip: str = ""

    def owned_by(self, owner: str) -> bool:
        """Say whether the pod carries this owner id."""
        return self.labels.get(OWNER_LABEL) == owner


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """A line of the container list, cheap to get: equal lines mean nothing changed."""

    id: str
    name: str
    state: str
    pid: int
    started_epoch: int
    exit_code: int
    pod_id: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PodSummary:
    """A line of the pod list with the lines of its containers."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: str
    infra_id: str
    containers: tuple[ContainerSummary, ...]

    def owned_by(self, owner: str) -> bool:
        """Say whether the pod carries this owner id."""
        return self.labels.get(OWNER_LABEL) == owner


@dataclass(frozen=True, slots=True)
class Relist:
    """All pods and all container names of the host at one moment. names: container name -> id."""

    pods: tuple[PodSummary, ...]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """The Podman that answers. oci_runtimes: name -> path of the binary."""

    version: str
    rootless: bool
    cgroup_manager: str
    oci_runtimes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """An event of Podman's stream: kind is container, pod or image; action as Podman names it (died, start...)."""

    kind: str
    action: str
    id: str
    name: str
    pod_id: str
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A command that ran to its end; output is the first 4 KiB of stdout and stderr."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a container's log; stream is stdout or stderr."""

    container: str
    stream: str
    text: str
