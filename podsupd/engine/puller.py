"""The one puller: pulls are deduplicated by image, shown in the log, and back off when the registry is away."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from podsupd import log
from podsupd.core.backoff import crash_delay
from podsupd.engine.tasks import TaskPool
from podsupd.errors import PodmanError
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
KEPT = 512
"""Images of which something is known; every update may bring a new name, for years."""


@dataclass(slots=True)
class _Image:
    """What is known of an image. failures: of its pull, in a row. tell: who wants the notes of its pull, by pod.

    found: the id that its name was found to mean, and when. lock: one look at a time.
    """

    fact: ImageFact | None = None
    failures: int = 0
    tell: dict[str, Callable[[Note], None]] = field(default_factory=dict)
    found: tuple[str, float] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def busy(self) -> bool:
        """It is being pulled, or will be."""
        return self.fact is not None and self.fact.state is ImageState.PULLING


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
        self._images: OrderedDict[str, _Image] = OrderedDict()
        self._queue: list[str] = []

    def _of(self, image: str) -> _Image:
        """Return what is known of an image; whichever nobody asked for longest is forgotten when it is one too many."""
        known = self._images.setdefault(image, _Image())
        self._images.move_to_end(image)
        if len(self._images) > KEPT:
            idle = (name for name, one in self._images.items() if name != image and not one.busy)
            self._images.pop(next(idle, ""), None)
        return known

    async def fact(self, image: str) -> ImageFact:
        """Look whether an image is here now (one local call), else what its pull is doing."""
        one = self._of(image)
        if one.fact is not None and one.busy:
            return one.fact
        found = await self._find(image)
        known = one.fact
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
        known = self._of(image)
        async with known.lock:
            now = self._clock.now().boottime
            if known.found is not None and now - known.found[1] < FOUND_FOR_S:
                return known.found[0]
            found = await self._runtime.image_id(image)
            # Only that it is here is kept; one that is not may be imported at any moment.
            known.found = (found, self._clock.now().boottime) if found else None
            return found

    def request(self, image: str, pod: str, tell: Callable[[Note], None] | None) -> None:
        """Ask for a pull; returns at once. tell gets the notes for the pod's events, None: nobody does."""
        known = self._of(image)
        if tell:
            known.tell[pod] = tell
        if known.busy:
            return
        known.fact = ImageFact(ImageState.PULLING, pulled_at=known.fact.pulled_at if known.fact else 0.0)
        self._queue.append(image)
        self._pump()

    def _pump(self) -> None:
        while self._queue and len(self._pool) < AT_ONCE:
            image = self._queue.pop(0)
            self._pool.spawn(f"pull {image}", lambda image=image: self._pull(image))  # type: ignore[misc]

    def _note(self, image: str, note: Note) -> None:
        for tell in self._of(image).tell.values():
            tell(note)

    async def _pull(self, image: str) -> None:
        self._note(image, Note("Normal", "Pulling", f"pulling image {image}"))
        start = self._clock.now().boottime
        shown, known = start, self._of(image)
        try:
            async for line in self._fetch(image, self._login(image)):
                if self._clock.now().boottime - shown >= PROGRESS_EVERY_S:
                    shown = self._clock.now().boottime
                    logger.info("pulling", image=image, progress=line.strip())
        except PodmanError as error:
            known.failures += 1
            now = self._clock.now().boottime
            delay = crash_delay(known.failures + 1, BACKOFF, image)
            known.fact = ImageFact(ImageState.FAILED, message=str(error), retry_at=now + delay, failed_at=now)
            self._note(image, Note("Warning", "Failed", f"{error}; tried again in {delay:.0f} s"))
        else:
            now = self._clock.now().boottime
            known.fact, known.failures, known.found = ImageFact(ImageState.PRESENT, pulled_at=now), 0, None
            self._note(image, Note("Normal", "Pulled", f"pulled image {image} in {now - start:.1f} s"))
            known.tell.clear()
        finally:
            if known.busy:
                known.fact = None
            # This task still counts until it ended; the next one may start only then.
            self._pool.after(self._pump)
            self._on_change()

    async def close(self) -> None:
        """End the pulls that run; Podman keeps what it has."""
        self._queue.clear()
        await self._pool.close()
