"""The desired state of a pod, normalised: defaults applied, names resolved, every duration in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from podsupd.model.network import Network
from podsupd.model.references import EnvFrom, EnvValue, ObjectSpec
from podsupd.model.security import PodSecurity, Security
from podsupd.model.signal_policy import SignalPolicy
from podsupd.model.volumes import ImageVolume, VolumeMount, VolumeSpec


class RestartPolicy(StrEnum):
    """Kubernetes' restartPolicy."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class PullPolicy(StrEnum):
    """Kubernetes' imagePullPolicy."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class ProbeType(StrEnum):
    """Kubernetes' three, and the pod-level probes of a PodPolicy."""

    LIVENESS = "Liveness"
    READINESS = "Readiness"
    STARTUP = "Startup"
    POLICY = "Policy"


class Vantage(StrEnum):
    """Where an attempt is made from: the pod's network namespace, the host's, or a process in the container."""

    POD = "Pod"
    HOST = "Host"
    CONTAINER = "Container"


class FailureAction(StrEnum):
    """What a failed PodPolicy probe does."""

    NONE = "None"
    RESTART_POD = "RestartPod"
    RESTART_CONTAINER = "RestartContainer"
    WEBHOOK = "Webhook"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Whom to tell by an HTTP POST; timeout_s: of each try, retries: further tries after the first."""

    url: str
    timeout_s: float = 10.0
    retries: int = 3


@dataclass(frozen=True, slots=True)
class FailureStep:
    """One step of a ladder; container: of RESTART_CONTAINER, webhook: of WEBHOOK."""

    action: FailureAction
    container: str | None = None
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """What failures of a PodPolicy probe bring about, in order; without steps nothing.

    cooldown_s: the least time between two steps. reset_s: how long the probe has to pass for the next failure to begin
    at the first step again.
    """

    steps: tuple[FailureStep, ...] = ()
    cooldown_s: float = 0.0
    reset_s: float = 0.0


class StopScope(StrEnum):
    """Whom a stop signals: the first process and then whoever it left behind, all at once, or the first only."""

    CONTAINER = "Container"
    ALL = "All"
    MAIN_PROCESS = "MainProcess"


@dataclass(frozen=True, slots=True)
class StopStep:
    """A signal of a staged stop, and the seconds until the next."""

    signal: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StopSpec:
    """How the pod's containers are stopped; without a sequence the stop signal has the whole grace period."""

    scope: StopScope = StopScope.CONTAINER
    sequence: tuple[StopStep, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpExpect:
    """What an answer must be besides in time: status, both ends included; None is 200 to 399, redirects followed.

    body_contains, body_matches: a substring and a regular expression that the first max_body_bytes of the body must
    hold (empty: anything). within_s: how long the whole answer may take.
    """

    status: tuple[int, int] | None = None
    body_contains: str = ""
    body_matches: str = ""
    max_body_bytes: int = 65536
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class HttpGet:
    """An HTTP GET; host None means the pod's IP for a container's probe, localhost for a PodPolicy's."""

    port: int
    path: str = "/"
    scheme: str = "HTTP"
    host: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    expect: HttpExpect | None = None


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """A TCP connect; host as in HttpGet."""

    port: int
    host: str | None = None


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """A Check of gRPC's standard health protocol (``grpc.health.v1.Health``), without TLS; host as HttpGet's None."""

    port: int
    service: str = ""


@dataclass(frozen=True, slots=True)
class ExecCommand:
    """A command in a container, or with Vantage.HOST on the host; without a shell."""

    command: tuple[str, ...]


Handler = HttpGet | TcpSocket | GrpcCheck | ExecCommand


@dataclass(frozen=True, slots=True)
class Sleep:
    """A hook that lets time pass."""

    seconds: float


Hook = HttpGet | ExecCommand | Sleep
"""What is done at the start or before the stop of a container."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """One probe; name is unique in the pod (``CONTAINER/liveness``, or the PodPolicy probe's own name).

    container: the container that owns it (for exec: that it runs in); None for other pod-level probes.
    grace_s: of the stop that a failure brings about; None: the pod's. on_failure: only for PodPolicy probes.
    """

    name: str
    type: ProbeType
    vantage: Vantage
    handler: Handler
    container: str | None = None
    initial_delay_s: float = 0.0
    period_s: float = 10.0
    timeout_s: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_s: float | None = None
    on_failure: Ladder = Ladder()


@dataclass(frozen=True, slots=True)
class PortSpec:
    """A container port; published on the pod when host_port is set."""

    container_port: int
    protocol: str = "TCP"
    name: str = ""
    host_port: int | None = None
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Resources:
    """Requests and limits; cpu in millicores, memory in bytes."""

    cpu_limit_milli: int | None = None
    memory_limit: int | None = None
    cpu_request_milli: int | None = None
    memory_request: int | None = None


@dataclass(frozen=True, slots=True)
class RestartRule:
    """Restart a container that ended with one of these codes, or (without) with any other, whatever its policy says."""

    codes: frozenset[int]
    among: bool = True

    def holds(self, exit_code: int) -> bool:
        """Say whether a container that ended so is restarted."""
        return (exit_code in self.codes) is self.among


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container; runtime_name is its name in Podman (``POD-NAME`` or bare).

    message_path: where it leaves its last words; message_from_log: where it left none and failed, its log's end is.
    stop_signal: lifecycle.stopSignal, empty for the image's own. stdin: kept open though nobody writes to it.
    restart_policy: its own, None for the pod's; an init container with Always is a sidecar. image_id: the very image
    that it has to run, in a spec that is rolled back to, or in an update to what its name means now.
    """

    name: str
    runtime_name: str
    image: str
    pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[tuple[str, EnvValue], ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    mounts: tuple[VolumeMount, ...] = ()
    resources: Resources = Resources()
    probes: tuple[ProbeSpec, ...] = ()
    stop_signal: str = ""
    stdin: bool = False
    tty: bool = False
    security: Security = field(default_factory=Security)
    message_path: str = "/dev/termination-log"
    message_from_log: bool = False
    restart_policy: RestartPolicy | None = None
    restart_rules: tuple[RestartRule, ...] = ()
    post_start: Hook | None = None
    pre_stop: Hook | None = None
    image_id: str = ""

    @property
    def reference(self) -> str:
        """What the image is asked for by: its name, or its id in a spec that is bound to one."""
        return self.image_id or self.image


@dataclass(frozen=True, slots=True)
class BackoffSpec:
    """CrashLoopBackOff as Kubernetes does it, and after how many crashes in a row the container is made anew."""

    initial_s: float = 10.0
    max_s: float = 300.0
    reset_s: float = 600.0
    recreate_after_failures: int = 5


@dataclass(frozen=True, slots=True)
class UpdateSpec:
    """How a changed spec proves itself: Ready for min_healthy_s within progress_deadline_s, or it is rolled back."""

    min_healthy_s: float = 10.0
    progress_deadline_s: float = 120.0
    rollback: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Where a pod is declared: absolute path of the file and 1-based line of the document."""

    path: str
    line: int = 1


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A pod that has its work to do once. backoff_limit: failures that are borne. ttl_s: until its removal."""

    backoff_limit: int = 6
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class CronSpec:
    """When a job is run again: a cron expression of five fields, in a time zone of the tz database.

    deadline_s: how late a run may begin, None for however late. replace: a run that is due ends the one that goes on;
    else it waits for its end. keep_succeeded, keep_failed: whether the pod of the last run stays until the next.
    """

    schedule: str
    time_zone: str = "UTC"
    suspend: bool = False
    deadline_s: float | None = None
    replace: bool = False
    keep_succeeded: bool = True
    keep_failed: bool = True


@dataclass(frozen=True, slots=True)
class PodSpec:
    """A pod as desired. probes are the PodPolicy's; the containers carry their own.

    objects: the ConfigMaps, Secrets and claims that it refers to, as far as the directory has them.
    after: pods that have to be Ready, or to have succeeded, before this one is started. update: None takes a changed
    spec as it is. active_deadline_s: for how long the pod may run. job: None for a pod that is to run on.
    cron: when the job is run; None: at once, and once.
    auto_update_s: how far apart its images are looked up in their registries, None for never; then update is not None.
    """

    name: str
    source: Source
    containers: tuple[ContainerSpec, ...]
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[VolumeSpec, ...] = ()
    restart_policy: RestartPolicy = RestartPolicy.ALWAYS
    grace_s: float = 30.0
    share_process_namespace: bool = False
    probes: tuple[ProbeSpec, ...] = ()
    backoff: BackoffSpec = BackoffSpec()
    stop: StopSpec = StopSpec()
    objects: tuple[ObjectSpec, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    security: PodSecurity = field(default_factory=PodSecurity)
    network: Network = field(default_factory=Network)
    after: tuple[str, ...] = ()
    signals: SignalPolicy = field(default_factory=SignalPolicy)
    init_containers: tuple[ContainerSpec, ...] = ()
    update: UpdateSpec | None = None
    active_deadline_s: float | None = None
    job: JobSpec | None = None
    auto_update_s: float | None = None
    cron: CronSpec | None = None

    @property
    def every(self) -> tuple[ContainerSpec, ...]:
        """All containers: the init containers, sidecars among them, then the others."""
        return self.init_containers + self.containers

    @property
    def places(self) -> tuple[tuple[str, ContainerSpec], ...]:
        """All containers with their YAML paths."""
        inits = ((f"spec.initContainers[{n}]", c) for n, c in enumerate(self.init_containers))
        return (*inits, *((f"spec.containers[{n}]", c) for n, c in enumerate(self.containers)))

    @property
    def sidecars(self) -> tuple[ContainerSpec, ...]:
        """Init containers that go on running beside the others, in the order of their starts."""
        return tuple(c for c in self.init_containers if c.restart_policy is RestartPolicy.ALWAYS)

    @property
    def steps(self) -> tuple[ContainerSpec, ...]:
        """Init containers that have to end well before the next one is started."""
        return tuple(c for c in self.init_containers if c.restart_policy is not RestartPolicy.ALWAYS)

    @property
    def lasting(self) -> tuple[ContainerSpec, ...]:
        """Containers that a pod in service consists of: sidecars and containers."""
        return self.sidecars + self.containers

    @property
    def auto_updated(self) -> tuple[ContainerSpec, ...]:
        """Containers whose images are looked up at an interval: a digest in a name never means another image."""
        if self.auto_update_s is None:
            return ()
        return tuple(c for c in self.every if c.pull_policy is PullPolicy.ALWAYS and "@" not in c.image)

    @property
    def all_probes(self) -> tuple[ProbeSpec, ...]:
        """The containers' probes in order, then the PodPolicy's."""
        return tuple(p for c in self.every for p in c.probes) + self.probes

    @property
    def images(self) -> frozenset[str]:
        """Names of all its images, those of volumes too."""
        mounted = {volume.source.image for volume in self.volumes if isinstance(volume.source, ImageVolume)}
        return frozenset({container.image for container in self.every} | mounted)

    @property
    def hostname(self) -> str:
        """The host name that its containers see."""
        return self.network.hostname or self.name

    @property
    def published_ports(self) -> tuple[PortSpec, ...]:
        """Ports that the pod publishes on the host."""
        return tuple(p for c in self.every for p in c.ports if p.host_port is not None)

    def mounted(self, container: ContainerSpec) -> tuple[VolumeSpec, ...]:
        """Return the volumes that a container mounts, each once."""
        wanted = {mount.name for mount in container.mounts}
        return tuple(volume for volume in self.volumes if volume.name in wanted)

    def container(self, name: str) -> ContainerSpec | None:
        """Return the container of that manifest name."""
        return next((c for c in self.every if c.name == name), None)

    def policy_of(self, container: ContainerSpec) -> RestartPolicy:
        """Return the restart policy that holds for a container; what an init container ended well is not repeated."""
        own = container.restart_policy
        if container.name not in {c.name for c in self.init_containers}:
            return own or self.restart_policy
        return own or (RestartPolicy.NEVER if self.restart_policy is RestartPolicy.NEVER else RestartPolicy.ON_FAILURE)
