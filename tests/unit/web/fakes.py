"""A Control without an engine, and the example pod as it would be shown."""
# ruff: noqa: D102  the methods are ports.Control's, and described there

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from podsupd.model.desired import DesiredFile, FileState, Problem
from podsupd.model.observed import ContainerState, Incarnation, LogLine, ObservedContainer, ObservedPod
from podsupd.model.plan import Death
from podsupd.model.processes import Origin, PodProcesses, Process, ProcessCount
from podsupd.model.sending import DrillReport, SignalReport, SignalRequest
from podsupd.model.signal_policy import SignalPolicy
from podsupd.model.signals import Consequence, Party, SignalRecord
from podsupd.model.spec import (
    ContainerSpec,
    ExecCommand,
    HttpGet,
    PodSpec,
    PortSpec,
    ProbeSpec,
    ProbeType,
    Resources,
    Source,
    TcpSocket,
    Vantage,
)
from podsupd.model.status import (
    Change,
    ChangeState,
    Condition,
    ConfigStatus,
    ContainerStatus,
    DaemonStatus,
    Event,
    Health,
    PodPlan,
    PodStatus,
    ProbeRun,
    ProbeStatus,
)
from podsupd.model.volumes import EmptyDir, HostPath, VolumeMount, VolumeSpec
from tests.unit.web.signal_fakes import QUIT, RELOAD, STAYS, drill_report, signal_report

PATH = "/etc/podsupd/pods.d/my-shared-pod.yaml"
STARTED = 1_790_000_000.0

NGINX = ContainerSpec(
    name="nginx-server",
    runtime_name="nginx-server",
    image="docker.io/library/nginx:latest",
    env=(("MODE", "demo"),),
    ports=(PortSpec(80, name="http", host_port=8080),),
    mounts=(VolumeMount("cache", "/var/cache/nginx"), VolumeMount("site", "/usr/share/nginx/html", read_only=True)),
    resources=Resources(cpu_limit_milli=500, memory_limit=64 << 20, memory_request=32 << 20),
    probes=(
        ProbeSpec("nginx-server/liveness", ProbeType.LIVENESS, Vantage.POD, HttpGet(80), container="nginx-server"),
        ProbeSpec("nginx-server/readiness", ProbeType.READINESS, Vantage.POD, TcpSocket(80), container="nginx-server"),
    ),
)
BUSYBOX = ContainerSpec(
    name="busybox-client",
    runtime_name="busybox-client",
    image="docker.io/library/busybox:latest",
    command=("sh", "-c"),
    args=("while true; do wget -O - http://localhost:80/; sleep 5; done",),
    probes=(
        ProbeSpec(
            "busybox-client/liveness",
            ProbeType.LIVENESS,
            Vantage.CONTAINER,
            ExecCommand(("wget", "-q", "-O", "-", "http://localhost:80")),
            container="busybox-client",
        ),
    ),
)
HOST_CURL = ProbeSpec("host-curl", ProbeType.POLICY, Vantage.HOST, HttpGet(8080, host="localhost"), period_s=5)
SPEC = PodSpec(
    name="my-shared-pod",
    source=Source(PATH, 3),
    containers=(NGINX, BUSYBOX),
    labels={"app": "web"},
    annotations={"note": "the example"},
    volumes=(VolumeSpec("cache", EmptyDir(size_limit=1 << 20)), VolumeSpec("site", HostPath("/srv/site", "Directory"))),
    share_process_namespace=True,
    probes=(HOST_CURL,),
    signals=SignalPolicy((RELOAD,), (QUIT, STAYS)),
)
DEATH = Death(Incarnation("b1", "t0"), 137, "SIGKILL", "OOMKilled", "out of memory", STARTED, STARTED + 60)


def observed() -> ObservedPod:
    """Return the example pod as Podman shows it: the client has crashed."""
    infra = ObservedContainer("i1", "my-shared-pod-infra", ContainerState.RUNNING, started_epoch=STARTED, pid=10)
    nginx = ObservedContainer("n1", "nginx-server", ContainerState.RUNNING, started_epoch=STARTED, pid=11)
    busybox = ObservedContainer("b1", "busybox-client", ContainerState.EXITED, exit_code=137, started_epoch=STARTED)
    return ObservedPod("p1", "my-shared-pod", {}, infra, (nginx, busybox), ip="10.88.0.2")


