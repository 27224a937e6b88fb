"""Watches Podman: a timed relist that is the truth, and an event stream that hastens it."""

import asyncio
from collections.abc import Callable

from podsupd import log
from podsupd.engine.tasks import pause
from podsupd.errors import PodmanError, PodmanUnavailable
from podsupd.model.observed import Relist, RuntimeEvent, RuntimeInfo
from podsupd.ports import Clock, Meter, Notifier, Runtime

logger = log.get("observer")

RETRY_FIRST_S = 0.5
RETRY_CAP_S = 5.0
LOOK_S = 2.0
"""How long it is looked for what Podman may wait for: some milliseconds, unless /proc itself blocks."""


class Observer:
    """Relists at an interval and when asked; its silence is an alarm, so every cycle that ends is a sign of life."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        meter: Meter,
        notifier: Notifier,
        interval_s: float,
        *,
        on_relist: Callable[[Relist], None],
        on_event: Callable[[RuntimeEvent], None],
        hanging: Callable[[], tuple[str, ...]],
    ) -> None:
        """hanging: names what Podman may wait for when it does not answer; it blocks, and is called in a thread."""
        self._runtime = runtime
        self._clock = clock
        self._meter = meter
        self._notifier = notifier
        self._interval_s = interval_s
        self._on_relist = on_relist
        self._on_event = on_event
        self._hanging = hanging
        self._looking: asyncio.Future[tuple[str, ...]] | None = None
        self._again = asyncio.Event()
        self.up = False
        self.info: RuntimeInfo | None = None
        self.error = "no relist yet"
        self.last_relist_wall: float | None = None
        self.last_relist_at: float | None = None
        self.attempted = asyncio.Event()

    @property
    def interval_s(self) -> float:
        """Seconds between two relists."""
        return self._interval_s

    def poke(self) -> None:
        """Relist soon."""
        self._again.set()

    def doubt(self, reason: str) -> None:
        """A worker got no answer: say so at once and look."""
        if self.up:
            self.up, self.error = False, reason
            self.poke()

    async def run_relist(self, stopping: asyncio.Event) -> None:
        """Relist until stopping; errors are shown and retried for ever, with a cap."""
        failures, said = 0, False
        while not stopping.is_set():
            self._again.clear()
            try:
                await self._relist()
                failures, said = 0, False
                wait = self._interval_s
            except PodmanError as error:
                failures += 1
                wait = min(RETRY_FIRST_S * 2 ** min(failures - 1, 10), RETRY_CAP_S)
                hung = await self._hung()
                why = "; ".join((str(error), *hung))
                if self.up or failures == 1 or (hung and not said):
                    logger.warning("Podman does not answer", error=why)
                said = bool(hung)
                self.up, self.error, self.info = False, why, None
            self.attempted.set()
            self._notifier.watchdog()
            if await pause(self._again, wait) and failures:
                # A poke is no reason to hammer a Podman that is away.
                await pause(stopping, RETRY_FIRST_S)

    async def _hung(self) -> tuple[str, ...]:
        """Name what Podman may wait for, if that can be told in time; one look at once, so that no thread is lost.

        /proc blocks where a process waits for a dead disk with its memory held, and Podman then mostly does as well.
        """
        if self._looking is not None and not self._looking.done():
            return ()
        self._looking = asyncio.get_running_loop().run_in_executor(None, self._hanging)
        done, _ = await asyncio.wait({self._looking}, timeout=LOOK_S)
        return self._looking.result() if done else ()

    async def _relist(self) -> None:
        began = self._clock.now().awake
        relist = await self._runtime.relist()
        self.last_relist_at = self._clock.now().awake
        self.last_relist_wall = self._clock.wall()
        self._meter.relist(self.last_relist_at - began)
        self.up, self.error = True, ""
        self._on_relist(relist)
        if self.info is None:
            # After the relist: it takes Podman 0.15 s, and nobody's first pod has to wait for it.
            self.info = await self._runtime.info()
            logger.info("Podman answers", version=self.info.version, rootless=self.info.rootless)

    async def run_events(self, stopping: asyncio.Event) -> None:
        """Follow Podman's events; a lost stream costs latency only, the relist sees everything."""
        failures = 0
        while not stopping.is_set():
            try:
                async for event in self._runtime.events():
                    failures = 0
                    self._meter.event()
                    self._on_event(event)
                    if stopping.is_set():
                        return
                failures += 1
            except PodmanUnavailable:
                failures += 1
                self.poke()
            except PodmanError as error:
                failures += 1
                logger.warning("cannot follow Podman's events", error=str(error))
            if not stopping.is_set():
                self._meter.reconnect()
                await pause(stopping, min(RETRY_FIRST_S * 2 ** min(failures - 1, 10), RETRY_CAP_S))
