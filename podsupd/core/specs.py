"""A PodSpec as text and back: what is rolled back to has to be there when the file says something else.

Every object of the model carries the name of its type, so that no two kinds of volume or handler are mistaken for
each other; a field that a later release adds has its default.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, get_args, get_type_hints

from podsupd.model.spec import PodSpec, Source

_TYPE = "is"


@cache
def _types() -> dict[str, Any]:
    """Return every dataclass and enum that a PodSpec can hold, by name."""
    found: dict[str, Any] = {}
    left: list[Any] = [PodSpec]
    while left:
        one = left.pop()
        left += get_args(one)
        if not isinstance(one, type) or one.__name__ in found:
            continue
        if is_dataclass(one):
            found[one.__name__] = one
            left += get_type_hints(one).values()
        elif issubclass(one, StrEnum):
            found[one.__name__] = one
    return found


def dump(spec: PodSpec) -> str:
    """Write a spec; equal specs give equal text."""
    return json.dumps(_plain(spec), sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=64)
def load(text: str) -> PodSpec | None:
    """Read a spec; None for what this release cannot read.

    Some 15 KB are kept of each, and read anew in 0.3 ms; each version of a pod with an update policy is another one.
    """
    try:
        spec = _model(json.loads(text))
    except (ValueError, TypeError, KeyError):
        return None
    return spec if isinstance(spec, PodSpec) else None


def fingerprint(spec: PodSpec) -> str:
    """Digest all that a manifest says of a pod, wherever it says it.

    What is as by default is left out: a field that a later release adds makes no spec another one.
    """
    said = json.dumps(_plain(replace(spec, source=Source("")), sparse=True), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def wish(spec: PodSpec) -> str:
    """Digest what a manifest says of a pod, whichever images its names are bound to."""
    named = [tuple(replace(c, image_id="") for c in some) for some in (spec.containers, spec.init_containers)]
    return fingerprint(replace(spec, containers=named[0], init_containers=named[1]))


def _plain(value: Any, *, sparse: bool = False) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        kept = {f.name: getattr(value, f.name) for f in fields(value)}
        if sparse:
            kept = {f.name: kept[f.name] for f in fields(value) if kept[f.name] != _default(f)}
        return {_TYPE: type(value).__name__} | {name: _plain(one, sparse=sparse) for name, one in kept.items()}
    match value:
        case StrEnum():
            return {_TYPE: type(value).__name__, "value": value.value}
        case bytes():
            return {_TYPE: "bytes", "value": base64.b64encode(value).decode()}
        case Fraction():
            return {_TYPE: "Fraction", "value": str(value)}
        case frozenset():
            return {_TYPE: "frozenset", "value": sorted(_plain(one, sparse=sparse) for one in value)}
        case Mapping():
            pairs = sorted(value.items())
            return {_TYPE: "dict", "value": [[_plain(k, sparse=sparse), _plain(v, sparse=sparse)] for k, v in pairs]}
        case tuple() | list():
            return [_plain(one, sparse=sparse) for one in value]
    return value


def _default(of: Field[Any]) -> Any:
    if of.default_factory is not MISSING:
        return of.default_factory()
    return of.default


def _model(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_model(one) for one in value)
    if not isinstance(value, dict):
        return value
    match value[_TYPE]:
        case "bytes":
            return base64.b64decode(value["value"])
        case "Fraction":
            return Fraction(value["value"])
        case "frozenset":
            return frozenset(_model(one) for one in value["value"])
        case "dict":
            return {_model(k): _model(v) for k, v in value["value"]}
    kind = _types()[value[_TYPE]]
    if not is_dataclass(kind):
        return kind(value["value"])
    known = {f.name for f in fields(kind)}
    made: Any = kind
    return made(**{name: _model(one) for name, one in value.items() if name in known})
