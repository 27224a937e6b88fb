"""Signals: the kernel's records as the tracer reads them, and what the ledger makes of them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

# Raw records. Named tuples: on a busy host thousands a second are made. Times are nanoseconds of CLOCK_MONOTONIC, and
# tids are the host's thread ids, as the kernel's trace gives them.


class Generated(NamedTuple):
    """signal:signal_generate, in the sender's context; result is the kernel's: 0 delivered to 4 lost info."""

    at: int
    tid: int
    signal: int
    code: int
    target: int
    command: str
    result: int


class Delivered(NamedTuple):
    """signal:signal_deliver, in the receiver's context; handler 0 is the default, 1 ignored, else a function."""

    at: int
    tid: int
    signal: int
    code: int
    handler: int


class Forked(NamedTuple):
    """task:task_newtask, in the parent's context; flags are clone(2)'s, 64 bits."""

    at: int
    tid: int
    child: int
    command: str
    flags: int


class Execed(NamedTuple):
    """sched:sched_process_exec; old: the thread that called it, which now has the id of its process."""

    at: int
    tid: int
    old: int
    filename: str


class Exited(NamedTuple):
    """sched:sched_process_exit of one thread."""

    at: int
    tid: int
    command: str


class Attached(NamedTuple):
    """cgroup:cgroup_attach_task: a process was moved to a cgroup by tid."""

    at: int
    tid: int
    pid: int
    path: str


class OutOfMemory(NamedTuple):
    """oom:mark_victim: the kernel chose a process to kill."""

    at: int
    pid: int


class Ended(NamedTuple):
    """The process connector's word on a thread that ended: its process, and the status as wait(2) gives it."""

    at: int
    tgid: int
    status: int


TraceEvent = Generated | Delivered | Forked | Execed | Exited | Attached | OutOfMemory | Ended


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc says of a process now. pids: NSpid, the host's first; user: its name, or its number as text."""

    tgid: int
    parent: int
    command: str
    cgroups: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    user: str = ""
    tids: tuple[int, ...] = ()
    blocked: frozenset[int] = frozenset()
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Party:
    """A sender or a target. pid: in the pod, None where it was not seen; host_pid: None for the kernel.

    origin: container, infra, exec, host, podsupd, podman, kernel or unknown (of a sender; empty of a target).
    user: who runs it on the host, when that could be read.
    """

    container: str | None = None
    pid: int | None = None
    host_pid: int | None = None
    command: str = ""
    origin: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Consequence:
    """What followed: kind is exit (of the target) or signal (that it sent on); after_ms from the signal.

    exit_code is None where only the signal that ended it, or nothing, is known. id: of the signal sent on.
    core_dumped: the kernel wrote a core file.
    """

    kind: str
    container: str | None
    pid: int | None
    after_ms: float
    exit_code: int | None = None
    signal: str | None = None
    id: int | None = None
    core_dumped: bool = False


@dataclass(frozen=True, slots=True)
class SignalRecord:
    """One signal (INTERFACE: A signal record). count: how many of one edge a storm's record stands for.

    result: delivered, ignored, blocked, pending (not yet taken), already pending, lost.
    disposition: default, handler, ignored; None when it was not taken. cause: id of the record it was sent on from.
    purpose: of one that podsupd sent, and not to stop a container: signal, forward or drill (model.sending.Purpose).
    """

    id: int
    time: str
    pod: str
    signal: str
    code: str
    sender: Party
    target: Party
    result: str
    disposition: str | None = None
    latency_us: int | None = None
    cause: int | None = None
    led_to: tuple[Consequence, ...] = ()
    count: int = 1
    fault: str = ""
    purpose: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the record as the interface words it."""
        return {
            "id": self.id,
            "time": self.time,
            "pod": self.pod,
            "signal": self.signal,
            "code": self.code,
            "sender": _party(self.sender) | {"origin": self.sender.origin},
            "target": _party(self.target),
            "result": self.result,
            "disposition": self.disposition,
            "latency_us": self.latency_us,
            "cause": self.cause,
            "led_to": [_consequence(c) for c in self.led_to],
            "count": self.count,
            "purpose": self.purpose,
        }


def _party(value: Party) -> dict[str, Any]:
    return {
        "container": value.container,
        "pid": value.pid,
        "host_pid": value.host_pid,
        "command": value.command,
    }


def _consequence(value: Consequence) -> dict[str, Any]:
    return (
        {
            "kind": value.kind,
            "container": value.container,
            "pid": value.pid,
            "exit_code": value.exit_code,
            "signal": value.signal,
            "after_ms": value.after_ms,
        }
        | ({"core_dumped": True} if value.core_dumped else {})
        | ({"id": value.id} if value.id is not None else {})
    )


@dataclass(frozen=True, slots=True)
class Life:
    """A running container of ours as the tracer needs it; container is empty for infra. pid: first process, host's."""

    pod: str
    container: str
    container_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class DeathCause:
    """Who ended a container's first process, by the kernel's word.

    text: for people (``SIGKILL from host process 'bash' (root)``), beginning with "after" when the process took the
    signal and exited by itself. origin: of the sender, as in Party. purpose: as in SignalRecord. out_of_memory: the
    kernel killed it for that. signal: its name.
    """

    text: str
    origin: str
    purpose: str = ""
    out_of_memory: bool = False
    signal: str = ""
