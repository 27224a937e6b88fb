"""A container's environment as the kubelet makes it: envFrom, then env in order, with ``$(NAME)`` expanded.

What a Secret says passes through here on its way to Podman, and nowhere else: nothing of it is kept or told.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from podsupd.core import downward
from podsupd.model.references import EnvFrom, EnvValue, FieldRef, KeyRef, ObjectKind, ObjectSpec, PodFacts, ResourceRef
from podsupd.model.spec import ContainerSpec, PodSpec

_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_ENV_NAME = re.compile(r"[ -<>-~]+")


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables by name, or what is missing to tell them, in the kubelet's words."""

    values: Mapping[str, str]
    missing: str = ""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by a variable that is set; one that is not stays as it is, and ``$$`` is a ``$``."""

    def replaced(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else values.get(found[1], found[0])

    return _REFERENCE.sub(replaced, text)


def environment(pod: PodSpec, container: ContainerSpec, facts: PodFacts | None = None) -> Environment:
    """Return the variables that the manifest gives a container.

    Without facts those that only the host knows are empty: enough to see what is missing.
    """
    try:
        values = dict(_from_objects(pod, container))
        for name, value in container.env:
            if isinstance(value, str):
                values[name] = expand(value, values)
                continue
            told = _told(pod, container, value, facts)
            if told is not None:
                values[name] = told
            elif not isinstance(value, KeyRef):
                values[name] = ""
    except _Missing as missing:
        return Environment({}, str(missing))
    return Environment(values)


def undecided(pod: PodSpec, container: ContainerSpec) -> tuple[list[list[str]], list[list[str]]]:
    """Return (env, envFrom) as far as files decide them, for the digest.

    Nothing is expanded, since that follows from the rest, and what the host decides is its name.
    """
    try:
        shared = [list(pair) for pair in _from_objects(pod, container)]
    except _Missing as missing:
        shared = [[str(missing)]]
    own: dict[str, str] = {}
    for name, value in container.env:
        if isinstance(value, str):
            own[name] = value
            continue
        try:
            told = _told(pod, container, value, None)
        except _Missing as missing:
            told = str(missing)
        if told is not None:
            own[name] = told
        elif isinstance(value, FieldRef):
            own[name] = f"fieldRef {value.path}"
        elif isinstance(value, ResourceRef):
            own[name] = f"resourceFieldRef {value.resource} {value.container} {value.divisor}"
    return [list(pair) for pair in own.items()], shared


class _Missing(Exception):  # noqa: N818  it never leaves this module
    """What a container's environment needs and is not there."""


def find(pod: PodSpec, kind: ObjectKind, name: str) -> ObjectSpec | None:
    """Return an object that the pod refers to, as the directory has it now."""
    return next((o for o in pod.objects if o.kind is kind and o.name == name), None)


def not_found(kind: ObjectKind, name: str) -> str:
    """Say in the kubelet's words that an object is missing, and the way out."""
    return f'{kind.lower()} "{name}" not found: declare it in a file of the manifest directory'


def _told(pod: PodSpec, container: ContainerSpec, value: EnvValue, facts: PodFacts | None) -> str | None:
    """Return a reference's value; None when it is optional and missing, or only the host knows it."""
    match value:
        case FieldRef():
            return downward.field(pod, value, facts)
        case ResourceRef():
            return downward.resource(pod, container, value, facts)
        case KeyRef(kind=kind, name=name, key=key, optional=optional):
            found = find(pod, kind, name)
            if found is not None and key in found.data and key not in found.binary:
                return _text(found, key)
            if optional:
                return None
            raise _Missing(
                not_found(kind, name) if found is None else f"couldn't find key {key} in {kind} {pod.namespace}/{name}"
            )
    return value


def _from_objects(pod: PodSpec, container: ContainerSpec) -> Iterator[tuple[str, str]]:
    for source in container.env_from:
        yield from _keys(pod, source)


def _keys(pod: PodSpec, source: EnvFrom) -> Iterator[tuple[str, str]]:
    found = find(pod, source.kind, source.name)
    if found is None:
        if source.optional:
            return
        raise _Missing(not_found(source.kind, source.name))
    for key in sorted(found.data.keys() - found.binary):
        name = source.prefix + key
        if _ENV_NAME.fullmatch(name):  # as in Kubernetes, others are passed over
            yield name, _text(found, key)


def _text(found: ObjectSpec, key: str) -> str:
    try:
        return found.data[key].decode()
    except UnicodeDecodeError:
        raise _Missing(
            f"key {key} in {found.kind} {found.name} is not UTF-8, which no variable can hold: mount it as a file"
        ) from None
