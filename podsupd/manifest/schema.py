"""The supported part of Pod and PodPolicy as pydantic models: shapes and rules of single values.

Strict, nothing extra: `fields` has dropped what is ignored before. Rules between fields are in `rules`. Everywhere
that Kubernetes takes 0 or an empty string for "not set", so does the conversion.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator

from podsupd.manifest import names
from podsupd.manifest.base import INT32, Duration, Label, Model, PodName, Quantity, Seconds, Word
from podsupd.manifest.env_schema import EnvFromSource, EnvVar
from podsupd.manifest.signal_schema import Signals


def _port(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return names.port_number(value)
    if isinstance(value, str):
        if value.isdigit():
            raise ValueError(f'must be a number or the name of a port, found "{value}": remove the quotes')
        return names.port_name(value)
    raise ValueError("must be a number or the name of a port")


def _on_failure(value: object) -> str | dict[str, str]:
    if value in ("None", "RestartPod"):
        return str(value)
    if isinstance(value, dict) and list(value) == ["restartContainer"] and isinstance(value["restartContainer"], str):
        return dict(value)
    raise ValueError("must be None, RestartPod or {restartContainer: NAME}")


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


class VolumeMount(Model):
    """A volume where a container sees it."""

    name: Word
    mount_path: Annotated[str, AfterValidator(names.mount_path)]
    read_only: bool = False


class Lifecycle(Model):
    """What is done at the start and the end of a container."""

    stop_signal: Annotated[str, AfterValidator(lambda v: names.stop_signal(v) if v else v)] = ""


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
    stdin: bool = False
    tty: bool = False


class HostPath(Model):
    """A path of the host."""

    path: Annotated[str, AfterValidator(names.absolute_path)]
    type: Literal[
        "", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice"
    ] = ""


class EmptyDir(Model):
    """An empty directory that lives as long as the pod."""

    medium: Literal["", "Memory"] = ""
    size_limit: Quantity | None = None


class Volume(Model):
    """A volume. projected is only what `fields` lets through: the volume that an API server put there."""

    name: Label
    host_path: HostPath | None = None
    empty_dir: EmptyDir | None = None
    projected: Any = None


class Spec(Model):
    """The spec of a Pod."""

    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[Volume] = []
    restart_policy: Literal["Always", "OnFailure", "Never"] = "Always"
    termination_grace_period_seconds: Seconds = 30
    share_process_namespace: bool = False


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
    """A command in a named container."""

    container: Word


class PolicyProbe(_Numbers):
    """A pod-level probe."""

    name: Label
    vantage: Literal["Host", "Pod"] = Field("Pod", alias="from")
    exec: PolicyExec | None = None
    on_failure: Annotated[str | dict[str, str], PlainValidator(_on_failure)] = "None"


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


class PolicySpec(Model):
    """The spec of a PodPolicy."""

    container_names: Literal["Prefixed", "Bare"] = "Prefixed"
    probes: list[PolicyProbe] = []
    backoff: Backoff = Backoff()
    stop: Stop = Stop()
    signals: Signals = Signals()
    after: list[PodName] = []


class PodPolicy(Model):
    """podsupd's companion of a Pod."""

    api_version: Literal["podsupd.io/v1"]
    kind: Literal["PodPolicy"]
    metadata: Metadata
    spec: PolicySpec = PolicySpec()
