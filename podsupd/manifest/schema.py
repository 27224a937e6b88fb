"""The supported part of Pod and PodPolicy as pydantic models: shapes and rules of single values.

Strict, nothing extra: `fields` has dropped what is ignored before. Rules between fields are in `rules`. Everywhere
that Kubernetes takes 0 or an empty string for "not set", so does the conversion.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from podsupd.manifest import names
from podsupd.manifest.base import INT32, Duration, Label, Model, PodName, Quantity, Seconds, Word
from podsupd.manifest.env_schema import EnvFromSource, EnvVar
from podsupd.manifest.expect_schema import Expect
from podsupd.manifest.security_schema import HostAlias, PodDNSConfig, PodSecurityContext, SecurityContext
from podsupd.manifest.signal_schema import Signals
from podsupd.manifest.volume_schema import Volume, VolumeMount


def _port(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return names.port_number(value)
    if isinstance(value, str):
        if value.isdigit():
            raise ValueError(f'must be a number or the name of a port, found "{value}": remove the quotes')
        return names.port_name(value)
    raise ValueError("must be a number or the name of a port")


def _on_failure(value: object) -> object:
    """Take the words for mappings; whatever has another shape is refused with all forms."""
    if value in ("None", "RestartPod"):
        return {"word": value}
    if isinstance(value, dict):
        return value
    raise ValueError("must be None, RestartPod, {restartContainer: NAME}, {webhook: {url: URL}} or {ladder: [...]}")


def _step(value: object) -> object:
    if isinstance(value, dict) or value in ("None", "RestartPod"):
        return _on_failure(value)
    raise ValueError("must be None, RestartPod, {restartContainer: NAME} or {webhook: {url: URL}}")


def _absolute_or_empty(value: str) -> str:
    return names.absolute_path(value) if value else value


PortRef = Annotated[int | str, PlainValidator(_port)]
PortNumber = Annotated[int, AfterValidator(names.port_number)]


class HttpHeader(Model):
    """A header of an httpGet."""

    name: Annotated[str, AfterValidator(names.header_name)]
    value: Annotated[str, AfterValidator(names.header_value)] = ""


class HttpGet(Model):
    """An HTTP GET."""

    port: PortRef
    path: str = "/"
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: list[HttpHeader] = []


class TcpSocket(Model):
    """A TCP connect."""

    port: PortRef
    host: str = ""


class Grpc(Model):
    """A check of gRPC's health service; its port has no name in Kubernetes either."""

    port: PortNumber
    service: Annotated[str, Field(max_length=1024)] = ""


class Exec(Model):
    """A command in the container."""

    command: Annotated[list[str], Field(min_length=1)]


class _Numbers(Model):
    """What every probe counts and waits by; 0 is the default."""

    initial_delay_seconds: Seconds = 0
    period_seconds: Seconds = 0
    timeout_seconds: Seconds = 0
    success_threshold: Seconds = 0
    failure_threshold: Seconds = 0
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=INT32)] | None = None
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None


class Probe(_Numbers):
    """A container's probe."""

    exec: Exec | None = None


class ContainerPort(Model):
    """A port of a container."""

    container_port: PortNumber
    host_port: Annotated[int, Field(ge=0, le=65535)] = 0
    host_ip: Annotated[str, AfterValidator(names.ip_address)] = Field("", alias="hostIP")
    name: Annotated[str, AfterValidator(lambda v: names.port_name(v) if v else v)] = ""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"


class ResourceList(Model):
    """Amounts of resources."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class Resources(Model):
    """Limits and requests of a container."""

    limits: ResourceList = ResourceList()
    requests: ResourceList = ResourceList()


class Sleep(Model):
    """A pause."""

    seconds: Seconds


class LifecycleHandler(Model):
    """What is done at a moment of a container's life."""

    exec: Exec | None = None
    http_get: HttpGet | None = None
    sleep: Sleep | None = None


class Lifecycle(Model):
    """What is done at the start and the end of a container."""

    stop_signal: Annotated[str, AfterValidator(lambda v: names.stop_signal(v) if v else v)] = ""
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None


class ExitCodes(Model):
    """Which exit codes a rule is for."""

    operator: Literal["In", "NotIn"]
    values: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1, max_length=255)]


class RestartRule(Model):
    """When a container is restarted, whatever its policy says."""

    action: Literal["Restart"]
    exit_codes: ExitCodes


class Container(Model):
    """A container."""

    name: Label
    image: Annotated[str, AfterValidator(names.image_reference)]
    image_pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    command: list[str] = []
    args: list[str] = []
    working_dir: Annotated[str, AfterValidator(_absolute_or_empty)] = ""
    env: list[EnvVar] = []
    env_from: list[EnvFromSource] = []
    ports: list[ContainerPort] = []
    resources: Resources = Resources()
    volume_mounts: list[VolumeMount] = []
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle = Lifecycle()
    security_context: SecurityContext = SecurityContext()
    termination_message_path: Annotated[str, AfterValidator(_absolute_or_empty)] = ""
    termination_message_policy: Literal["", "File", "FallbackToLogsOnError"] = ""
    stdin: bool = False
    tty: bool = False
    restart_policy: Literal["Always", "OnFailure", "Never"] | None = None
    restart_policy_rules: Annotated[list[RestartRule], Field(max_length=20)] = []