def example() -> PodStatus:
    """Return the example pod with nginx running and the client waiting in its back-off."""
    return PodStatus(
        name="my-shared-pod",
        spec=SPEC,
        observed=observed(),
        phase="Running",
        conditions=(
            Condition("PodScheduled", "True", since=1_790_000_000.0),
            Condition("Ready", "False", "ContainersNotReady", "containers with unready status: [busybox-client]"),
        ),
        containers=(
            ContainerStatus(
                "nginx-server", "nginx-server", "n1", NGINX.image, "sha256:aa", ready=True, started=True,
                restart_count=0, state="running", reason="", message="", started_at=STARTED, last_death=None,
                paused=False, backoff_s=0.0,
            ),
            ContainerStatus(
                "busybox-client", "busybox-client", "b1", BUSYBOX.image, "sha256:bb", ready=False, started=False,
                restart_count=3, state="waiting", reason="CrashLoopBackOff", message="back-off 20s restarting",
                started_at=0.0, last_death=DEATH, paused=False, backoff_s=12.5,
            ),
        ),
        probes=(
            ProbeStatus(
                "nginx-server/liveness", ProbeType.LIVENESS, Vantage.POD, "nginx-server", passing=True, on_hold=False,
                result="successful", message="HTTP 200", duration_s=0.0004, age_s=2.0, next_s=8.0, streak=5,
                history="?x.....",
            ),
            ProbeStatus(
                "host-curl", ProbeType.POLICY, Vantage.HOST, None, passing=None, on_hold=False,
                result="", message="", duration_s=0.0, age_s=None, next_s=None, streak=0,
            ),
        ),
        why="waits 12.5 s before it starts busybox-client: it crashed 3 times in a row",
        digest="v1:abc",
        source=PATH,
        last_good=False,
        stopped=False,
        actions=("start busybox-client",),
        started_at=STARTED,
    )  # fmt: skip


def orphan() -> PodStatus:
    """Return a pod that no file declares any more and that is being stopped."""
    return PodStatus(
        "old-pod", None, None, "Pending", (Condition("Ready", "Unknown"),), (), (), "its file is gone", "", "",
        last_good=True, stopped=True,
    )  # fmt: skip


def process(pid: int, parent: int | None, depth: int, container: str | None, *arguments: str, **fields: Any) -> Process:
    """Return a process of the example pod, whose PID on the host is 4000 more."""
    origin = Origin.CONTAINER if container else Origin.INFRA
    plain = Process(
        pid, pid + 4000, parent, parent and parent + 4000, depth, container, origin, "x", arguments, "sleeping",
        STARTED, orphan=False, zombie=False, caught=(), ignored=(), blocked=(), pending=(),
    )  # fmt: skip
    return replace(plain, **fields)


def tree() -> PodProcesses:
    """Return the processes of the example pod, with one of each kind and a hostile one."""
    nginx = {"caught": ("SIGHUP", "SIGQUIT", "SIGTERM"), "ignored": ("SIGPIPE",)}
    found = (
        process(1, None, 0, None, "/catatonit", "-P"),
        process(19, 1, 1, "busybox-client", "sleep", "1000", orphan=True),
        process(6, None, 0, "nginx-server", "nginx: master process", **nginx),
        process(11, 6, 1, "nginx-server", "nginx: worker process", **nginx),
        process(30, 11, 2, "nginx-server", "cgi", blocked=("SIGUSR1",), pending=("SIGUSR1",)),
        process(12, 6, 1, "nginx-server", name="nginx", state="zombie", zombie=True),
        process(24, None, 0, "busybox-client", "sh", "-c", "a\x1b[31m\nb\x9b\u202e", origin=Origin.EXEC),
        process(25, None, 0, None, "nsenter", origin=Origin.HOST),
    )
    return PodProcesses("my-shared-pod", shared=True, processes=found)


def event(number: int, pod: str = "my-shared-pod", **fields: str | None) -> Event:
    """Return an event of the client's container."""
    plain = Event(number, "2026-11-22T06:27:14.833527Z", pod, "busybox-client", "Warning", "BackOff", "it crashed")
    return replace(plain, **fields)


