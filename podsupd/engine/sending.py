"""Sends a signal on an operator's word, waits until its consequences are known, and reports them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from podsupd import log
from podsupd.core import naming
from podsupd.core import signal_words as words
from podsupd.core.conditions import PodView
from podsupd.core.drafts import Watch
from podsupd.core.sending import FAR, Evidence, choose, next_look
from podsupd.core.sending_report import report
from podsupd.core.stamps import stamp
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.events import EventLog
from podsupd.engine.ledger import Ledger
from podsupd.engine.process_map import ProcessMap
from podsupd.engine.tasks import pause
from podsupd.errors import PodsupdError, ProcessesUnavailable, SignalRefused
from podsupd.model.observed import ObservedContainer
from podsupd.model.plan import Note
from podsupd.model.processes import Origin, PodProcesses, Process
from podsupd.model.sending import Addressee, Purpose, SignalReport, SignalRequest
from podsupd.ports import Processes, SignalSender

logger = log.get("sending")

WATCHED_AT_ONCE = 256
"""Descriptors held for one report; the end of those beyond is told by the trace, and by the look at the end."""

VIEW_S = 1.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What a sender works with. changed: tells of every new view of a pod."""

    events: EventLog
    processes: ProcessMap
    ledger: Ledger
    sender: SignalSender
    exits: Processes
    changed: Broadcast


class Sending:
    """Sends signals and reports. view: a pod's newest view, None when the pod is gone."""

    def __init__(self, tools: Tools, view: Callable[[str], PodView | None]) -> None:
        self._tools = tools
        self._view = view

    async def send(self, request: SignalRequest) -> SignalReport:
        """Send and report; waits request.wait_s at most. Raises LookupError, SignalRefused, ProcessesUnavailable."""
        view = self._view(request.pod)
        if view is None:
            raise LookupError(f"no pod is named {request.pod}")
        began = time.monotonic_ns()
        sent_at = stamp(time.time())
        before = await self._tools.processes.tree(view)
        firsts = await self._firsts(request.pod, before)
        targets = choose(before, {name: c.pid for name, c in firsts.items()}, request)
        with ExitStack() as stack:
            woken = asyncio.Event()
            for told in (self._tools.ledger.reads, self._tools.changed):
                told.join(woken)
                stack.callback(told.leave, woken)
            ended: dict[int, int] = {}
            for process in targets[:WATCHED_AT_ONCE]:
                self._watch(process, ended, woken, stack)
            evidence = await self._dispatch(request, before, targets, firsts, ended)
            await self._settle(evidence, firsts, request, woken, began)
        await self._tools.ledger.catch_up()
        evidence.read_until = self._tools.ledger.read_until
        evidence.later = await self._later(request.pod)
        made = report(evidence, request, sent_at, began, time.monotonic_ns())
        if request.purpose is Purpose.SIGNAL:
            note = Note("Normal", "Signalled", f"podsupd signal: {made.verdict}", request.container)
            self._tools.events.note(request.pod, note)
        return made

    async def _firsts(self, pod: str, found: PodProcesses) -> dict[str, ObservedContainer]:
        """Return the containers whose first process is the one that was seen.

        A container that was started a moment ago is not in the worker's view yet, which is waited for shortly.
        """
        there = {(p.host_pid, p.container) for p in found.processes}
        running = {p.container for p in found.processes if p.origin is Origin.CONTAINER}
        until = time.monotonic() + VIEW_S
        waiter = self._tools.changed.join()
        try:
            while True:
                waiter.clear()
                view = self._view(pod)
                mine = naming.by_name(view.seen, view.owner) if view and view.seen else {}
                firsts = {name: c for name, c in mine.items() if c.state.alive and (c.pid, name) in there}
                if running <= firsts.keys() or not await pause(waiter, until - time.monotonic()):
                    return firsts
        finally:
            self._tools.changed.leave(waiter)

    def _watch(self, process: Process, ended: dict[int, int], woken: asyncio.Event, stack: ExitStack) -> None:
        def over() -> None:
            ended[process.host_pid] = time.monotonic_ns()
            woken.set()

        try:
            cancel = self._tools.exits.watch(process.host_pid, over)
        except PodsupdError as error:
            logger.warning("cannot watch a process", pid=process.host_pid, error=str(error))
            return
        if cancel is None:
            over()
        else:
            stack.callback(cancel)

    async def _dispatch(
        self,
        request: SignalRequest,
        before: PodProcesses,
        targets: tuple[Process, ...],
        firsts: Mapping[str, ObservedContainer],
        ended: dict[int, int],
    ) -> Evidence:
        ids = {name: c.id for name, c in firsts.items()}
        owners = {c.pid: c.id for c in firsts.values()}
        watch = Watch(request.purpose)
        # The start time was read before the descriptors of _watch were opened, and is compared once more in send:
        # so all three are of one process.
        to = [Addressee(p.host_pid, p.start_ticks, p.pid, ids.get(p.container or "", "")) for p in targets]
        self._tools.ledger.own(watch, {p.host_pid: owners.get(p.host_pid, "") for p in targets}, request.number)
        dispatches = await asyncio.to_thread(partial(self._tools.sender.send, to, request.number))
        return Evidence(
            request.number,
            targets,
            dispatches,
            watch,
            firsts=frozenset(owners) & {p.host_pid for p in targets},
            ended=ended,
            traced=self._tools.ledger.up and request.number not in words.UNTRACED,
            before=frozenset((p.host_pid, p.start_ticks) for p in before.processes),
        )

    async def _settle(
        self,
        evidence: Evidence,
        firsts: Mapping[str, ObservedContainer],
        request: SignalRequest,
        woken: asyncio.Event,
        began: int,
    ) -> None:
        """Wait until nothing more is to follow, no longer than the request says."""
        deadline = began + round(request.wait_s * 1e9)
        while True:
            woken.clear()
            self._bury(evidence, firsts, request.pod)
            evidence.read_until = self._tools.ledger.read_until
            now = time.monotonic_ns()
            due = next_look(evidence, now)
            if due is None or now >= deadline:
                return
            until = deadline if due == FAR else min(deadline, max(due, now + 1_000_000))
            await pause(woken, (until - now) / 1e9)

    def _bury(self, evidence: Evidence, firsts: Mapping[str, ObservedContainer], pod: str) -> None:
        """Take Podman's word on the deaths of first processes, as the pod's worker wrote it down."""
        view = self._view(pod)
        for name, container in firsts.items():
            memory = view.memory.containers.get(name) if view else None
            death = memory.last_death if memory else None
            if death is not None and death.incarnation == container.incarnation:
                evidence.deaths[container.pid] = death

    async def _later(self, pod: str) -> PodProcesses | None:
        """Look who is left; None when that cannot be seen."""
        view = self._view(pod)
        if view is None:
            return None
        try:
            return await self._tools.processes.tree(view)
        except (ProcessesUnavailable, SignalRefused):
            return None
