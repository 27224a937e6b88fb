"""Keeps the files of a worker's pod: those that its containers mount, and the last words that they leave."""

import asyncio
from collections.abc import Callable, Mapping

from podsupd.core import naming
from podsupd.errors import FilesUnavailable, PodmanError
from podsupd.model.observed import CONTAINER_LABEL, ObservedContainer, ObservedPod
from podsupd.model.plan import Action, ContainerMemory, Note, PodMemory, RemovePod, StartContainer
from podsupd.model.spec import PodSpec
from podsupd.ports import PodFiles, Runtime

LOG_LINES = 80
LOG_BYTES = 2048
"""What FallbackToLogsOnError takes from the end of a log: Kubernetes' numbers."""


class FileKeeper:
    """One for all workers; raises PodmanUnavailable only."""

    def __init__(self, files: PodFiles, runtime: Runtime, owner: str) -> None:
        self._files = files
        self._runtime = runtime
        self._owner = owner
        self._failed: dict[str, str] = {}
        self._again = asyncio.Event()

    def poke(self) -> None:
        """Look soon at what the containers wrote: there was a relist."""
        self._again.set()

    async def run(self) -> None:
        """Bound what the containers write, at every relist, for ever."""
        while True:
            await self._again.wait()
            self._again.clear()
            await self._files.trim()

    async def keep(self, want: PodSpec | None, seen: ObservedPod | None, tell: Callable[[Note], None]) -> None:
        """Have the files of a wanted pod as they should be; tell of volumes that changed under its containers."""
        if want is None:
            return
        try:
            changed = await self._files.keep(want, seen.id if seen else "")
        except FilesUnavailable as error:
            if self._failed.get(want.name) != str(error):
                self._failed[want.name] = str(error)
                tell(Note("Warning", "FailedMount", str(error)))
            return
        self._failed.pop(want.name, None)
        for volume in changed:
            tell(
                Note("Normal", "VolumeUpdated", f"the files of volume {volume} were updated in the running containers")
            )

    async def before(self, pod: str, action: Action) -> None:
        """Do what has to be done before an action: last words are of one life, and a removed pod leaves nothing."""
        match action:
            case StartContainer(container=name) if name:
                await self._files.begin(pod, name)
            case RemovePod(with_volumes=True):
                try:
                    await self._files.remove(pod)
                except FilesUnavailable as error:
                    self._failed[pod] = str(error)

    async def words(self, want: PodSpec | None, seen: ObservedPod | None, memory: PodMemory) -> Mapping[str, str]:
        """Return container id -> last words, for those that died since the memory was kept."""
        found: dict[str, str] = {}
        for container in naming.ours(seen, self._owner) if want and seen else ():
            name = container.label(CONTAINER_LABEL)
            death = memory.containers.get(name, ContainerMemory()).last_death
            if container.state.dead and (death is None or death.incarnation != container.incarnation):
                found[container.id] = await self._words(want, container, name)
        return found

    async def _words(self, want: PodSpec | None, container: ObservedContainer, name: str) -> str:
        pod = want.name if want else ""
        words = await self._files.message(pod, name)
        spec = next((c for c in want.every if c.name == name), None) if want else None
        if words or spec is None or not spec.message_from_log or container.exit_code == 0:
            return words
        try:
            log = self._runtime.logs(container.id, name, follow=False, tail=LOG_LINES)
            lines = [line.text async for line in log]
        except PodmanError:
            # Its log may be gone or another driver's: then it left no words.
            return ""
        return "\n".join(lines)[-LOG_BYTES:]
