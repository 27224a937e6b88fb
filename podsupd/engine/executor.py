"""Carries out one action: at most one short libpod call; a bounded number of them at a time over all pods."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from podsupd.core.limits import limits_of, same
from podsupd.engine.holders import Holders
from podsupd.engine.puller import Puller
from podsupd.errors import CgroupUnavailable, PodmanRejected, PortTaken
from podsupd.model.observed import CONTAINER_LABEL, DIGEST_LABEL, OWNER_LABEL, POD_LABEL, SOURCE_LABEL
from podsupd.model.plan import (
    Action,
    CallWebhook,
    CreateContainer,
    CreatePod,
    Note,
    PullImage,
    RemoveContainer,
    RemovePod,
    RemoveShelter,
    SignalContainer,
    SignalLeftovers,
    StartContainer,
    UpdateContainer,
    WakeMonitor,
)
from podsupd.model.spec import PodSpec
from podsupd.ports import Meter, Monitors, Runtime, Shelters

AT_ONCE = 4
NAMED = 10  # processes that an event names


@dataclass(frozen=True, slots=True)
class Host:
    """What is done on the host besides Podman."""

    shelters: Shelters
    monitors: Monitors
    holders: Holders


class Executor:
    """Applies actions. Raises PodmanError's subclasses and CgroupUnavailable.

    What has to follow is the next plan's business.
    """

    def __init__(
        self,
        runtime: Runtime,
        puller: Puller,
        host: Host,
        meter: Meter,
        owner: str,
        *,
        announce: Callable[[str, str], None] = lambda _container_id, _signal: None,
        call: Callable[[str, CallWebhook, Callable[[Note], None]], None] = lambda _pod, _action, _tell: None,
    ) -> None:
        self._runtime = runtime
        self._puller = puller
        self._shelters = host.shelters
        self._monitors = host.monitors
        self._holders = host.holders
        self._meter = meter
        self._owner = owner
        self._announce = announce
        self._call = call
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
        """Carry out one action of a pod; tell gets what a pull or a webhook has to say later."""
        match action:
            case PullImage(image=image, quiet=quiet):
                self._puller.request(image, pod, None if quiet else tell)
            case SignalContainer():
                # Not in a slot: a stop must not wait behind twenty starts.
                await self._signal(pod, action, tell)
            case SignalLeftovers(container_id=container_id, signal=signal, step=step):
                found = await self._shelters.signal(container_id, signal, step, 0)
                if signal == "SIGKILL":
                    self._killed(pod, action.container, found, tell)
            case CallWebhook():
                self._call(pod, action, tell)
            case RemoveShelter(container_id=container_id):
                await self._shelters.remove(container_id)
            case WakeMonitor(container_id=container_id, pid=pid):
                self._monitors.wake(pid, container_id)
            case CreatePod(spec=spec, digest=digest):
                async with self._slots:
                    await self._runtime.create_pod(action, self._labels(spec, digest))
            case CreateContainer(pod=spec, container=container, digest=digest):
                labels = {**self._labels(spec, digest), CONTAINER_LABEL: container.name}
                async with self._slots:
                    await self._runtime.create_container(action, labels)
            case StartContainer() | UpdateContainer() | RemoveContainer():
                async with self._slots:
                    await self._handle(action)
            case RemovePod(pod_id=pod_id, with_volumes=with_volumes):
                async with self._slots:
                    await self._runtime.remove_pod(pod_id)
                if with_volumes:
                    await self._runtime.remove_volumes({OWNER_LABEL: self._owner, POD_LABEL: pod})

    async def _signal(self, pod: str, action: SignalContainer, tell: Callable[[Note], None]) -> None:
        """Signal a container's first process and, as the action says, the others; without them if need be."""
        failed = ""
        if action.shelter:
            failed = await self._attempt(self._shelters.shelter(action.container_id, action.pid))
        kill = action.signal == "SIGKILL"
        found: tuple[str, ...] = ()

        async def others() -> None:
            nonlocal found
            found = await self._shelters.signal(action.container_id, action.signal, action.step, action.pid)

        # Unsheltered, the others end with the first process: they are told before it. A manager is told before those
        # that it would replace, and nobody can be started any more by one that was killed.
        first_first = action.shelter or kill
        if action.everyone and not first_first:
            failed = await self._attempt(others())
        # The ledger sees Podman's runtime send it, and has to know whose wish it was.
        self._announce(action.container_id, action.signal)
        await self._runtime.signal_container(action.container_id, action.signal)
        if action.shelter and not failed:
            # Whoever its handler has started meanwhile: at its death the runtime is on its way to them too.
            self._shelters.sweep(action.container_id, action.pid)
        if action.everyone and first_first:
            failed = await self._attempt(others()) or failed
        if action.container:
            # Made at once, with 0: a rate over a series that appears with its first kill misses that kill.
            self._meter.stop_killed(pod, action.container, 0)
        if kill and not action.again:
            self._killed(pod, action.container, ("its first process", *found), tell)
        if failed and not kill and not action.step:
            why = f"its first process is stopped, the runtime kills what that leaves behind: {failed}"
            tell(Note("Warning", "StopDegraded", why, action.container or None))

    async def _handle(self, action: StartContainer | UpdateContainer | RemoveContainer) -> None:
        match action:
            case StartContainer(container_id=container_id):
                try:
                    await self._runtime.start_container(container_id)
                except PortTaken as error:
                    raise await self._holders.explain(error) from error
            case RemoveContainer(container_id=container_id, force=force):
                await self._runtime.remove_container(container_id, force=force)
            case UpdateContainer(container_id=container_id, resources=resources):
                await self._runtime.update_container(container_id, resources)
                # Podman says yes to what it passes over.
                want, have = limits_of(resources), await self._shelters.limits(container_id, action.pid)
                if have is not None and not same(want, have):
                    raise PodmanRejected(f"cannot update the limits of {action.container}: its cgroup has {have}")

    async def _attempt(self, work: Awaitable[None]) -> str:
        """Await what a stop can do without; return what went wrong."""
        try:
            await work
        except CgroupUnavailable as error:
            return str(error)
        return ""

    def _killed(self, pod: str, container: str, who: tuple[str, ...], tell: Callable[[Note], None]) -> None:
        if who and container:
            self._meter.stop_killed(pod, container, len(who))
            listed = ", ".join(who[:NAMED]) + (f" and {len(who) - NAMED} more" if len(who) > NAMED else "")
            tell(
                Note("Warning", "Killed", f"container {container}: had to be killed when stopped: {listed}", container)
            )


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
        case UpdateContainer(container=name):
            return Note("Normal", "Updated", f"updated the limits of container {name} in place: {action.why}", name)
        case RemoveContainer(container=name, force=force):
            how = " by force" if force else ""
            return Note(
                "Warning" if force else "Normal", "Removed", f"removed container {name}{how}: {action.why}", name
            )
        case RemovePod():
            return Note("Normal", "Removed", f"removed the pod: {action.why}")
        case _:
            return None
