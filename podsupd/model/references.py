"""What a pod's spec points at instead of saying it: fields of its own, resources, ConfigMaps, Secrets, claims."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction


class ObjectKind(StrEnum):
    """Kinds of documents that pods refer to by name."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105  the name of a kind
    CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """A ConfigMap, Secret or PersistentVolumeClaim of the directory. Never shown whole: a Secret's data is secret.

    path, line: where it is declared. data: by key, as bytes. binary: keys of binaryData, which are files only. type: of
    a Secret. options: of a claim's Podman volume
    (driver, device, type, o), as ``podman kube play`` takes them from annotations.
    """

    kind: ObjectKind
    name: str
    path: str
    line: int = 1
    data: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    binary: frozenset[str] = frozenset()
    immutable: bool = False
    type: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field of the pod, as ``metadata.name`` or ``metadata.labels['app']``."""

    path: str


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """A container's limit or request, as ``limits.cpu``, in units of divisor; container empty: the own one."""

    resource: str
    container: str = ""
    divisor: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key of a ConfigMap or Secret; optional: without it there is no variable."""

    kind: ObjectKind
    name: str
    key: str
    optional: bool = False


EnvValue = str | FieldRef | ResourceRef | KeyRef


@dataclass(frozen=True, slots=True)
class EnvFrom:
    """All keys of a ConfigMap or Secret as variables, each behind the prefix."""

    kind: ObjectKind
    name: str
    prefix: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """A user of a registry, of a Secret that a pod names under imagePullSecrets."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a reference may name that only the host knows, when a container is created.

    uid: the pod's id. pod_ips, host_ips: the first is the main one. cpu_milli, memory: the host's, for a container
    without limits (the kubelet's "node allocatable").
    """

    uid: str = ""
    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    node_name: str = ""
    cpu_milli: int = 0
    memory: int = 0
