"""Volumes of a pod, and where its containers see them."""

from dataclasses import dataclass

from podsupd.model.references import FieldRef, ObjectKind, ResourceRef

FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class HostPath:
    """A hostPath volume; type is Kubernetes' (``""``, Directory, DirectoryOrCreate, File, FileOrCreate, Socket...)."""

    path: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class EmptyDir:
    """An emptyDir volume: a named Podman volume of the pod, or a tmpfs with medium Memory. size_limit in bytes."""

    medium: str = ""
    size_limit: int | None = None


@dataclass(frozen=True, slots=True)
class KeyPath:
    """A key of an object as a file of that path; mode None is the volume's."""

    key: str
    path: str
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectFiles:
    """The keys of a ConfigMap or Secret as files; without items every key under its own name."""

    kind: ObjectKind
    name: str
    items: tuple[KeyPath, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class FieldFile:
    """A field of the pod or a resource of a container as a file."""

    path: str
    value: FieldRef | ResourceRef
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class FieldFiles:
    """The downward API as files."""

    items: tuple[FieldFile, ...]


@dataclass(frozen=True, slots=True)
class Projected:
    """Files of podsupd's making, kept up to date in running containers. form: Kubernetes' word for it."""

    form: str
    sources: tuple[ObjectFiles | FieldFiles, ...]
    mode: int = FILE_MODE


@dataclass(frozen=True, slots=True)
class ClaimVolume:
    """A persistentVolumeClaim: the named Podman volume of that name, which no pod takes along when it goes."""

    claim: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ImageVolume:
    """The files of an image, read-only."""

    image: str


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A volume of the pod."""

    name: str
    source: HostPath | EmptyDir | Projected | ClaimVolume | ImageVolume


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A volume where a container sees it.

    sub_path: a path in the volume instead of its root. sub_path_expands: ``$(NAME)`` in it is a variable.
    propagation: Kubernetes' mountPropagation, empty for None.
    """

    name: str
    mount_path: str
    read_only: bool = False
    sub_path: str = ""
    sub_path_expands: bool = False
    propagation: str = ""
