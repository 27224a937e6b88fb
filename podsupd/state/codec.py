"""Rows of state.db: a key and a value as bytes, with the version of the value's form.

A form's number is raised only when an old value can no longer be read as it stands; a new field with a default is
not such a change, and a field that this release does not know is passed over.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from podsupd.model.plan import Intent, PodMemory

T = TypeVar("T")


class Unreadable(Exception):  # noqa: N818  handled inside this room: the row is dropped, with a message
    """A row cannot be read by this release."""


class Codec(Protocol[T]):
    """How one kind of value is written: kind is the row's, form the version of its values."""

    kind: str
    form: int

    def dump(self, value: T) -> bytes:
        """Write a value; equal values give equal bytes."""
        ...

    def load(self, form: int, value: bytes) -> T:
        """Read a value; raises Unreadable."""
        ...


class _Json(Generic[T]):
    def __init__(self, kind: str, form: int, adapter: TypeAdapter[T]) -> None:
        self.kind = kind
        self.form = form
        self._adapter = adapter

    def dump(self, value: T) -> bytes:
        # Text from Podman may hold lone surrogates, which UTF-8 cannot: they become "?" rather than an error.
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain)
        return text.encode(errors="replace")

    def load(self, form: int, value: bytes) -> T:
        _check(form, self.form)
        try:
            return self._adapter.validate_json(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise Unreadable(f"{where}: {first['msg']}" if where else str(first["msg"])) from error


class _Text:
    """Text as it is, with bytes that are not UTF-8 kept (as os.fsdecode gives them)."""

    def __init__(self, kind: str, form: int) -> None:
        self.kind = kind
        self.form = form

    def dump(self, value: str) -> bytes:
        return key_of(value)

    def load(self, form: int, value: bytes) -> str:
        _check(form, self.form)
        return text_of(value)


def _check(found: int, known: int) -> None:
    if found != known:
        raise Unreadable(f"it is of form {found}, this podsupd knows form {known}")


def _plain(value: Any) -> Any:
    """Give what the models are made of in JSON's types; any Mapping will do, as their annotations say."""
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def key_of(text: str) -> bytes:
    """Write a row's key."""
    return text.encode(errors="surrogateescape")


def text_of(value: bytes) -> str:
    """Read a row's key, or a text."""
    return value.decode(errors="surrogateescape")


MEMORY: Codec[PodMemory] = _Json("memory", 1, TypeAdapter(PodMemory))
INTENT: Codec[Intent] = _Json("intent", 1, TypeAdapter(Intent))
IDENTITY: Codec[tuple[int, int]] = _Json("identity", 1, TypeAdapter(tuple[int, int]))
LAST_GOOD: Codec[str] = _Text("last_good", 1)
IMAGES: Codec[str] = _Text("images", 1)
PROBES: Codec[str] = _Text("probes", 1)
EXPECTATIONS: Codec[str] = _Text("expectations", 1)
