"""Environment variables and what they may refer to, as pydantic models."""

import re
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from podsupd.manifest import names
from podsupd.manifest.base import Model, Quantity, Word, one_of

_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_FILE_FIELDS = ("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations")


def _field_path(value: str, known: tuple[str, ...]) -> str:
    keyed = _KEYED.fullmatch(value)
    if keyed:
        names.qualified_name(keyed[2])
    elif value not in known:
        listed = ", ".join(known)
        raise ValueError(f"must be {listed}, metadata.labels['KEY'] or metadata.annotations['KEY'], found \"{value}\"")
    return value


class EnvFieldSelector(Model):
    """A field of the pod, as a variable may have it."""

    api_version: Literal["", "v1"] = "v1"
    field_path: Annotated[str, AfterValidator(lambda v: _field_path(v, _ENV_FIELDS))]


class FileFieldSelector(Model):
    """A field of the pod, as a file may have it."""

    api_version: Literal["", "v1"] = "v1"
    field_path: Annotated[str, AfterValidator(lambda v: _field_path(v, _FILE_FIELDS))]


class ResourceFieldSelector(Model):
    """A resource of a container."""

    container_name: str = ""
    divisor: Quantity = Fraction(0)
    resource: Literal["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"]


class KeySelector(Model):
    """A key of a ConfigMap or a Secret."""

    name: Word
    key: Word
    optional: bool = False


class EnvVarSource(Model):
    """Where a variable's value comes from."""

    config_map_key_ref: KeySelector | None = None
    field_ref: EnvFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    secret_key_ref: KeySelector | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(
            self, "config_map_key_ref", "field_ref", "resource_field_ref", "secret_key_ref", what="a variable's source"
        )
        return self


class EnvVar(Model):
    """An environment variable."""

    name: Annotated[str, AfterValidator(names.env_name)]
    value: str = ""
    value_from: EnvVarSource | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.value and self.value_from:
            raise ValueError("a variable has a value or a valueFrom, found both: keep one of them")
        return self


class ObjectSelector(Model):
    """A ConfigMap or a Secret as a whole."""

    name: Word
    optional: bool = False


class EnvFromSource(Model):
    """All keys of a ConfigMap or a Secret."""

    prefix: Annotated[str, AfterValidator(lambda v: names.env_name(v) if v else v)] = ""
    config_map_ref: ObjectSelector | None = None
    secret_ref: ObjectSelector | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        one_of(self, "config_map_ref", "secret_ref", what="a source of variables")
        return self