class LocalObject(Model):
    """An object by its name; an empty one is passed over, as in Kubernetes."""

    name: str = ""


class Spec(Model):
    """The spec of a Pod."""

    containers: Annotated[list[Container], Field(min_length=1)]
    init_containers: list[Container] = []
    active_deadline_seconds: Annotated[int, Field(ge=1, le=INT32)] | None = None
    volumes: list[Volume] = []
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: Seconds = 30
    share_process_namespace: bool = False
    image_pull_secrets: list[LocalObject] = []
    security_context: PodSecurityContext = PodSecurityContext()
    host_network: bool = False
    host_pid: bool = Field(default=False, alias="hostPID")
    host_ipc: bool = Field(default=False, alias="hostIPC")
    hostname: Annotated[str, AfterValidator(lambda v: names.dns_label(v) if v else v)] = ""
    hostname_override: Annotated[str, AfterValidator(lambda v: names.dns_subdomain(v) if v else v)] = ""
    subdomain: Annotated[str, AfterValidator(lambda v: names.dns_label(v) if v else v)] = ""
    set_hostname_as_fqdn: bool = Field(default=False, alias="setHostnameAsFQDN")
    host_aliases: list[HostAlias] = []
    dns_policy: Literal["", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] = ""
    dns_config: PodDNSConfig = PodDNSConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.dns_policy == "None" and not self.dns_config.nameservers:
            raise ValueError("dnsPolicy None needs at least one of dnsConfig.nameservers, found none: add one")
        if self.host_pid and self.share_process_namespace:
            raise ValueError("hostPID and shareProcessNamespace exclude each other, found both: keep one of them")
        return self


class Metadata(Model):
    """The metadata of a Pod or a PodPolicy."""

    name: PodName
    namespace: Label = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Pod(Model):
    """A v1 Pod."""

    api_version: Literal["v1"]
    kind: Literal["Pod"]
    metadata: Metadata
    spec: Spec


class PolicyExec(Exec):
    """A command in a named container, or on the host, which has no name."""

    container: str = ""


class Webhook(Model):
    """Whom to tell by HTTP."""

    url: Annotated[str, AfterValidator(names.http_url)]
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    retries: Annotated[int, Field(ge=0, le=10)] = 3


class FailureStep(Model):
    """What a failure does: a word (as `_on_failure` reads it), or one of the others."""

    word: Literal["None", "RestartPod"] | None = None
    restart_container: Word | None = None
    webhook: Webhook | None = None


class OnFailure(FailureStep):
    """One step, or several in order."""

    ladder: Annotated[list[Annotated[FailureStep, BeforeValidator(_step)]], Field(min_length=1)] | None = None
    cooldown_seconds: Duration | None = None
    reset_seconds: Duration | None = None


class PolicyProbe(_Numbers):
    """A pod-level probe."""

    name: Label
    vantage: Literal["Host", "Pod"] = Field("Pod", alias="from")
    exec: PolicyExec | None = None
    expect: Expect | None = None
    on_failure: Annotated[OnFailure, BeforeValidator(_on_failure)] = OnFailure(word="None")


class Backoff(Model):
    """How crashes are waited out."""

    initial_seconds: Duration = 10.0
    max_seconds: Duration = 300.0
    reset_seconds: Duration = 600.0
    recreate_after_failures: Annotated[int, Field(ge=1, le=INT32)] = 5


class StopStep(Model):
    """A signal of a staged stop."""

    signal: Annotated[str, AfterValidator(names.signal_name)]
    seconds: Duration


class Stop(Model):
    """How containers are stopped."""

    scope: Literal["Container", "All", "MainProcess"] = "Container"
    sequence: list[StopStep] = []


class Update(Model):
    """How updates prove themselves."""

    min_healthy_seconds: Duration = 10.0
    progress_deadline_seconds: Duration = 120.0
    rollback: bool = True


class AutoUpdate(Model):
    """How far apart the images of containers with imagePullPolicy Always are looked up in their registries."""

    interval_seconds: Annotated[float, Field(ge=10, le=INT32, allow_inf_nan=False)]


class PolicySpec(Model):
    """The spec of a PodPolicy."""

    container_names: Literal["Prefixed", "Bare"] = "Prefixed"
    probes: list[PolicyProbe] = []
    backoff: Backoff = Backoff()
    stop: Stop = Stop()
    signals: Signals = Signals()
    after: list[PodName] = []
    update: Update | None = None
    auto_update: AutoUpdate | None = None


class PodPolicy(Model):
    """podsupd's companion of a Pod."""

    api_version: Literal["podsupd.io/v1"]
    kind: Literal["PodPolicy"]
    metadata: Metadata
    spec: PolicySpec = PolicySpec()
