"""ConfigMap, Secret and PersistentVolumeClaim as pydantic models."""

import base64
import binascii
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from podsupd.manifest.base import Label, Model, PodName

_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_MAX = 253
MAX_BYTES = 1 << 20
"""Most data of one object: a megabyte, as in Kubernetes."""


def object_key(value: str) -> str:
    """Check the key of a ConfigMap or Secret: it may become the name of a file."""
    if len(value) > _KEY_MAX or not _KEY.fullmatch(value) or value in (".", "..") or value.startswith(".."):
        raise ValueError(
            f'a key must have at most {_KEY_MAX} letters, digits, "-", "_" and ".", and not begin with "..", '
            f'found "{value}"'
        )
    return value


def _decoded(value: str) -> str:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        # What was written may be secret: it is not quoted.
        raise ValueError("must be base64, found something else: encode it, or use stringData") from None
    return value


Key = Annotated[str, AfterValidator(object_key)]
Base64 = Annotated[str, AfterValidator(_decoded)]


def decode(value: str) -> bytes:
    """Return the bytes of a value that was checked."""
    return base64.b64decode("".join(value.split()))


class ObjectMeta(Model):
    """The metadata of an object that pods refer to."""

    name: PodName
    namespace: Label = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Object(Model):
    """What all of them have."""

    api_version: Literal["v1"]
    metadata: ObjectMeta


class ConfigMap(_Object):
    """Values by key: text, or bytes in base64."""

    kind: Literal["ConfigMap"]
    data: dict[Key, str] = {}
    binary_data: dict[Key, Base64] = {}
    immutable: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        both = sorted(self.data.keys() & self.binary_data.keys())
        if both:
            raise ValueError(f"a key is in data or in binaryData, found {both[0]} in both: keep one of them")
        _check_size(self.values())
        return self

    def values(self) -> dict[str, bytes]:
        """Return every value as bytes."""
        text = {key: value.encode() for key, value in self.data.items()}
        return text | {key: decode(value) for key, value in self.binary_data.items()}


class Secret(_Object):
    """Secret values by key: bytes in base64, or text, which wins."""

    kind: Literal["Secret"]
    data: dict[Key, Base64] = {}
    string_data: dict[Key, str] = {}
    immutable: bool = False
    type: str = "Opaque"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_size(self.values())
        return self

    def values(self) -> dict[str, bytes]:
        """Return every value as bytes."""
        coded = {key: decode(value) for key, value in self.data.items()}
        return coded | {key: value.encode() for key, value in self.string_data.items()}


class ClaimSpec(Model):
    """What of a claim means something on one host; the rest is ignored before."""

    volume_mode: Literal["", "Filesystem"] = ""


class PersistentVolumeClaim(_Object):
    """A named volume of Podman, kept when the pod goes."""

    kind: Literal["PersistentVolumeClaim"]
    spec: ClaimSpec = Field(default_factory=ClaimSpec)


def _check_size(values: dict[str, Any]) -> None:
    size = sum(map(len, values.values()))
    if size > MAX_BYTES:
        raise ValueError(f"its data must have at most {MAX_BYTES} bytes, found {size}: mount a file of the host")
