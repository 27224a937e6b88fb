"""Finds limits that somebody changed behind our back (`podman update`, a write into the cgroup), at every relist.

Podman's inspect does not show them, so the kernel is asked: a few small files for each container.
"""

import asyncio
from collections.abc import Mapping

from podsupd import log
from podsupd.engine.worker import Worker
from podsupd.errors import CgroupUnavailable
from podsupd.ports import Shelters

logger = log.get("limits")


class LimitWatch:
    """Compares what the kernel enforces with what is wanted, for all pods at once. workers: by pod, kept by others."""

    def __init__(self, workers: Mapping[str, Worker], shelters: Shelters) -> None:
        self._workers = workers
        self._shelters = shelters
        self._again = asyncio.Event()

    def poke(self) -> None:
        """Look soon: there was a relist."""
        self._again.set()

    async def run(self) -> None:
        """Look at every relist, for ever."""
        while True:
            await self._again.wait()
            self._again.clear()
            lives = {name: worker.lives() for name, worker in self._workers.items()}
            try:
                found = await self._shelters.enforced({c: pid for each in lives.values() for c, pid in each.items()})
            except CgroupUnavailable as error:
                logger.debug("limits unknown", error=str(error))
                continue
            for name, worker in self._workers.items():
                worker.see_limits({c: found[c] for c in lives.get(name, {}) if c in found})
