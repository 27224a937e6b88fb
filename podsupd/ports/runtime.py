"""The runtime edge, as the engine asks it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from podsupd.model.images import DiskUsage, LocalImage
from podsupd.model.observed import ExecResult, LogLine, ObservedPod, Relist, RuntimeEvent, RuntimeInfo
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.references import Login
from podsupd.model.spec import Resources


class Runtime(Protocol):
    """The runtime edge (libpod). Every method raises PodmanError's subclasses only."""

    async def info(self) -> RuntimeInfo:
        """Ask who answers; the cheapest sign of life is relist, not this."""
        ...

    def sees_processes(self) -> bool:
        """Say whether a pid in what is observed means the same process here (not in a container of our own)."""
        ...

    async def relist(self) -> Relist:
        """List all pods and containers of the host, ours and others'."""
        ...

    async def observe_pod(self, name: str) -> ObservedPod | None:
        """Inspect one pod and its containers afresh; None when there is none of that name."""
        ...

    async def observe_death(self, name: str, container_id: str) -> ObservedPod | None:
        """Inspect one container of a pod afresh, the rest as it was last observed: what a restart has to know first."""
        ...

    async def create_pod(self, action: CreatePod, labels: Mapping[str, str]) -> str:
        """Create the pod, its infra container and nothing else; return its id."""
        ...

    async def create_container(self, action: CreateContainer, labels: Mapping[str, str]) -> str:
        """Create, not start, a container in the pod; return its id."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start a created or dead container; already running is success."""
        ...

    async def signal_container(self, container_id: str, signal: str) -> None:
        """Send a signal to its first process; PodmanConflict when it is not running."""
        ...

    async def update_container(self, container_id: str, resources: Resources) -> None:
        """Set all limits of a container that runs; a restart may lose them."""
        ...

    async def remove_container(self, container_id: str, *, force: bool = False) -> None:
        """Remove a container that is not running, with its anonymous volumes; gone already is success.

        force: whatever it does or Podman takes it for; then the volumes stay.
        """
        ...

    async def remove_pod(self, pod_id: str) -> None:
        """Remove a pod without running containers; gone already is success. Never by force."""
        ...

    async def remove_volumes(self, labels: Mapping[str, str]) -> None:
        """Remove the volumes that carry all these labels (a removed pod's emptyDirs)."""
        ...

    async def image_id(self, reference: str) -> str | None:
        """Return the id of a local image, None when it is absent."""
        ...

    async def images(self) -> tuple[LocalImage, ...]:
        """List all images of the host."""
        ...

    async def remove_image(self, image_id: str) -> None:
        """Remove an image that no container uses, and its name; gone already is success. Never by force."""
        ...

    async def disk_usage(self) -> DiskUsage:
        """Return how full the file system of Podman's images is."""
        ...

    def pull(self, reference: str, login: Login | None = None) -> AsyncIterator[str]:
        """Pull an image, yielding progress lines; PodmanRejected with the registry's word when it fails.

        login: who to be there; without one Podman's own auth.json is asked.
        """
        ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Follow Podman's events of pods, containers and images until the connection ends."""
        ...

    def logs(self, container_id: str, container: str, *, follow: bool, tail: int | None) -> AsyncIterator[LogLine]:
        """Read a container's log."""
        ...

    async def exec(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command in a container through the exec API (the fallback of exec probes)."""
        ...