def signal_record(number: int, pod: str = "my-shared-pod") -> SignalRecord:
    """Return the interface's example of a signal."""
    return SignalRecord(
        number,
        "2026-11-22T06:27:14.833527Z",
        pod,
        "SIGQUIT",
        "kill",
        Party("busybox-client", 131, 5319, "kill", "exec"),
        Party("nginx-server", 6, 4348, "nginx"),
        "delivered",
        "handler",
        41,
        None,
        (Consequence("exit", "nginx-server", 6, 4.7, 0, None),),
    )


def probe_run() -> ProbeRun:
    """Return a probe that was asked for."""
    return ProbeRun(
        "my-shared-pod",
        SPEC.all_probes[0],
        "successful",
        "GET http://localhost:8080/ answered 200",
        duration_s=0.0021,
        address="127.0.0.1:8080",
        connect_s=0.00012,
        first_byte_s=0.0009,
        head="HTTP/1.1 200 OK\r\nServer: nginx\x1b[2J\r\nContent-Length: 3",
    )


def daemon() -> DaemonStatus:
    """Return a daemon in good health that holds a removal."""
    return DaemonStatus(
        podman_up=True,
        podman_version="4.3.1",
        last_relist=STARTED,
        last_config_success=STARTED,
        config_files={"Loaded": 1},
        conditions=(Condition("PodmanReachable", "True"), Condition("Held", "True", "HeldRemoval", "2 pods")),
    )


