"""The engine's workers on the fake libpod, with every other edge in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podsupd.engine.events import EventLog
from podsupd.engine.executor import Executor, Host
from podsupd.engine.file_keeper import FileKeeper
from podsupd.engine.fleet import Fleet
from podsupd.engine.holders import Holders
from podsupd.engine.hooks import Hooks
from podsupd.engine.probe_memory import ProbeMemory
from podsupd.engine.prober import ProbeScheduler
from podsupd.engine.puller import Puller
from podsupd.engine.tools import Tools
from podsupd.errors import CgroupUnavailable, PodsupdError, ProbeUnrunnable, StateUnavailable
from podsupd.libpod import LibpodRuntime
from podsupd.model.desired import Desired, DesiredFile, FileState
from podsupd.model.limits import Limits
from podsupd.model.network import PortHolder
from podsupd.model.observed import MonitorState
from podsupd.model.plan import Intent, Now, PodMemory
from podsupd.model.spec import ContainerSpec, PodSpec, ProbeSpec, Source
from podsupd.model.status import Event
from podsupd.ports import Attempt, Persisted, ProbeTarget
from podsupd.volumes import PodFolders
from tests.fakes.libpod import FakeLibpod
from tests.fakes.meter import CountingMeter
from tests.fakes.objects import BUSYBOX

OWNER = "0" * 32
DIR = "/pods.d"


def pod(name: str, *containers: str, **changes: Any) -> PodSpec:
    """Return a pod of busybox containers, of the file that bears its name."""
    specs = tuple(ContainerSpec(c, f"{name}-{c}", BUSYBOX) for c in containers or ("main",))
    return PodSpec(name, Source(f"{DIR}/{name}.yaml"), specs, share_process_namespace=True, **changes)


def desired(*pods: PodSpec, scans: int = 1, **changes: Any) -> Desired:
    """Return the desired state that declares these pods, each in a file of its own."""
    files = {p.source.path: DesiredFile(p.source.path, FileState.LOADED, (p,)) for p in pods}
    return Desired(DIR, (1, 1), files, {p.name: p for p in pods}, scans=scans, **changes)


class Clock:
    """The machine's own time: the fake libpod answers over a real socket.

    slept: seconds of a sleep, to be set. epoch: a wall clock that stands still.
    """

    slept = 0.0
    epoch: float | None = None

    def now(self) -> Now:
        """Return monotonic seconds, and those of the sleep besides."""
        return Now(time.monotonic() + self.slept, "boot", self.slept)

    def wall(self) -> float:
        """Return epoch seconds."""
        return time.time() if self.epoch is None else self.epoch


@dataclass
class MemoryState:
    """A state that keeps what it is given, or refuses. log: shared with the fake's calls, to see the order.

    slow: while it is cleared, nothing that is saved gets to the disk.
    """

    log: list[tuple[str, str]]
    full: bool = False
    broken_for: str = ""
    memories: dict[str, PodMemory] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    expectations: dict[str, str] = field(default_factory=dict)
    slow: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.slow.set()

    async def load(self) -> Persisted:
        """Return nothing."""
        return Persisted()

    async def save_memory(self, pod: str, memory: PodMemory) -> None:
        """Keep a memory."""
        if pod == self.broken_for:
            raise RuntimeError("a bug of ours")
        if self.full:
            raise StateUnavailable("cannot save to state.db: disk is full")
        await self.slow.wait()
        self.memories[pod] = memory
        self.log.append(("save", pod))

    async def save_probes(self, pod: str, text: str) -> None:
        """Drop it."""

    async def save_expectations(self, pod: str, text: str) -> None:
        """Keep it."""
        if self.full:
            raise StateUnavailable("cannot save to state.db: disk is full")
        self.expectations[pod] = text

    async def forget_pod(self, pod: str) -> None:
        """Note it."""
        self.forgotten.append(pod)

    async def save_intent(self, pod: str, intent: Intent) -> None:
        """Drop it."""

    async def save_images(self, images: Mapping[str, str]) -> None:
        """Keep them, or refuse."""
        if self.full:
            raise StateUnavailable("cannot save to state.db: disk is full")
        self.images = dict(images)

    async def save_files(self, last_good: Mapping[str, str], identity: tuple[int, int] | None) -> None:
        """Drop it."""


@dataclass
class Deaths:
    """Pidfds by hand. usable: False is a kernel or a container where none can be had."""

    usable: bool = True
    watched: dict[int, Callable[[], None]] = field(default_factory=dict)

    def watch(self, pid: int, on_exit: Callable[[], None]) -> Callable[[], None] | None:
        """Remember whom to call."""
        if not self.usable:
            raise PodsupdError(f"cannot watch process {pid}: Function not implemented")
        self.watched[pid] = on_exit
        return lambda: self.watched.pop(pid, None) and None

    def tell(self, pid: int) -> None:
        """Say that a process is gone."""
        self.watched.pop(pid)()


@dataclass
class Cgroups:
    """Shelters by hand. moved: whom shelter() moves; left: who is in our cgroups; broken: why nobody can be moved.

    stray: who goes on in the cgroup of a container that Podman has lost.
    """

    moved: dict[str, tuple[int, ...]] = field(default_factory=dict)
    left: dict[str, tuple[int, ...]] = field(default_factory=dict)
    broken: str = ""
    enforced_on: dict[str, Limits] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    stray: dict[str, tuple[int, ...]] = field(default_factory=dict)

    async def shelter(self, container_id: str, pid: int) -> None:
        """Move them, or refuse."""
        del pid
        self.calls.append(("shelter", container_id))
        if self.broken:
            raise CgroupUnavailable(self.broken)
        if container_id in self.moved:
            self.left[container_id] = self.moved[container_id]

    def sweep(self, container_id: str, pid: int) -> None:
        """Note it."""
        self.calls.append(("sweep", container_id) if pid else ("sweep at the death", container_id))

    def gather(self, container_id: str, sibling_id: str, sibling_pid: int) -> None:
        """Move them."""
        assert sibling_id != container_id
        assert sibling_pid > 0
        if container_id in self.stray:
            self.left[container_id] = self.stray.pop(container_id)

    async def look(self, lives: Mapping[str, int]) -> Mapping[str, tuple[int, ...]]:
        """Return who is there."""
        return {c: self.left[c] for c in lives if c in self.left}

    async def signal(self, container_id: str, signal: str, step: int, pid: int) -> tuple[str, ...]:
        """Have everyone end at SIGKILL."""
        del step, pid
        self.calls.append((signal, container_id))
        if self.broken:
            raise CgroupUnavailable(self.broken)
        got = self.left.get(container_id, ())
        if signal == "SIGKILL" and container_id in self.left:
            self.left[container_id] = ()
        return tuple(f"worker (pid {pid})" for pid in got)

    async def limits(self, container_id: str, pid: int) -> Limits | None:
        """See what the test put there."""
        del pid
        return self.enforced_on.get(container_id)

    async def enforced(self, lives: Mapping[str, int]) -> Mapping[str, Limits]:
        """See what the test put there."""
        return {c: self.enforced_on[c] for c in lives if c in self.enforced_on}

    async def remove(self, container_id: str) -> None:
        """Remove the empty one."""
        assert self.left.pop(container_id) == ()
        self.calls.append(("remove", container_id))


@dataclass
class Conmons:
    """conmon by hand: how each is, by container id. woken: whom somebody let go on."""

    states: dict[str, MonitorState] = field(default_factory=dict)
    woken: list[str] = field(default_factory=list)

    def state(self, pid: int, container_id: str) -> MonitorState | None:
        """Say how it is."""
        del pid
        return self.states.get(container_id)

    def wake(self, pid: int, container_id: str) -> bool:
        """Note it."""
        del pid
        self.woken.append(container_id)
        return True


@dataclass
class Sockets:
    """Listeners by hand: who holds which port."""

    held: dict[tuple[str, int], tuple[PortHolder, ...]] = field(default_factory=dict)

    def holders(self, protocol: str, port: int) -> tuple[PortHolder, ...]:
        """Say who."""
        return self.held.get((protocol, port), ())


class Journal:
    """A history that keeps everything."""

    def __init__(self) -> None:
        self.notes: list[Event] = []

    def record(self, event: Event) -> None:
        """Keep an event."""
        self.notes.append(event)

    async def events(self, pod: str | None, since: int, limit: int, *, oldest: bool = False) -> list[Event]:
        """Return none: nobody asks here."""
        del pod, since, limit, oldest
        return []

    def reasons(self, pod: str) -> list[str]:
        """Return the reasons told of a pod, in order."""
        return [n.reason for n in self.notes if n.pod == pod]


class NoProbes:
    """A prober that cannot."""

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Refuse."""
        raise ProbeUnrunnable(f"cannot probe {target.pod} for {spec.name}")


