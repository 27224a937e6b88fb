"""The processes of the pods, looked at in a thread: /proc may block, where a process' memory cannot be had."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from podsupd import log
from podsupd.core import naming
from podsupd.core.conditions import PodView
from podsupd.core.processes import tree
from podsupd.errors import PodmanError, ProcessesUnavailable
from podsupd.model.observed import CONTAINER_LABEL, ObservedContainer, ObservedPod
from podsupd.model.processes import Member, PodProcesses, ProcessCount
from podsupd.ports import Clock, ProcessTable, Runtime

logger = log.get("processes")

T = TypeVar("T")

LOOK_S = 2.0
"""How long Podman is asked for the pod's newest state; then the last look at it has to do."""
READ_S = 10.0
"""How long one look may take, the wait for its turn included."""
COUNT_S = 2.0
"""How long a scrape waits for a count; then it tells none."""
COUNT_EVERY_S = 10.0
"""A count is told again for so long: several scrapers cost one walk of /proc."""


class ProcessMap:
    """Looks at processes, one look at a time: while one hangs, the next ones are refused, and no thread is lost."""

    def __init__(self, table: ProcessTable, runtime: Runtime, clock: Clock) -> None:
        self._table = table
        self._runtime = runtime
        self._clock = clock
        self._running: asyncio.Future[Any] | None = None
        self._counts: dict[str, ProcessCount] = {}
        self._counted: float | None = None
        self._failed = False

    async def tree(self, view: PodView) -> PodProcesses:
        """Return the tree of a pod's processes. Raises ProcessesUnavailable."""
        if not self._runtime.sees_processes():
            raise ProcessesUnavailable(
                f"cannot look at the processes of pod {view.name}: podsupd runs in another PID namespace than Podman; "
                "run it in the host's (podman run --pid=host)"
            )
        for _ in range(2):
            seen = await self._look(view)
            members = _members(seen, view)
            found = await self._thread(partial(self._read, view.name, seen, members), READ_S, f"of pod {view.name}")
            if found.processes or not any(m.pid for m in members):
                return found
            # It may have ended just now: then the second look tells so.
        raise ProcessesUnavailable(
            f"cannot look at the processes of pod {view.name}: Podman says that it runs, and /proc shows none of them; "
            "podsupd must see all processes of the host (a /proc mounted with hidepid hides them)"
        )

    def _read(self, pod: str, seen: ObservedPod | None, members: list[Member]) -> PodProcesses:
        found = self._table.records(members)
        # A first process that was not found to be the container's is another one that has its PID now.
        sure = [m if m.container_id in found.seen else replace(m, pid=0) for m in members]
        shared = seen is not None and "pid" in seen.shared_namespaces
        return PodProcesses(pod, shared, tree(sure, found.records), found.omitted)

    async def _look(self, view: PodView) -> ObservedPod | None:
        """Look at the pod afresh, for a container that started a moment ago; while Podman is away, as last seen."""
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._runtime.observe_pod(view.name)
        except (PodmanError, TimeoutError):
            return view.seen

    async def count(self, views: list[PodView]) -> None:
        """Count the processes of all pods, unless that was done a moment ago. Raises nothing."""
        now = self._clock.now().boottime
        if self._counted is not None and now - self._counted < COUNT_EVERY_S:
            return
        if not self._runtime.sees_processes():
            self._counts = {}
            return
        self._counted = now
        pods = {view.name: _members(view.seen, view) for view in views}
        try:
            self._counts = dict(await self._thread(lambda: self._table.counts(pods), COUNT_S, "of the pods"))
            self._failed = False
        except ProcessesUnavailable as error:
            self._counts = {}
            if not self._failed:
                logger.warning("processes not counted", error=str(error))
            self._failed = True

    def counts(self) -> dict[str, ProcessCount]:
        """Return the newest counts by pod."""
        return self._counts

    async def _thread(self, work: Callable[[], T], seconds: float, whose: str) -> T:
        try:
            async with asyncio.timeout(seconds):
                while self._running is not None and not self._running.done():
                    await asyncio.wait({self._running})
                running = self._running = asyncio.get_running_loop().run_in_executor(None, work)
                return await asyncio.shield(running)
        except TimeoutError:
            message = f"cannot read the processes {whose}: /proc did not answer within {seconds:g} s"
            raise ProcessesUnavailable(message) from None
        except OSError as error:
            raise ProcessesUnavailable(f"cannot read the processes {whose}: {error}") from error


def _members(seen: ObservedPod | None, view: PodView) -> list[Member]:
    """Return the pod's containers by the manifest's names and in its order; a stranger keeps Podman's name.

    A pod that is not ours, although it has the name, has none.
    """
    if seen is None or not seen.owned_by(view.owner):
        return []
    order = {c.name: number for number, c in enumerate(view.want.every)} if view.want else {}
    mine = {c.id for c in naming.ours(seen, view.owner)}
    found = [_member(c, c.label(CONTAINER_LABEL) if c.id in mine else c.name) for c in seen.containers]
    found.sort(key=lambda m: (order.get(m.name, len(order)), m.name))
    return [replace(_member(seen.infra, seen.infra.name), infra=True), *found] if seen.infra else found


def _member(container: ObservedContainer, name: str) -> Member:
    return Member(container.id, name, container.pid if container.state.alive else 0)
