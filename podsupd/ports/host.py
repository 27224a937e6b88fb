"""The host: clock, directory, processes, cgroups, the service manager."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Protocol

from podsupd.model.desired import DirectoryScan
from podsupd.model.limits import Limits
from podsupd.model.network import PortHolder
from podsupd.model.observed import MonitorState
from podsupd.model.plan import Now
from podsupd.model.processes import Member, ProcessCount, ProcessRecords
from podsupd.model.sending import Addressee, Dispatch
from podsupd.model.spec import PodSpec


class Clock(Protocol):
    """Time as the engine sees it."""

    def now(self) -> Now:
        """Return CLOCK_BOOTTIME and the boot id."""
        ...

    def wall(self) -> float:
        """Return epoch seconds, for showing only."""
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


class Monitors(Protocol):
    """The conmons of containers; neither blocks."""

    def state(self, pid: int, container_id: str) -> MonitorState | None:
        """Say how a container's conmon is, whose host pid Podman tells; None when that is not known (pid 0)."""
        ...

    def wake(self, pid: int, container_id: str) -> bool:
        """Let it go on when it was stopped by a signal; False when it is gone."""
        ...


class Listeners(Protocol):
    """Sockets of the host."""

    def holders(self, protocol: str, port: int) -> tuple[PortHolder, ...]:
        """Return who holds a port (TCP or UDP); none when nobody is seen to. Blocks: it reads all of /proc."""
        ...


class SignalSender(Protocol):
    """Sends signals to processes that are named so that no other one can be taken for them."""

    def send(self, to: Sequence[Addressee], number: int) -> Mapping[int, Dispatch]:
        """Signal each of these in their order; returns by host pid when it was sent, or why it was not.

        Blocks, for some 0.1 ms a process: call it in a thread for many. Raises nothing.
        """
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

    def sweep(self, container_id: str, pid: int) -> None:
        """Move, soon, whoever the first process started after shelter(). Raises nothing.

        pid: of the first process, 0 when it has just ended. Nobody is moved when that process is not there any more.
        """
        ...

    def gather(self, container_id: str, sibling_id: str, sibling_pid: int) -> None:
        """Move, soon, whoever is still in the cgroup of a container that is gone from Podman. Raises nothing.

        sibling: a container of its pod, with the host pid of its first process; their cgroups lie beside each other.
        """
        ...

    async def look(self, lives: Mapping[str, int]) -> Mapping[str, tuple[int, ...]]:
        """Return container id -> pids in its cgroup of ours, for those of these containers that have one.

        lives: container id -> host pid of its first process, or 0 when it is not to be swept after (or gone). Where
        Podman makes no cgroups (rootless without systemd) those that a first process left behind are found without
        one, if this was called while it lived.
        """
        ...

    async def signal(self, container_id: str, signal: str, step: int, pid: int) -> tuple[str, ...]:
        """Signal everyone in its cgroup of ours and, unless pid is 0, in its own but the process of that pid.

        Nobody gets the same signal of the same step twice, but for SIGKILL. Returns those who got it first now, as
        ``command (pid N)``.
        """
        ...

    async def enforced(self, lives: Mapping[str, int]) -> Mapping[str, Limits]:
        """Return what the kernel enforces on containers that run, given with their first process' host pid.

        Those of which it does not tell are left out. Cheap: it is asked at every relist.
        """
        ...

    async def limits(self, container_id: str, pid: int) -> Limits | None:
        """Return what the kernel enforces on a container, whose first process has this host pid; None: not seen."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove its cgroup of ours, which is empty; gone already is success."""
        ...


class PodFiles(Protocol):
    """The files that we make for pods: their configMap, secret, downwardAPI and projected volumes, and last words."""

    async def keep(self, pod: PodSpec, uid: str) -> Collection[str]:
        """Have every file of a pod's volumes as it should be; return the volumes that changed under containers.

        Cheap when nothing changed. uid: the pod's id, empty before it is made. Raises FilesUnavailable.
        """
        ...

    async def remove(self, pod: str) -> None:
        """Remove all files of a pod that is about to go; gone already is success. Raises FilesUnavailable."""
        ...

    async def begin(self, pod: str, container: str) -> None:
        """Forget a container's last words, before it is started."""
        ...

    async def message(self, pod: str, container: str) -> str:
        """Return what a container wrote to its terminationMessagePath, at most 4 KiB; empty when nothing."""
        ...

    async def trim(self) -> None:
        """Cut last words that take more memory than they are read for."""
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

    def watchdog(self) -> None:
        """WATCHDOG=1."""
        ...

    def reloading(self) -> None:
        """RELOADING=1 with MONOTONIC_USEC."""
        ...

    def stopping(self) -> None:
        """STOPPING=1."""
        ...
