"""The files of configMap, secret, downwardAPI and projected volumes: what they hold, and where they lie on the host."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from podsupd.core import downward
from podsupd.core.environment import find, not_found
from podsupd.model.references import FieldRef, PodFacts
from podsupd.model.spec import ContainerSpec, PodSpec
from podsupd.model.volumes import FieldFiles, ObjectFiles, Projected

MESSAGES = ".messages"
"""Folder of the containers' last words, beside those of the volumes: no volume can be called so."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, which may be secret, and its permissions."""

    data: bytes = field(repr=False)
    mode: int


@dataclass(frozen=True, slots=True)
class Payload:
    """Relative path -> file, or what is missing to tell them, in the kubelet's words."""

    files: Mapping[str, File]
    missing: str = ""


def pod_folder(root: str, pod: str) -> str:
    """Return where everything that podsupd writes for a pod lies."""
    return f"{root}/{pod}"


def volume_folder(root: str, pod: str, volume: str) -> str:
    """Return the folder that a container mounts as this volume."""
    return f"{root}/{pod}/{volume}"


def message_file(root: str, pod: str, container: str) -> str:
    """Return the file that a container has at its terminationMessagePath."""
    return f"{root}/{pod}/{MESSAGES}/{container}"


def payload(pod: PodSpec, volume: Projected, facts: PodFacts | None = None) -> Payload:
    """Return the files of a volume; of two with one path the later one counts.

    Without facts what only the host knows is empty: enough to see what is missing.
    """
    files: dict[str, File] = {}
    for source in volume.sources:
        if isinstance(source, FieldFiles):
            files |= _fields(pod, source, volume.mode, facts)
            continue
        missing = _add(pod, source, volume.mode, files)
        if missing:
            return Payload({}, missing)
    return Payload(files)


def missing(pod: PodSpec, container: ContainerSpec) -> str:
    """Say what the volumes of a container need and is not there; empty when all is."""
    for volume in pod.mounted(container):
        if isinstance(volume.source, Projected):
            needs = payload(pod, volume.source).missing
            if needs:
                return f"volume {volume.name}: {needs}"
    return ""


def _fields(pod: PodSpec, source: FieldFiles, mode: int, facts: PodFacts | None) -> dict[str, File]:
    made = {}
    for item in source.items:
        if isinstance(item.value, FieldRef):
            text = downward.field(pod, item.value, facts)
        else:
            # Which container is said by the reference: the volume belongs to none.
            text = downward.resource(pod, pod.containers[0], item.value, facts)
        made[_plain(item.path)] = File((text or "").encode(), mode if item.mode is None else item.mode)
    return made


def _plain(path: str) -> str:
    """Return a relative path as a folder lists it: ``a//b`` and ``./a/b`` are ``a/b``."""
    return "/".join(step for step in path.split("/") if step not in {"", "."})


def _add(pod: PodSpec, source: ObjectFiles, mode: int, files: dict[str, File]) -> str:
    found = find(pod, source.kind, source.name)
    if found is None:
        return "" if source.optional else not_found(source.kind, source.name)
    if not source.items:
        files |= {key: File(data, mode) for key, data in found.data.items()}
        return ""
    for item in source.items:
        if item.key in found.data:
            files[_plain(item.path)] = File(found.data[item.key], mode if item.mode is None else item.mode)
        elif not source.optional:
            return f"{source.kind.lower()} {source.name} has no key {item.key}: add it, or remove the item"
    return ""
