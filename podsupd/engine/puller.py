"""The one puller: pulls are deduplicated by image, shown in the log, and back off when the registry is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from podsupd import log
from podsupd.core.backoff import crash_delay
from podsupd.engine.tasks import TaskPool
from podsupd.errors import PodmanError, PodmanRejected
from podsupd.model.plan import ImageFact, ImageState, Note
from podsupd.model.references import Login
from podsupd.model.spec import BackoffSpec
from podsupd.ports import Clock, Runtime

logger = log.get("puller")

# Kubernetes' image back-off: 10 s doubling to 300 s; the first failure counts as the second crash would.
BACKOFF = BackoffSpec()
AT_ONCE = 3
PROGRESS_EVERY_S = 5.0
FOUND_FOR_S = 1.0
REFUSED_S = 1.0


class Puller:
    """Knows which images are at hand and owns the pulls. on_change is called when a fact changed.

    login: who to be for pulling an image, by the pods that want it now. pull: how it is pulled, None for the runtime's.
    """

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        on_change: Callable[[], None],
        login: Callable[[str], Login | None] = lambda _image: None,
        pull: Callable[[str, Login | None], AsyncIterator[str]] | None = None,
    ) -> None:
        self._fetch = pull or runtime.pull
        self._login = login
        self._runtime = runtime
        self._clock = clock
        self._on_change = on_change
        self._pool = TaskPool()
        self._facts: dict[str, ImageFact] = {}
        self._failures: dict[str, int] = {}
        self._tell: dict[str, dict[str, Callable[[Note], None]]] = {}
        self._queue: list[str] = []
        self._locks: dict[str, asyncio.Lock] = {}
        self._found: dict[str, tuple[str, float]] = {}

    async def fact(self, image: str) -> ImageFact:
        """Look whether an image is here now (one local call), else what its pull is doing."""
        known = self._facts.get(image)
        if known is not None and known.state is ImageState.PULLING:
            return known
        try:
            found = await self._find(image)
        except PodmanRejected as error:
            # As while another image is removed, or for one whose files are damaged: nothing else of the pod waits.
            return ImageFact(ImageState.UNKNOWN, message=str(error), retry_at=self._clock.now().boottime + REFUSED_S)
        if found:
            pulled_at = known.pulled_at if known else 0.0
            if known is not None and known.state is ImageState.FAILED:
                if known.retry_at > self._clock.now().boottime:
                    # It is here, as something was before an Always pull failed or since somebody imported it.
                    return replace(known, image_id=found)
                return ImageFact(ImageState.PRESENT, found)
            return ImageFact(ImageState.PRESENT, found, pulled_at=pulled_at)
        return known if known is not None and known.state is ImageState.FAILED else ImageFact(ImageState.ABSENT)

    async def _find(self, image: str) -> str | None:
        """Look for an image; twenty pods that start together and want the same one ask once."""
        async with self._locks.setdefault(image, asyncio.Lock()):
            held = self._found.get(image)
            now = self._clock.now().boottime
            if held is not None and now - held[1] < FOUND_FOR_S:
                return held[0]
            found = await self._runtime.image_id(image)
            self._found.pop(image, None)
            if found:
                # Only that it is here is kept; one that is not may be imported at any moment.
                self._found[image] = (found, self._clock.now().boottime)
            return found

    def request(self, image: str, pod: str, tell: Callable[[Note], None] | None) -> None:
        """Ask for a pull; returns at once. tell gets the notes for the pod's events, None: nobody does."""
        if tell:
            self._tell.setdefault(image, {})[pod] = tell
        known = self._facts.get(image)
        if known is not None and known.state is ImageState.PULLING:
            return
        self._facts[image] = ImageFact(ImageState.PULLING, pulled_at=known.pulled_at if known else 0.0)
        self._queue.append(image)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._pool) < AT_ONCE:
            image = self._queue.pop(0)
            self._pool.spawn(f"pull {image}", lambda image=image: self._pull(image))  # type: ignore[misc]

    def _note(self, image: str, note: Note) -> None:
        for tell in self._tell.get(image, {}).values():
            tell(note)

    async def _pull(self, image: str) -> None:
        self._note(image, Note("Normal", "Pulling", f"pulling image {image}"))
        start = self._clock.now().boottime
        shown = start
        try:
            async for line in self._fetch(image, self._login(image)):
                if self._clock.now().boottime - shown >= PROGRESS_EVERY_S:
                    shown = self._clock.now().boottime
                    logger.info("pulling", image=image, progress=line.strip())
        except PodmanError as error:
            failures = self._failures.get(image, 0) + 1
            self._failures[image] = failures
            now = self._clock.now().boottime
            delay = crash_delay(failures + 1, BACKOFF, image)
            self._facts[image] = ImageFact(ImageState.FAILED, message=str(error), retry_at=now + delay, failed_at=now)
            self._note(image, Note("Warning", "Failed", f"{error}; tried again in {delay:.0f} s"))
        else:
            self._failures.pop(image, None)
            now = self._clock.now().boottime
            self._facts[image] = ImageFact(ImageState.PRESENT, pulled_at=now)
            self._found.pop(image, None)
            self._note(image, Note("Normal", "Pulled", f"pulled image {image} in {now - start:.1f} s"))
            self._tell.pop(image, None)
        finally:
            if self._facts[image].state is ImageState.PULLING:
                del self._facts[image]
            # This task still counts until it ended; the next one may start only then.
            self._pool.after(self._pump)
            self._on_change()

    async def close(self) -> None:
        """End the pulls that run; Podman keeps what it has."""
        self._queue.clear()
        await self._pool.close()
