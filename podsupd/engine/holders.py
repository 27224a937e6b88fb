"""Names who holds a port that a pod wants, so that a person knows what to stop."""

import asyncio

from podsupd.errors import PodmanError, PodmanRejected, PortTaken
from podsupd.model.network import PortHolder
from podsupd.ports import Listeners, Runtime


class Holders:
    """Explains refusals of Podman's to publish a port."""

    def __init__(self, listeners: Listeners, runtime: Runtime) -> None:
        self._listeners = listeners
        self._runtime = runtime

    async def explain(self, error: PortTaken) -> PodmanRejected:
        """Return the refusal with who holds the ports."""
        told = [await self._held(protocol, port) for protocol, port in dict.fromkeys(error.ports)]
        return PodmanRejected("; ".join((str(error), *told)))

    async def _held(self, protocol: str, port: int) -> str:
        what = f"port {port}/{protocol.upper()} of the host is held by"
        found = await asyncio.to_thread(self._listeners.holders, protocol, port)
        if not found:
            return f"{what} a process that cannot be seen from here: `ss -lnp` as root names it"
        places = await self._places()
        named = [_named(holder, places.get(holder.container_id, "")) for holder in found]
        return f"{what} {', '.join(dict.fromkeys(named))}"

    async def _places(self) -> dict[str, str]:
        """Name the container and the pod of every container id."""
        try:
            relist = await self._runtime.relist()
        except PodmanError:
            return {}
        places = {container_id: f"container {name}" for name, container_id in relist.names.items()}
        for pod in relist.pods:
            for container in pod.containers:
                infra = container.id == pod.infra_id
                places[container.id] = f"pod {pod.name}" if infra else f"container {container.name} of pod {pod.name}"
        return places


def _named(holder: PortHolder, place: str) -> str:
    process = f"{holder.command or 'process'} (PID {holder.pid})"
    if holder.container_id:
        return f"{place or f'container {holder.container_id[:12]}'}: {process}"
    return process
