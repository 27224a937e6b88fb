"""A Runtime with a pod to play with, on the fake libpod or on the real one, as the contract tests need it."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import aiohttp

from podsupd.libpod import LibpodRuntime
from podsupd.libpod.connection import API, socket_path
from podsupd.model.observed import ObservedContainer, ObservedPod
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.spec import ContainerSpec, PodSpec
from tests.fakes.libpod import FakeLibpod
from tests.fakes.meter import CountingMeter


@dataclass
class World:
    """A Runtime with a pod name of its own; ``fake`` is None where it is the real Podman."""

    runtime: LibpodRuntime
    url: str
    meter: CountingMeter
    fake: FakeLibpod | None
    pod: PodSpec
    labels: dict[str, str]

    @property
    def spec(self) -> ContainerSpec:
        """Return the pod's only container."""
        return self.pod.containers[0]

    async def make_pod(self) -> str:
        """Create the pod and return its id."""
        return await self.runtime.create_pod(CreatePod(self.pod, "1:x"), self.labels)

    async def make(self, script: str = "sleep 1000") -> tuple[str, str]:
        """Create the pod and its container, not started; return both ids."""
        pod_id = await self.make_pod()
        return pod_id, await self.make_container(pod_id, script)

    async def make_container(self, pod_id: str, script: str = "sleep 1000") -> str:
        """Create the container, not started, and return its id."""
        spec = replace(self.spec, command=("sh", "-c", script))
        return await self.runtime.create_container(CreateContainer(pod_id, self.pod, spec, "1:x"), self.labels)

    async def see(self) -> ObservedPod:
        """Observe the pod, which must be there."""
        pod = await self.runtime.observe_pod(self.pod.name)
        assert pod is not None
        return pod

    async def only(self) -> ObservedContainer:
        """Observe the pod's only container."""
        (container,) = (await self.see()).containers
        return container

    async def until(self, true: Callable[[ObservedPod], bool]) -> ObservedPod:
        """Observe until something is true; libpod has no event for what it will show."""
        async with asyncio.timeout(60):
            while not true(pod := await self.see()):
                await asyncio.sleep(0.01)
        return pod

    async def crash(self, container: ObservedContainer) -> None:
        """Let a first process die without libpod's help."""
        if self.fake is not None:
            self.fake.crash(container.name, 137)
        else:
            os.kill(container.pid, 9)

    async def clean(self) -> None:
        """Remove what the test made, by force, past the code under test."""
        if self.fake is not None:
            return
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket_path(self.url))) as session:
            base = f"http://podman{API}"
            await session.delete(f"{base}pods/{self.pod.name}?force=true")
            async with session.get(f"{base}volumes/json") as answer:
                for volume in json.loads(await answer.read()):
                    if volume["Name"].startswith(f"{self.pod.name}-"):
                        await session.delete(f"{base}volumes/{volume['Name']}?force=true")


async def volume_names(world: World) -> set[str]:
    """Return the names of the pod's volumes, asked past the code under test."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket_path(world.url))) as session,
        session.get(f"http://podman{API}volumes/json") as answer,
    ):
        names = {str(volume["Name"]) for volume in json.loads(await answer.read())}
    return {name for name in names if name.startswith(f"{world.pod.name}-")}
