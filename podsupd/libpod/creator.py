"""Makes a container: first what it mounts, then what it may be told of its pod, then itself."""

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

from podsupd.core.environment import environment
from podsupd.errors import PodmanRejected
from podsupd.libpod import creation, facts, hostpath, security
from podsupd.libpod.connection import Call, Connection
from podsupd.model.plan import CreateContainer
from podsupd.model.references import PodFacts
from podsupd.model.spec import ContainerSpec, EmptyDir, HostPath, PodSpec, VolumeSpec


class Creator:
    """Creates containers over one connection. Raises PodmanError's subclasses only."""

    def __init__(self, podman: Connection) -> None:
        self._podman = podman

    async def container(self, action: CreateContainer, labels: Mapping[str, str]) -> str:
        """Create, not start, a container and the volumes that it mounts; return its id."""
        what = f"create container {action.container.runtime_name}"
        missing = environment(action.pod, action.container).missing
        if missing:
            raise PodmanRejected(f"cannot {what}: {missing}")
        for volume in creation.mounted_volumes(action):
            if isinstance(volume.source, HostPath):
                await asyncio.to_thread(hostpath.prepare, volume.name, volume.source)
            elif isinstance(volume.source, EmptyDir):
                await self._ensure_volume(action.pod, volume, labels)
        image_user = ""
        if security.asks_for_user(action.container):
            image_user = await self._image_user(action.container.image)
            security.check_non_root(action.container, image_user)
        known = await self._facts(action.pod_id, action.container)
        body = creation.container_body(action, labels, known, image_user)
        call = Call("create_container", what, "POST", "containers/create", body=body)
        return await self._podman.get(call, lambda doc: str(doc["Id"]))

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

    async def _ensure_volume(self, pod: PodSpec, volume: VolumeSpec, labels: Mapping[str, str]) -> None:
        body = creation.volume_body(pod, volume, labels)
        name = body["Name"]
        inspect = Call("inspect_volume", f"inspect volume {name}", "GET", f"volumes/{_q(name)}/json")
        there = await self._podman.find(inspect, dict)
        if there is None:
            create = Call("create_volume", f"create volume {name}", "POST", "volumes/create", body=body)
            doc = await self._podman.get(create, dict)
            if "type" not in body["Options"]:
                await asyncio.to_thread(hostpath.open_to_all, str(doc.get("Mountpoint") or ""), pod.security.fs_group)
        elif not body["Label"].items() <= (there.get("Labels") or {}).items():
            raise PodmanRejected(
                f"cannot use volume {name} for emptyDir {volume.name}: it is there already and is not this pod's; "
                "remove it or rename the emptyDir"
            )


def _q(name: str) -> str:
    return quote(name, safe="")
