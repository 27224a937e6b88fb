"""Digests of what is fixed at creation, versioned and per field (DESIGN D6).

A digest reads ``v1 image=3f2a... env=9c01...``: a hash per field that differs from its default. A field that a later
release adds is absent on both sides as long as it has its default, so a new release restarts nothing; a digest of
another version is not compared at all. Only what needs re-creation is in it: probes, labels, annotations, back-off and
grace are not.
"""

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any

from podsupd.core.environment import undecided
from podsupd.model.network import Network
from podsupd.model.security import Security
from podsupd.model.spec import ContainerSpec, PodSpec, Resources
from podsupd.model.volumes import ClaimVolume, EmptyDir, HostPath, ImageVolume, Projected, VolumeMount

VERSION = "v1"

IN_PLACE = frozenset({"resources"})
"""Fields that a container is created with, and that are updated while it runs."""


def _render(fields: dict[str, Any]) -> str:
    hashes = [
        f"{name}={hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]}"
        for name, value in fields.items()
        if value not in (None, "", [], {}, False)
    ]
    return " ".join([VERSION, *hashes])


def _mount(pod: PodSpec, mount: VolumeMount) -> list[Any]:
    """Return what a mount is made of; the files of a projected volume are changed in place, so they are not in it."""
    source = next((v.source for v in pod.volumes if v.name == mount.name), None)
    match source:
        case HostPath(path=path, type=kind):
            what: list[Any] = ["hostPath", path, kind]
        case EmptyDir(medium=medium, size_limit=size):
            what = ["emptyDir", mount.name, medium, size]
        case Projected():
            what = ["projected", mount.name]
        case ClaimVolume(claim=claim, read_only=kept):
            what = ["persistentVolumeClaim", claim, kept]
        case ImageVolume(image=image):
            what = ["image", image]
        case None:
            what = ["missing", mount.name]
    more = [mount.sub_path, mount.sub_path_expands, mount.propagation]
    return [*what, mount.mount_path, mount.read_only, *(more if any(more) else [])]


def _changed(part: Security | Network) -> dict[str, Any]:
    """Return what differs from the defaults, by field: a field that a later release adds changes no digest."""
    return {
        field.name: asdict(part)[field.name] for field in fields(part) if getattr(part, field.name) != field.default
    }


def _resources(resources: Resources) -> list[int | None]:
    if resources == Resources():
        return []
    return [
        resources.cpu_limit_milli,
        resources.memory_limit,
        resources.cpu_request_milli,
        resources.memory_request,
    ]


def container_digest(pod: PodSpec, container: ContainerSpec) -> str:
    """Digest a container's fields that need its re-creation."""
    env, env_from = undecided(pod, container)
    return _render(
        {
            "name": container.runtime_name,
            "image": container.image,
            "command": list(container.command),
            "args": list(container.args),
            "workingDir": container.working_dir,
            "env": env,
            "envFrom": env_from,
            "volumeMounts": [_mount(pod, mount) for mount in container.mounts],
            "resources": _resources(container.resources),
            "stdin": container.stdin,
            "tty": container.tty,
            "securityContext": _changed(container.security),
            "supplementalGroups": list(pod.security.all_groups),
            "ipcSysctls": [list(pair) for pair in pod.security.sysctls if not pair[0].startswith("net.")],
        }
    )


def pod_digest(pod: PodSpec) -> str:
    """Digest the fields that need the whole pod's re-creation."""
    ports = [[p.container_port, p.protocol, p.host_port, p.host_ip] for p in pod.published_ports]
    return _render(
        {
            "name": pod.name,
            "shareProcessNamespace": pod.share_process_namespace,
            "ports": [] if pod.network.host_network else sorted(ports, key=json.dumps),
            "network": _changed(pod.network),
            "sysctls": [list(pair) for pair in pod.security.sysctls if pair[0].startswith("net.")],
            "initContainers": [container_digest(pod, step) for step in pod.steps],
        }
    )


def whole_digest(pod: PodSpec) -> str:
    """Digest all of a pod that something has to be made anew for."""
    return "; ".join([pod_digest(pod), *(f"{c.name}: {container_digest(pod, c)}" for c in pod.every)])


def _parse(digest: str) -> tuple[str, dict[str, str]]:
    version, *pairs = digest.split() or [""]
    return version, dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def resources_of(digest: str) -> str:
    """Return the hash of the resources, empty where there are none."""
    return _parse(digest)[1].get("resources", "")


def changed_fields(have: str, want: str) -> tuple[str, ...]:
    """Name the fields that differ and need what they are of to be made anew.

    Empty as well when the two have no common version, which restarts nothing.
    """
    have_version, have_fields = _parse(have)
    want_version, want_fields = _parse(want)
    if have_version != want_version:
        return ()
    names = [n for n in dict.fromkeys([*want_fields, *have_fields]) if n not in IN_PLACE]
    return tuple(n for n in names if have_fields.get(n) != want_fields.get(n))
