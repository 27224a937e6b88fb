"""Carries out one action: at most one short libpod call; a bounded number of them at a time over all pods."""

import asyncio
from collections.abc import Callable

from podsupd.engine.puller import Puller
from podsupd.model.observed import CONTAINER_LABEL, DIGEST_LABEL, OWNER_LABEL, POD_LABEL, SOURCE_LABEL
from podsupd.model.plan import (
    Action,
    CreateContainer,
    CreatePod,
    Note,
    PullImage,
    RemoveContainer,
    RemovePod,
    SignalContainer,
    StartContainer,
)
from podsupd.model.spec import PodSpec
from podsupd.ports import Runtime

AT_ONCE = 4


class Executor:
    """Applies actions. Raises PodmanError's subclasses; what has to follow is the next plan's business."""

    def __init__(
        self,
        runtime: Runtime,
        puller: Puller,
        owner: str,
        announce: Callable[[str, str], None] = lambda _container_id, _signal: None,
    ) -> None:
        self._runtime = runtime
        self._puller = puller
        self._owner = owner
        self._announce = announce
        # Podman serialises on its own locks; more at once only makes every single start slower.
        self._slots = asyncio.Semaphore(AT_ONCE)

    def _labels(self, pod: PodSpec, digest: str) -> dict[str, str]:
        own = {
            OWNER_LABEL: self._owner,
            POD_LABEL: pod.name,
            DIGEST_LABEL: digest,
            SOURCE_LABEL: pod.source.path,
        }
        return {**pod.labels, **own}

    async def apply(self, pod: str, action: Action, tell: Callable[[Note], None]) -> None:
        """Carry out one action of a pod; tell gets what a pull has to say later."""
        match action:
            case PullImage(image=image):
                self._puller.request(image, pod, tell)
            case SignalContainer(container_id=container_id, signal=signal):
                # The ledger sees Podman's runtime send it, and has to know whose wish it was.
                self._announce(container_id, signal)
                # Not in a slot: a stop must not wait behind twenty starts.
                await self._runtime.signal_container(container_id, signal)
            case CreatePod(spec=spec, digest=digest):
                async with self._slots:
                    await self._runtime.create_pod(action, self._labels(spec, digest))
            case CreateContainer(pod=spec, container=container, digest=digest):
                labels = {**self._labels(spec, digest), CONTAINER_LABEL: container.name}
                async with self._slots:
                    await self._runtime.create_container(action, labels)
            case StartContainer(container_id=container_id):
                async with self._slots:
                    await self._runtime.start_container(container_id)
            case RemoveContainer(container_id=container_id):
                async with self._slots:
                    await self._runtime.remove_container(container_id)
            case RemovePod(pod_id=pod_id, with_volumes=with_volumes):
                async with self._slots:
                    await self._runtime.remove_pod(pod_id)
                if with_volumes:
                    await self._runtime.remove_volumes({OWNER_LABEL: self._owner, POD_LABEL: pod})


def told(action: Action) -> Note | None:
    """Return the event of an action that was carried out, in Kubernetes' words."""
    match action:
        case CreatePod(spec=spec):
            return Note("Normal", "Created", f"created pod {spec.name}")
        case CreateContainer(container=spec):
            return Note("Normal", "Created", f"created container {spec.name} of image {spec.image}", spec.name)
        case StartContainer(container=""):
            return None
        case StartContainer(container=name):
            return Note("Normal", "Started", f"started container {name}", name)
        case RemoveContainer(container=name):
            return Note("Normal", "Removed", f"removed container {name}: {action.why}", name)
        case RemovePod():
            return Note("Normal", "Removed", f"removed the pod: {action.why}")
        case _:
            return None