class CountingMissed(CountingMeter):
    """Counts what only a relist found."""

    def __init__(self) -> None:
        super().__init__()
        self.missed = 0
        self.killed: list[tuple[str, str, int]] = []

    def stop_killed(self, pod: str, container: str, processes: int) -> None:
        """Remember them."""
        if processes:
            self.killed.append((pod, container, processes))

    def missed_event(self) -> None:
        """Count it."""
        self.missed += 1


def _holds(true: Callable[[], object]) -> bool:
    try:
        return bool(true())
    except LookupError:
        # What is asked about is not there yet.
        return False


class Rig:
    """A fleet on the fake libpod. Nothing relists or follows events by itself: a test does it by hand."""

    def __init__(self, fake: FakeLibpod, runtime: LibpodRuntime, meter: CountingMissed) -> None:
        self.fake, self.runtime, self.meter = fake, runtime, meter
        self.state = MemoryState(fake.calls)
        self.shelters = Cgroups()
        self.monitors = Conmons()
        self.listeners = Sockets()
        self.deaths, self.journal, self.clock = Deaths(), Journal(), Clock()
        self.hooks = Hooks(NoProbes(), self.poke)
        self.doubts: list[str] = []
        self.stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self.fleet = Fleet(Persisted(), self.stopping)
        puller = Puller(runtime, self.clock, self.fleet.poke_all)
        prober = ProbeScheduler(NoProbes(), self.clock, meter, self.fleet.poke_pod)
        host = Host(self.shelters, self.monitors, Holders(self.listeners, runtime))
        self.fleet.equip(
            Tools(
                owner=OWNER,
                runtime=runtime,
                state=self.state,
                clock=self.clock,
                executor=Executor(runtime, puller, host, meter, OWNER),
                puller=puller,
                files=FileKeeper(PodFolders(str(fake.path.parent / "files")), runtime, OWNER),
                hooks=self.hooks,
                prober=prober,
                probe_memory=ProbeMemory(prober, self.state),
                processes=self.deaths,
                shelters=self.shelters,
                monitors=self.monitors,
                events=EventLog(self.journal, self.clock),
                meter=meter,
                info=lambda: None,
                changed=lambda _: self._changed.set(),
                unavailable=self.doubts.append,
            )
        )

    def poke(self, pod: str) -> None:
        """Have a pod's worker look again."""
        self.fleet.poke_pod(pod)

    async def relist(self) -> None:
        """Relist once, as the observer does."""
        self.fleet.relisted(await self.runtime.relist())

    async def want(self, *pods: PodSpec, **changes: Any) -> None:
        """Declare these pods and relist."""
        self.fleet.apply(desired(*pods, **changes), frozenset())
        await self.relist()

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Wait until something is true; every change of a worker's picture is a reason to look."""
        try:
            async with asyncio.timeout(60):
                while not _holds(true):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"waited for {what}; calls {self.fake.calls[-20:]}") from None

    def settled(self, name: str) -> bool:
        """Say whether a pod is as desired, to its worker's newest knowledge."""
        worker = self.fleet.workers.get(name)
        view = worker.view() if worker else None
        return view is not None and view.plan is not None and view.fresh and view.plan.settled

    async def up(self, *pods: PodSpec) -> None:
        """Bring pods up, and forget the calls it took."""
        await self.want(*pods)
        for one in pods:
            await self.until(lambda one=one: self.settled(one.name), f"{one.name} up")  # type: ignore[misc]
        await self.relist()
        self.fake.calls.clear()

    def poked(self) -> list[str]:
        """Name the pods whose workers are to look again."""
        return [name for name, worker in self.fleet.workers.items() if worker._again.is_set()]

    async def quiet(self) -> None:
        """Wait until every worker has looked and none is to look again."""
        async with asyncio.timeout(60):
            while self.poked() or not all(self.settled(name) for name in self.fleet.workers):
                await asyncio.sleep(0)

    def of(self, operation: str) -> list[str]:
        """Return the objects of an operation's calls."""
        return [what for name, what in self.fake.calls if name == operation]


@asynccontextmanager
async def rigged(path: Path, *, timeout_s: float = 30.0) -> AsyncIterator[Rig]:
    """Yield a rig, and end its workers."""
    meter = CountingMissed()
    async with (
        FakeLibpod(path / "podman.sock") as fake,
        LibpodRuntime(fake.url, meter=meter, request_timeout_s=timeout_s) as runtime,
    ):
        rig = Rig(fake, runtime, meter)
        try:
            yield rig
        finally:
            rig.stopping.set()
            await rig.fleet.close()
