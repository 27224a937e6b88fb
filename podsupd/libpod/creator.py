"""Makes a container: first what it mounts, then what it may be told of its pod, then itself."""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

from podsupd import log
from podsupd.core import files, references
from podsupd.core.environment import environment, expand
from podsupd.errors import ConfigRejected, PodmanConflict, PodmanRejected
from podsupd.libpod import creation, facts, hostpath, mounts, security
from podsupd.libpod.connection import Call, Connection
from podsupd.libpod.leftovers import Leftovers
from podsupd.libpod.mounts import Ground
from podsupd.model.observed import POD_IP_LABEL
from podsupd.model.plan import CreateContainer
from podsupd.model.references import PodFacts
from podsupd.model.spec import ContainerSpec, PodSpec
from podsupd.model.volumes import ClaimVolume, EmptyDir, HostPath, ImageVolume, Projected, VolumeSpec

logger = log.get("libpod")


class Creator:
    """Creates containers over one connection. Raises PodmanError's subclasses only."""

    def __init__(self, podman: Connection, files_root: str) -> None:
        """files_root: where podsupd keeps the files that it makes for pods; empty for none."""
        self._podman = podman
        self._files = files_root
        self._leftovers = Leftovers(podman)

    async def container(self, action: CreateContainer, labels: Mapping[str, str]) -> str:
        """Create, not start, a container and the volumes that it mounts; return its id."""
        what = f"create container {action.container.runtime_name}"
        missing = references.missing(action.pod, action.container)
        if missing:
            raise ConfigRejected(f"cannot {what}: {missing}")
        image_user = ""
        if security.asks_for_user(action.container):
            image_user = await self._image_user(action.container.reference)
            security.check_non_root(action.container, image_user)
        known = await self._facts(action.pod_id, action.container)
        sources = await self._sources(action, labels, known)
        message = files.message_file(self._files, action.pod.name, action.container.name) if self._files else ""
        if known and known.pod_ips and facts.asks_for_ip(action.container):
            labels = {**labels, POD_IP_LABEL: known.pod_ips[0]}
        body = creation.container_body(action, labels, Ground(known, image_user, sources, message))
        call = Call("create_container", what, "POST", "containers/create", body=body)
        try:
            made = await self._podman.get(call, dict)
        except PodmanConflict as error:
            if await self._leftovers.clear(action.container.runtime_name, action.container.reference):
                raise PodmanConflict(
                    f"{error}: removed what a killed Podman had left of it, and trying again"
                ) from error
            raise
        for warning in made.get("Warnings") or ():
            # What the host's cgroups cannot, Podman leaves out and says so here.
            logger.warning("container made with less than was asked", container=action.container.name, reason=warning)
        return str(made["Id"])

    async def _facts(self, pod: str, container: ContainerSpec) -> PodFacts | None:
        """Ask what the container's environment refers to; a pod without an address is given one by its start."""
        if not facts.asks_for_host(container):
            return None
        inspect = Call("inspect", f"inspect pod {pod}", "GET", f"pods/{_q(pod)}/json")
        doc = await self._podman.get(inspect, dict)
        infra_id = doc.get("InfraContainerID") or ""
        infra = None
        if infra_id and facts.asks_for_ip(container):
            start = Call("start", "start the infra container", "POST", f"containers/{infra_id}/start")
            await self._podman.request(start)
            look = Call("inspect", "inspect the infra container", "GET", f"containers/{infra_id}/json")
            infra = await self._podman.get(look, dict)
        info = await self._podman.get(Call("info", "ask Podman for its host", "GET", "info"), dict)
        return facts.pod_facts(doc, infra, info, await asyncio.to_thread(facts.host_addresses))

    async def _image_user(self, image: str) -> str:
        path = f"images/{quote(image, safe='/:@')}/json"
        doc = await self._podman.get(Call("image_inspect", f"inspect image {image}", "GET", path), dict)
        return str((doc.get("Config") or {}).get("User") or doc.get("User") or "")

    async def _sources(
        self, action: CreateContainer, labels: Mapping[str, str], known: PodFacts | None
    ) -> dict[str, str]:
        """Make every volume that the container mounts; return the host's path of those that are bound."""
        pod = action.pod
        roots: dict[str, str] = {}
        for volume in pod.mounted(action.container):
            match volume.source:
                case HostPath() as source:
                    await asyncio.to_thread(hostpath.prepare, volume.name, source)
                    roots[volume.name] = source.path
                case Projected():
                    roots[volume.name] = files.volume_folder(self._files, pod.name, volume.name)
                case EmptyDir() | ClaimVolume():
                    roots[volume.name] = await self._ensure_volume(pod, volume, labels)
                case ImageVolume():
                    pass
        variables = environment(pod, action.container, known).values
        bound: dict[str, str] = {}
        for mount in action.container.mounts:
            inner = expand(mount.sub_path, variables) if mount.sub_path_expands else mount.sub_path
            if inner:
                bound[mount.mount_path] = await asyncio.to_thread(
                    hostpath.inside, mount.name, roots.get(mount.name, ""), inner
                )
            elif any(v.name == mount.name and isinstance(v.source, HostPath | Projected) for v in pod.volumes):
                bound[mount.mount_path] = roots[mount.name]
        return bound

    async def _ensure_volume(self, pod: PodSpec, volume: VolumeSpec, labels: Mapping[str, str]) -> str:
        """Have a Podman volume; return its directory, empty where it is none before it is mounted (a tmpfs)."""
        claim = volume.source.claim if isinstance(volume.source, ClaimVolume) else ""
        body = mounts.claim_body(pod, claim, labels) if claim else mounts.volume_body(pod, volume, labels)
        name = body["Name"]
        inspect = Call("inspect_volume", f"inspect volume {name}", "GET", f"volumes/{_q(name)}/json")
        doc = await self._podman.find(inspect, dict)
        fresh = doc is None
        if doc is None:
            create = Call("create_volume", f"create volume {name}", "POST", "volumes/create", body=body)
            doc = await self._podman.get(create, dict)
        elif not claim and not body["Label"].items() <= (doc.get("Labels") or {}).items():
            raise PodmanRejected(
                f"cannot use volume {name} for emptyDir {volume.name}: it is there already and is not this pod's; "
                "remove it or rename the emptyDir"
            )
        path = "" if "type" in (doc.get("Options") or {}) else str(doc.get("Mountpoint") or "")
        if path and fresh and not claim:
            await asyncio.to_thread(hostpath.open_to_all, path)
        if path and pod.security.fs_group is not None:
            await asyncio.to_thread(hostpath.give, path, pod.security.fs_group, always=pod.security.fs_group_always)
        return path


def _q(name: str) -> str:
    return quote(name, safe="")
