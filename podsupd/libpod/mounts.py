"""Volumes and their mounts as libpod's JSON."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podsupd.model.observed import OWNER_LABEL, POD_LABEL
from podsupd.model.references import ObjectKind, PodFacts
from podsupd.model.spec import ContainerSpec, PodSpec
from podsupd.model.volumes import ClaimVolume, EmptyDir, HostPath, ImageVolume, Projected, VolumeMount, VolumeSpec

PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


@dataclass(frozen=True, slots=True)
class Ground:
    """What was found out or made on the host before a container is created.

    facts: for an environment that refers to what only the host knows. image_user: for a group without a user.
    sources: mount path -> path of the host, for mounts that are no named volumes as they are. message: the file for
    the container's last words, empty for none.
    """

    facts: PodFacts | None = None
    image_user: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


def volume_name(pod: PodSpec, volume: VolumeSpec) -> str:
    """Return the name of the Podman volume of an emptyDir or a claim."""
    return volume.source.claim if isinstance(volume.source, ClaimVolume) else f"{pod.name}-{volume.name}"


def volume_body(pod: PodSpec, volume: VolumeSpec, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of ``volumes/create`` for an emptyDir, shared by the pod's containers and labelled with it.

    uid and gid say that Podman shall not give the volume to the first container's user. A size goes to a tmpfs as
    nr_blocks: Podman takes ``size`` for a project quota, which few file systems have. On disk sizeLimit has no
    effect (in Kubernetes it evicts).
    """
    source = volume.source
    options = {"o": "uid=0,gid=0"}
    if isinstance(source, EmptyDir) and source.medium == "Memory":
        group = pod.security.fs_group
        wishes = ["uid=0", f"gid={group or 0}", "mode=0777" if group is None else "mode=2777"]
        if source.size_limit is not None:
            wishes.append(f"nr_blocks={max(1, math.ceil(source.size_limit / os.sysconf('SC_PAGE_SIZE')))}")
        options = {"type": "tmpfs", "device": "tmpfs", "o": ",".join(wishes)}
    return {
        "Name": volume_name(pod, volume),
        "Driver": "local",
        "Label": {key: labels[key] for key in (OWNER_LABEL, POD_LABEL) if key in labels},
        "Options": options,
    }


def claim_body(pod: PodSpec, claim: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of ``volumes/create`` for a claim: ours, and no pod's, so that no pod takes it along."""
    found = next((o for o in pod.objects if o.kind is ObjectKind.CLAIM and o.name == claim), None)
    options = dict(found.options) if found else {}
    return {
        "Name": claim,
        "Driver": options.pop("driver", "local"),
        "Label": {OWNER_LABEL: labels[OWNER_LABEL]} if OWNER_LABEL in labels else {},
        "Options": options or {"o": "uid=0,gid=0"},
    }


def fields(spec: ContainerSpec, pod: PodSpec, ground: Ground) -> dict[str, Any]:
    """Return the mounts of ``containers/create``: binds, named volumes, images."""
    binds: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    volumes = {volume.name: volume for volume in pod.mounted(spec)}
    for mount in spec.mounts:
        volume = volumes.get(mount.name)
        if volume is None:
            continue
        path = mount.mount_path
        source = ground.sources.get(path) or (volume.source.path if isinstance(volume.source, HostPath) else "")
        if source:
            options = ["rbind", *_options(mount, volume)]
            binds.append({"type": "bind", "source": source, "destination": path, "options": options})
        elif isinstance(volume.source, ImageVolume):
            images.append({"Source": volume.source.image, "Destination": path, "ReadWrite": False})
        elif isinstance(volume.source, EmptyDir | ClaimVolume):
            # nocopy: such a volume has what was put into it, whatever the image has at that path.
            named.append(
                {"Name": volume_name(pod, volume), "Dest": path, "Options": ["nocopy", *_options(mount, volume)]}
            )
    if ground.message:
        target = {
            "type": "bind",
            "source": ground.message,
            "destination": spec.message_path,
            "options": ["rbind", "rw"],
        }
        binds.append(target)
    return {"mounts": binds, "volumes": named} | ({"image_volumes": images} if images else {})


def _options(mount: VolumeMount, volume: VolumeSpec) -> list[str]:
    kept = isinstance(volume.source, Projected) or (isinstance(volume.source, ClaimVolume) and volume.source.read_only)
    spread = [PROPAGATION[mount.propagation]] if mount.propagation else []
    return ["ro" if mount.read_only or kept else "rw", *spread]