@dataclass
class FakeControl:
    """What the endpoint asks, answered from attributes; ``calls`` notes the mutations."""

    health_: Health = field(default_factory=lambda: Health(ok=True))
    ready_: Health = field(default_factory=lambda: Health(ok=True))
    daemon_: DaemonStatus = field(default_factory=daemon)
    pods_: list[PodStatus] = field(default_factory=lambda: [example(), orphan()])
    history: list[Event] = field(default_factory=lambda: [event(1), event(2, "other"), event(3)])
    ledger: list[SignalRecord] = field(default_factory=lambda: [signal_record(n) for n in (4711, 4712)])
    lines: list[LogLine | Exception] = field(
        default_factory=lambda: [
            LogLine("nginx-server", "stdout", "GET / 200"),
            LogLine("busybox-client", "stderr", "x"),
        ]
    )
    tree_: PodProcesses = field(default_factory=tree)
    run: ProbeRun = field(default_factory=probe_run)
    report: SignalReport = field(default_factory=signal_report)
    drilled: DrillReport = field(default_factory=lambda: drill_report(met=False))
    counts: dict[str, ProcessCount] = field(
        default_factory=lambda: {"my-shared-pod": ProcessCount(8, 1), "old-pod": ProcessCount(0, 0)}
    )
    held: dict[str, str] = field(default_factory=lambda: {"old-pod": "2 files vanished at once"})
    estranged: dict[str, str] = field(default_factory=lambda: {"my-shared-pod": "0123456789abcdef0123456789abcdef"})
    files: tuple[DesiredFile, ...] = (
        DesiredFile(
            PATH,
            FileState.INVALID,
            (SPEC,),
            errors=(Problem(PATH, 7, "spec.containers[0].imag", "unknown field; did you mean image?"),),
        ),
    )
    change_: Change | None = None
    error: Exception | None = None
    calls: list[tuple[object, ...]] = field(default_factory=list)
    happened: asyncio.Condition = field(default_factory=asyncio.Condition)
    followers: int = 0

    def _fail(self) -> None:
        if self.error:
            raise self.error

    def health(self) -> Health:
        return self.health_

    def readiness(self) -> Health:
        return self.ready_

    def daemon(self) -> DaemonStatus:
        return self.daemon_

    def pods(self) -> tuple[PodStatus, ...]:
        self._fail()
        return tuple(self.pods_)

    def plans(self) -> tuple[PodPlan, ...]:
        return (
            PodPlan("my-shared-pod", ("start busybox-client",), "its back-off ends in 12.5 s", 12.5),
            PodPlan("old-pod", (), "settled", None),
        )

    def config(self) -> ConfigStatus:
        return ConfigStatus("/etc/podsupd/pods.d", "", self.files, self.held, {"web": "a foreign pod has this name"})

    async def change(self, verb: str, pod: str, container: str | None) -> Change:
        self._fail()
        self.calls.append((verb, pod, container))
        if pod not in {p.name for p in self.pods_}:
            message = f"cannot {verb} pod {pod}: there is none of that name"
            raise LookupError(message)
        self.change_ = Change("c1", verb, pod, container, ChangeState.PENDING, "accepted")
        return self.change_

    async def wait_change(self, change_id: str, wait_s: float) -> Change:
        if self.change_ is None or change_id != self.change_.id:
            message = f"cannot find change {change_id}: it is unknown or too old"
            raise LookupError(message)
        try:
            async with asyncio.timeout(wait_s), self.happened:
                await self.happened.wait_for(lambda: self.change_.state is not ChangeState.PENDING)
        except TimeoutError:
            pass
        return self.change_

    async def settle(self, state: ChangeState, message: str) -> None:
        async with self.happened:
            self.change_ = replace(self.change_, state=state, message=message)
            self.happened.notify_all()

    async def reload(self) -> ConfigStatus:
        self._fail()
        self.calls.append(("reload",))
        return self.config()

    async def prune(self, *, confirm: bool) -> Mapping[str, str]:
        self.calls.append(("prune", confirm))
        return self.held

    async def adopt(self, *, confirm: bool) -> Mapping[str, str]:
        self.calls.append(("adopt", confirm))
        return self.estranged

    async def processes(self, pod: str) -> PodProcesses:
        self._fail()
        return replace(self.tree_, pod=pod)

    async def signal(self, request: SignalRequest) -> SignalReport:
        self._fail()
        self.calls.append(("signal", request))
        return self.report

    async def drill(self, pod: str) -> DrillReport:
        self._fail()
        self.calls.append(("drill", pod))
        return self.drilled

    async def run_probe(self, pod: str, probe: str) -> ProbeRun:
        self._fail()
        self.calls.append(("probe", pod, probe))
        if probe not in {p.name for p in SPEC.all_probes}:
            message = f"cannot find probe {probe} of pod {pod}: it has nothing of the kind"
            raise LookupError(message)
        return replace(self.run, pod=pod, spec=next(p for p in SPEC.all_probes if p.name == probe))

    async def count_processes(self) -> None:
        self.counts = {pod: replace(count, zombies=count.zombies + 1) for pod, count in self.counts.items()}

    def process_counts(self) -> Mapping[str, ProcessCount]:
        return self.counts

    async def events(self, pod: str | None, since: int, limit: int) -> list[Event]:
        found = [e for e in self.history if e.id > since and pod in (None, e.pod)]
        return found[-limit:] if limit else []

    async def signals(self, pod: str, since: int, limit: int) -> list[SignalRecord]:
        found = [r for r in self.ledger if r.id > since and r.pod == pod]
        return found[-limit:] if limit else []

    async def follow_signals(self, pod: str, since: int) -> AsyncIterator[SignalRecord]:
        last = since
        self.followers += 1
        try:
            while True:
                async with self.happened:
                    while not (found := await self.signals(pod, last, 100)):
                        await self.happened.wait()
                for record in found:
                    last = record.id
                    yield record
        finally:
            self.followers -= 1

    async def tell_signal(self, record: SignalRecord) -> None:
        async with self.happened:
            self.ledger.append(record)
            self.happened.notify_all()

    async def tell(self, event: Event) -> None:
        async with self.happened:
            self.history.append(event)
            self.happened.notify_all()

    async def follow_events(self, pod: str | None, since: int) -> AsyncIterator[Event]:
        self.followers += 1
        try:
            while True:
                async with self.happened:
                    while not (found := await self.events(pod, since, 100)):
                        await self.happened.wait()
                for one in found:
                    yield one
                since = found[-1].id
        finally:
            self.followers -= 1

    async def logs(self, pod: str, container: str | None, *, follow: bool, tail: int | None) -> AsyncIterator[LogLine]:
        self.calls.append(("logs", pod, container, follow, tail))
        self.followers += 1
        try:
            for line in self.lines:
                if isinstance(line, Exception):
                    raise line
                if container in (None, line.container):
                    yield line
            if follow:
                await asyncio.Event().wait()
        finally:
            self.followers -= 1
