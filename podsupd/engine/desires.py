"""Keeps the desired state in step with the directory: a timed rescan that is the truth, hints that hasten it."""

import asyncio
from collections.abc import Callable, Mapping

from podsupd import log
from podsupd.core.desired import SCANS_TO_REMOVE, last_good, settle
from podsupd.engine.tasks import pause
from podsupd.errors import StateUnavailable
from podsupd.model.desired import Desired, FileState
from podsupd.ports import Clock, Directory, State

logger = log.get("config")

# A file in motion and an absence seen once are looked at again soon, not after a whole interval.
SOON_S = 1.1
APART_S = 1.0


class Desires:
    """Scans, settles, saves the last good texts, and hands the desired state on."""

    def __init__(
        self,
        directory: Directory,
        state: State,
        clock: Clock,
        restored: Desired,
        interval_s: float,
        on_change: Callable[[Desired, frozenset[str]], None],
    ) -> None:
        self._directory = directory
        self._state = state
        self._clock = clock
        self._interval_s = interval_s
        self._on_change = on_change
        self._again = asyncio.Event()
        self._asked = 0
        self._answered = asyncio.Condition()
        self._done = 0
        self._saved: tuple[Mapping[str, str], tuple[int, int] | None] | None = None
        self._told: dict[str, str] = {}
        self.desired = restored
        self._released: frozenset[str] = frozenset()
        self.last_success: float | None = None
        self.scanned = asyncio.Event()

    def poke(self) -> None:
        """Scan soon."""
        self._again.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Scan until stopping."""
        while not stopping.is_set():
            self._again.clear()
            asked = self._asked
            await self._scan()
            async with self._answered:
                self._done = asked
                self._answered.notify_all()
            wait = self._wait_s()
            if self._counting:
                # Two scans that miss a thing are to be two moments: neither a hint nor a reload hastens the second.
                await pause(stopping, APART_S)
                wait = max(0.0, wait - APART_S)
            await pause(self._again, wait)

    async def run_hints(self, stopping: asyncio.Event) -> None:
        """Turn the watcher's hints into scans."""
        async for _ in self._directory.hints():
            self.poke()
            if stopping.is_set():
                return

    async def reload(self) -> Desired:
        """Scan now; returns when a scan that began after this call is in force."""
        self._asked += 1
        asked = self._asked
        self.poke()
        async with self._answered:
            await self._answered.wait_for(lambda: self._done >= asked)
        return self.desired

    async def release(self, pods: frozenset[str]) -> None:
        """Release held removals: the next scan drops these pods."""
        self._released |= pods
        await self.reload()

    @property
    def _counting(self) -> bool:
        """The next scan may be the one that proves something gone."""
        return self.desired.scans < SCANS_TO_REMOVE or any(f.missing for f in self.desired.files.values())

    def _wait_s(self) -> float:
        soon = self._counting or any(f.state is FileState.PENDING for f in self.desired.files.values())
        return min(SOON_S, self._interval_s) if soon else self._interval_s

    async def _scan(self) -> None:
        scan = await self._directory.scan()
        # A release is for what was held when it was asked, not for what a later accident takes away; one that is asked
        # while this scan is being saved is the next one's.
        released, self._released = self._released, frozenset()
        self.desired = settle(self.desired, scan, released)
        if scan.complete:
            self.last_success = self._clock.wall()
        self._tell()
        await self._save()
        self._on_change(self.desired, released)
        self.scanned.set()

    async def _save(self) -> None:
        now = (last_good(self.desired), self.desired.identity)
        if now == self._saved:
            return
        try:
            await self._state.save_files(*now)
            self._saved = now
        except StateUnavailable as error:
            logger.warning("last good manifests not saved", error=str(error))

    def _tell(self) -> None:
        """Log what changed since the last scan, once."""
        told: dict[str, str] = {}
        for path, file in self.desired.files.items():
            told[path] = "; ".join([str(file.state), *(str(e) for e in file.errors), *(str(w) for w in file.warnings)])
            if self._told.get(path) == told[path]:
                continue
            for error in file.errors:
                logger.error("manifest not loaded", problem=str(error), last_good_used=bool(file.declared))
            for warning in file.warnings:
                logger.warning("manifest", problem=str(warning))
            if file.state is FileState.LOADED:
                logger.info("manifest loaded", file=path, pods=[p.name for p in file.pods])
        for pod, reason in self.desired.held.items():
            told[f"held {pod}"] = reason
            if self._told.get(f"held {pod}") != reason:
                logger.warning("removal held: `podsupd prune --confirm` releases it", pod=pod, reason=reason)
        if self.desired.error:
            told["error"] = self.desired.error
            if self._told.get("error") != self.desired.error:
                logger.error("cannot read the manifests", error=self.desired.error)
        self._told = told
