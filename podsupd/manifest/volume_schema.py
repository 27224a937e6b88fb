"""Volumes and their mounts as pydantic models."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from podsupd.manifest import names
from podsupd.manifest.base import Label, Model, Quantity, Word, one_of
from podsupd.manifest.env_schema import FileFieldSelector, ResourceFieldSelector

_MODE_MAX = 0o777


def _inside(value: str) -> str:
    if not value or value.startswith("/") or ".." in value.split("/"):
        raise ValueError(f'must be a path inside of the volume, without "..", found "{value}"')
    return value


def _file(value: str) -> str:
    if _inside(value).startswith(".."):
        raise ValueError(f'must not begin with "..", found "{value}"')
    if all(step in {"", "."} for step in value.split("/")):
        raise ValueError(f'must name a file, found "{value}"')
    return value


Mode = Annotated[int, Field(ge=0, le=_MODE_MAX)]
FilePath = Annotated[str, AfterValidator(_file)]
SubPath = Annotated[str, AfterValidator(lambda v: _inside(v) if v else v)]


class VolumeMount(Model):
    """A volume where a container sees it."""

    name: Word
    mount_path: Annotated[str, AfterValidator(names.mount_path)]
    read_only: bool = False
    sub_path: SubPath = ""
    sub_path_expr: SubPath = ""
    mount_propagation: Literal["", "None", "HostToContainer", "Bidirectional"] = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.sub_path and self.sub_path_expr:
            raise ValueError("subPath and subPathExpr exclude each other, found both: keep one of them")
        return self


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


class KeyToPath(Model):
    """A key as a file."""

    key: Word
    path: FilePath
    mode: Mode | None = None


class ObjectProjection(Model):
    """A ConfigMap or a Secret as files."""

    name: Word
    items: list[KeyToPath] = []
    optional: bool = False


class ConfigMapVolume(ObjectProjection):
    """A ConfigMap as a volume."""

    default_mode: Mode = 0o644


class SecretVolume(Model):
    """A Secret as a volume."""

    secret_name: Word
    items: list[KeyToPath] = []
    optional: bool = False
    default_mode: Mode = 0o644


class DownwardFile(Model):
    """A field of the pod or a resource of a container as a file."""

    path: FilePath
    field_ref: FileFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: Mode | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "field_ref", "resource_field_ref", what="a file of the downward API")
        return self


class DownwardProjection(Model):
    """The downward API as files."""

    items: list[DownwardFile] = []


class DownwardVolume(DownwardProjection):
    """The downward API as a volume."""

    default_mode: Mode = 0o644


class Projection(Model):
    """One source of a projected volume."""

    config_map: ObjectProjection | None = None
    downward_api: DownwardProjection | None = Field(None, alias="downwardAPI")
    secret: ObjectProjection | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "config_map", "downward_api", "secret", what="a source of a projected volume")
        return self


class ProjectedVolume(Model):
    """Several sources in one directory."""

    default_mode: Mode = 0o644
    sources: list[Projection] = []


class ClaimVolume(Model):
    """A volume of Podman by its name."""

    claim_name: Annotated[str, AfterValidator(names.dns_subdomain)]
    read_only: bool = False


class ImageVolume(Model):
    """The files of an image."""

    reference: Annotated[str, AfterValidator(names.image_reference)]
    pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""


class Volume(Model):
    """A volume."""

    name: Label
    host_path: HostPath | None = None
    empty_dir: EmptyDir | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    downward_api: DownwardVolume | None = Field(None, alias="downwardAPI")
    projected: ProjectedVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    image: ImageVolume | None = None
