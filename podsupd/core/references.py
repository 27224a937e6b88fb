"""Which ConfigMaps, Secrets and claims a pod refers to, and what of them is missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from podsupd.core import files
from podsupd.core.environment import environment, not_found
from podsupd.model.references import EnvFrom, KeyRef, ObjectKind, ObjectSpec
from podsupd.model.spec import ContainerSpec, PodSpec
from podsupd.model.volumes import ClaimVolume, ObjectFiles, Projected

Objects = Mapping[tuple[ObjectKind, str], ObjectSpec]


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that a pod refers to. place: YAML path of what needs it; optional: it may be missing."""

    kind: ObjectKind
    name: str
    place: str
    optional: bool = False


def referred(pod: PodSpec) -> Iterator[Reference]:
    """Yield every reference of a pod, in the manifest's order."""
    for place, container in pod.places:
        for of in (*container.env_from, *(value for _, value in container.env)):
            if isinstance(of, EnvFrom | KeyRef):
                yield Reference(of.kind, of.name, place, of.optional)
    for index, name in enumerate(pod.pull_secrets):
        yield Reference(ObjectKind.SECRET, name, f"spec.imagePullSecrets[{index}]")
    for index, volume in enumerate(pod.volumes):
        place = f"spec.volumes[{index}]"
        if isinstance(volume.source, ClaimVolume):
            yield Reference(ObjectKind.CLAIM, volume.source.claim, place, optional=True)
        for source in volume.source.sources if isinstance(volume.source, Projected) else ():
            if isinstance(source, ObjectFiles):
                yield Reference(source.kind, source.name, place, source.optional)


def attached(pod: PodSpec, objects: Objects) -> PodSpec:
    """Return the pod with the objects that it refers to, as far as they are there."""
    keys = dict.fromkeys((ref.kind, ref.name) for ref in referred(pod))
    return replace(pod, objects=tuple(objects[key] for key in keys if key in objects))


def absent(pod: PodSpec) -> Iterator[tuple[str, str]]:
    """Yield (YAML path, message) for every object that an attached pod needs and the directory has not."""
    there = {(o.kind, o.name) for o in pod.objects}
    told = set()
    for ref in referred(pod):
        key = (ref.kind, ref.name)
        if key not in there and not ref.optional and key not in told:
            told.add(key)
            yield ref.place, not_found(*key)


def missing(pod: PodSpec, container: ContainerSpec) -> str:
    """Say what a container needs before it can be made, in the kubelet's words; empty when all is there."""
    return environment(pod, container).missing or files.missing(pod, container)
