"""Knows which images podsupd pulled, and removes those that no pod needs, when the settings ask for it.

Nobody else's images are touched: what was here before a pull of ours, or got a name, a container or an image of
somebody else's since, stays.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from podsupd import log
from podsupd.core import image_gc
from podsupd.core.image_gc import Needs
from podsupd.engine.events import EventLog
from podsupd.engine.fleet import Fleet
from podsupd.engine.tasks import pause
from podsupd.errors import PodmanConflict, PodmanError, PodmanRejected, PodmanUnavailable, StateUnavailable
from podsupd.model.images import Removal
from podsupd.model.plan import Note
from podsupd.model.references import Login
from podsupd.model.settings import ImageSettings
from podsupd.ports import Clock, Meter, Runtime, State

logger = log.get("images")

T = TypeVar("T")

TRIES = 20
AGAIN_S = 0.25


def needs_of(fleet: Fleet) -> Needs | None:
    """Return what the pods need, None before that is known (D1)."""
    if not fleet.begun:
        return None
    found = Needs(names=frozenset(name for spec in fleet.desired.pods.values() for name in spec.images))
    for worker in fleet.workers.values():
        view = worker.view()
        found |= image_gc.needs(worker.want, view.memory, view.seen)
    return found


class ImageKeeper:
    """Claims what a pull of ours brought, and collects the garbage.

    pulled: image id -> name, of earlier pulls. needs: what may not go, None while that is not known.
    """

    def __init__(
        self,
        runtime: Runtime,
        state: State,
        clock: Clock,
        meter: Meter,
        events: EventLog,
        rules: ImageSettings,
        pulled: Mapping[str, str],
        needs: Callable[[], Needs | None],
    ) -> None:
        self._runtime = runtime
        self._state = state
        self._clock = clock
        self._meter = meter
        self._events = events
        self._rules = rules
        self._pulled = dict(pulled)
        self._needs = needs
        self._since: dict[str, float] = {}
        self._trouble = ""

    async def pull(self, reference: str, login: Login | None) -> AsyncIterator[str]:
        """Pull an image as the runtime does, and note it as ours when it was not here before."""
        before = await self._ids()
        async for line in self._runtime.pull(reference, login):
            yield line
        if before is not None:
            await self._claim(reference, before)

    async def run(self, stopping: asyncio.Event) -> None:
        """Collect at an interval until stopping."""
        if not self._rules.gc:
            await stopping.wait()
        while not stopping.is_set():
            try:
                await self.collect()
                self._trouble = ""
            except PodmanError as error:
                if not self._trouble:
                    logger.warning("unused images stay", error=str(error))
                self._trouble = str(error)
            await pause(stopping, self._rules.gc_interval_s)

    async def collect(self) -> None:
        """Look once and remove what may go. Raises PodmanError when that cannot be told."""
        needs = self._needs()
        if needs is None:
            return
        known = set(self._pulled)
        images = await self._asked(self._runtime.images)
        # What a pull brought while the list was made may not be in it.
        gone = known - {image.id for image in images}
        if gone:
            self._pulled = {image: name for image, name in self._pulled.items() if image not in gone}
            await self._save()
        named = [await self._runtime.image_id(name) for name in sorted(needs.names)]
        used = needs.ids | {image for image in named if image}
        candidates = image_gc.unused(images, self._pulled, used)
        now = self._clock.now().boottime
        self._since = {image.id: self._since.get(image.id, now) for image in candidates}
        disk = await self._runtime.disk_usage()
        for removal in image_gc.choose(candidates, self._since, disk, self._rules, now):
            await self._remove(removal)

    async def _remove(self, removal: Removal) -> None:
        image = removal.image
        needs = self._needs()
        if needs is None or image.id in needs.ids or needs.names.intersection(image.names):
            return  # somebody began to need it meanwhile
        try:
            await self._runtime.remove_image(image.id)
        except (PodmanConflict, PodmanRejected) as error:
            logger.info("an unused image stays", image=image.id, error=str(error))
            return
        name = self._pulled.pop(image.id, "")
        await self._save()
        self._meter.image_removed(removal.reason)
        text = f"removed image {name} ({image.id[:12]}, {image.size / 1e6:.1f} MB): {removal.message}"
        self._events.note("", Note("Normal", "ImageRemoved", text))

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask Podman about images; it refuses to list them, or to look at one, while another one is removed (4.3.1)."""
        for _ in range(TRIES - 1):
            try:
                return await ask()
            except (PodmanRejected, PodmanUnavailable):
                await asyncio.sleep(AGAIN_S)
        return await ask()

    async def _ids(self) -> frozenset[str] | None:
        try:
            return frozenset(image.id for image in await self._asked(self._runtime.images))
        except PodmanError as error:
            logger.warning("what is pulled now will not be taken for ours", error=str(error))
            return None

    async def _claim(self, reference: str, before: frozenset[str]) -> None:
        try:
            image = await self._asked(lambda: self._runtime.image_id(reference))
        except PodmanError as error:
            logger.warning("what was pulled is not taken for ours", image=reference, error=str(error))
            return
        if image and image not in before:
            self._pulled[image] = reference
            await self._save()

    async def _save(self) -> None:
        try:
            await self._state.save_images(self._pulled)
        except StateUnavailable as error:
            # It is saved with the next one; what was not is never taken for ours.
            logger.warning("record of pulled images not saved", error=str(error))
