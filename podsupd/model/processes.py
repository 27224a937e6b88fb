"""The processes of a pod: as /proc tells them, and as the tree that is shown."""

from dataclasses import dataclass
from enum import StrEnum


class Origin(StrEnum):
    """Where a process of a pod comes from."""

    INFRA = "infra"  # the pod's infra container
    CONTAINER = "container"  # the container's first process, or a descendant of it
    EXEC = "exec"  # started in the container from outside the pod (podman exec, an exec probe), or a descendant of it
    HOST = "host"  # in the pod's PID namespace but in no container of it (nsenter)
    UNKNOWN = "unknown"  # the kernel does not tell any more


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process as /proc/PID/stat and status tell it; PIDs are the host's unless said otherwise.

    namespace_pids: its PID in each PID namespace, the host's first. container_id: from its cgroup, empty when that
    does not tell. state: the kernel's letter. start_ticks: since the boot; with the PID it names the process.
    started: epoch seconds. name: the kernel's short one. arguments: empty for a zombie. caught, ignored, blocked,
    pending: masks, where bit 0 is signal 1.
    """

    pid: int
    parent: int
    namespace_pids: tuple[int, ...]
    container_id: str
    state: str
    threads: int
    start_ticks: int
    started: float
    name: str
    arguments: tuple[str, ...] = ()
    caught: int = 0
    ignored: int = 0
    blocked: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """A container of a pod whose processes are asked for. pid: its first process on the host, 0 when it has none."""

    container_id: str
    name: str
    pid: int
    infra: bool = False


@dataclass(frozen=True, slots=True)
class ProcessRecords:
    """What was read. omitted: processes that were found and not read, since there were too many.

    seen: ids of the containers whose first process was found to be theirs.
    """

    records: tuple[ProcessRecord, ...]
    omitted: int
    seen: frozenset[str]


@dataclass(frozen=True, slots=True)
class Process:
    """A process in the tree. pid and parent are PIDs in the pod, host_pid and host_parent on the host.

    parent, host_parent: None when the parent is not in the pod. depth: 0 for a root. container: the manifest's name,
    None for infra and for a process of no container. orphan: its parent has gone, and the pod's PID 1 took it over.
    zombie: dead, and not yet reaped by its parent. Signals are by name, in the order of their numbers. start_ticks: as
    in ProcessRecord.
    """

    pid: int
    host_pid: int
    parent: int | None
    host_parent: int | None
    depth: int
    container: str | None
    origin: Origin
    name: str
    arguments: tuple[str, ...]
    state: str
    started: float
    orphan: bool
    zombie: bool
    caught: tuple[str, ...]
    ignored: tuple[str, ...]
    blocked: tuple[str, ...]
    pending: tuple[str, ...]
    start_ticks: int = 0


@dataclass(frozen=True, slots=True)
class PodProcesses:
    """The processes of a pod, depth first: each is followed by its descendants.

    shared: all containers are in one PID namespace; else a PID in the pod means a process only with its container.
    """

    pod: str
    shared: bool
    processes: tuple[Process, ...]
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class ProcessCount:
    """How many processes a pod has, zombies among them."""

    processes: int
    zombies: int
