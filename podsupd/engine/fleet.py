"""Owns the workers: one per pod that is wanted, or that is ours and has to go. Nobody acts before D1 is met."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import PurePath

from podsupd import log
from podsupd.core import dating, dependencies, orphans
from podsupd.core.conditions import derive
from podsupd.core.sleeping import slept
from podsupd.engine.tasks import TaskPool, guarded
from podsupd.engine.tools import Tools
from podsupd.engine.worker import Worker
from podsupd.errors import StateUnavailable
from podsupd.model.desired import Desired
from podsupd.model.observed import OWNER_LABEL, SOURCE_LABEL, PodSummary, Relist, RuntimeEvent
from podsupd.model.plan import Intent, Note, Now, PodMemory
from podsupd.ports import Persisted

logger = log.get("fleet")


class Fleet:
    """Keeps the workers in step with the desired pods and with what the relist finds."""

    def __init__(self, persisted: Persisted, stopping: asyncio.Event) -> None:
        self._equipment: Tools | None = None
        self._stopping = stopping
        self._pool = TaskPool()
        self._memories = dict(persisted.memories)
        self._intents = dict(persisted.intents)
        self._desired = Desired()
        self._relist: Relist | None = None
        self._looked: Now | None = None
        self._began: float | None = None  # the boot, by the wall clock
        self._summaries: dict[str, PodSummary] = {}
        self._looks: dict[str, int] = {}
        self._released: frozenset[str] = frozenset()
        self._dismissed: set[str] = set()
        self.workers: dict[str, Worker] = {}
        self.kept: Mapping[str, str] = {}

    def equip(self, tools: Tools) -> None:
        """Take the tools for the workers; once, before the first scan and relist (the tools call back to the fleet)."""
        self._equipment = replace(tools, changed=partial(self._changed, tools.changed), unmet=self._unmet)

    def _changed(self, tell: Callable[[str], None], pod: str) -> None:
        """Pass on that a pod's picture changed, and have those look again that wait for it."""
        tell(pod)
        for worker in self.workers.values():
            if worker.waits_for(pod):
                worker.poke()

    def _unmet(self, pod: str) -> str:
        """Say why a pod cannot be relied on, or nothing."""
        worker = self.workers.get(pod)
        if worker is None or worker.want is None:
            return dependencies.unmet(None)
        if not worker.planned:
            return "not looked at yet"
        return dependencies.unmet(derive(worker.view(), self._tools.clock.now()))

    @property
    def _tools(self) -> Tools:
        if self._equipment is None:
            raise RuntimeError("the fleet has no tools yet")
        return self._equipment

    @property
    def begun(self) -> bool:
        """D1: the first complete relist and the first complete scan are there."""
        return self._relist is not None and self._desired.scans > 0

    @property
    def desired(self) -> Desired:
        """Return the desired state in force."""
        return self._desired

    def apply(self, desired: Desired, released: frozenset[str]) -> None:
        """Take a new desired state; called after every scan."""
        self._desired, self._released = desired, released
        self._reconcile()

    def relisted(self, relist: Relist) -> None:
        """Take a relist: poke the workers whose pods look different, find pods of ours that nobody looks after."""
        first = self._relist is None
        self._relist = relist
        self._dismissed.clear()
        now = self._tools.clock.now()
        woke = self._looked is not None and slept(self._looked, now)
        self._looked = now
        if self._clock_was_set(now) or woke:
            # Their timers stood still, or what they date has to be dated anew: what waited for a time may be due.
            self.poke_all()
        summaries = {p.name: p for p in relist.pods}
        for name, worker in self.workers.items():
            if not first and summaries.get(name) != self._summaries.get(name):
                if worker.looks == self._looks.get(name, 0):
                    # It changed, and neither an event nor a pidfd nor an action of ours made the worker look.
                    self._tools.meter.missed_event()
                worker.poke()
            self._looks[name] = worker.looks
        self._summaries = summaries
        self._reconcile()

    def _clock_was_set(self, now: Now) -> bool:
        """Say, here and to whoever reads the history, that the wall clock was set since the last look."""
        began = self._tools.clock.wall() - now.boottime
        by = began - self._began if self._began is not None else 0.0
        if self._began is not None and abs(by) < dating.SET_S:
            return False
        self._began = began
        if not by:
            return False
        way = "forward" if by > 0 else "back"
        text = f"the wall clock was set {way} by {abs(by):.0f} s; events before this one have the times that it showed"
        self._tools.events.note("", Note("Normal", "ClockSet", text))
        return True

    def estranged(self) -> dict[str, str]:
        """Return the pods that were made from our directory under another owner id, with that id.

        Nobody else may use the directory while we hold its lock: they were ours before the state directory was lost.
        """
        directory = PurePath(self._desired.directory)
        found = {}
        for pod in self._relist.pods if self._relist else ():
            owner, source = pod.labels.get(OWNER_LABEL, ""), pod.labels.get(SOURCE_LABEL, "")
            if owner and source and owner != self._tools.owner and PurePath(source).parent == directory:
                found[pod.name] = owner
        return found

    async def adopt(self, pods: Mapping[str, str]) -> None:
        """Take the owner ids of these pods for ours. Raises StateUnavailable."""
        await self._tools.adopt(frozenset(pods.values()))
        for pod in pods:
            self._tools.events.note(pod, Note("Normal", "Adopted", f"pod {pod} is taken over at an operator's word"))
        self.poke_all()

    def poke(self, event: RuntimeEvent) -> None:
        """Take an event of Podman's: its pod's worker looks again; only deaths and the like, not our own starts."""
        if event.kind == "image":
            # Somebody may have imported what a pod waits for. The other pods go on with what they were made of.
            for pod in [name for name, each in self.workers.items() if each.waits]:
                self.poke_pod(pod)
            return
        for name, summary in self._summaries.items():
            if summary.id == event.pod_id or (event.kind == "pod" and summary.id == event.id):
                worker = self.workers.get(name)
                if worker:
                    worker.poke()
                return
        if event.kind == "pod" and event.name in self.workers:
            self.workers[event.name].poke()

    def poke_all(self) -> None:
        """Have every worker look again."""
        for worker in self.workers.values():
            worker.poke()

    def poke_pod(self, pod: str) -> None:
        """Have one worker look again."""
        if pod in self.workers:
            self.workers[pod].poke()

    async def intend(self, pod: str, intent: Intent) -> None:
        """Save what an operator asked, then have it done. Raises StateUnavailable."""
        worker = self.workers.get(pod)
        await self._tools.state.save_intent(pod, intent)
        # It may have ended while the disk was waited for: what was asked of it is not asked of the next of its name.
        if worker is not None and self.workers.get(pod) is worker:
            self._intents[pod] = intent
            worker.intend(intent)

    def _fault(self, pod: str) -> str:
        """Say why the spec in force is not what its file says now, or nothing."""
        if pod in self._desired.held:
            return f"removal held: {self._desired.held[pod]}"
        spec = self._desired.pods[pod]
        file = self._desired.files.get(spec.source.path)
        if file is None or not file.last_good_used:
            return ""
        first = f": {file.errors[0]}" if file.errors else ""
        return f"{file.path} is {file.state}, its last good content is used{first}"

    def _reconcile(self) -> None:
        if not self.begun or self._relist is None or self._stopping.is_set():
            return
        for name, spec in self._desired.pods.items():
            worker = self.workers.get(name) or self._hire(name)
            worker.wish(spec, self._fault(name))
        mine = {p.name: p for p in self._relist.pods if p.owned_by(self._tools.owner)}
        unknown = {
            name: pod.labels.get(SOURCE_LABEL, "")
            for name, pod in mine.items()
            if name not in self._desired.pods and name not in self.workers and name not in self._dismissed
        }
        judgement = orphans.judge(self._desired, unknown, self._released)
        for pod, reason in judgement.kept.items():
            if self.kept.get(pod) != reason:
                self._tools.events.note(pod, Note("Warning", "Kept", f"pod {pod} is not removed: {reason}"))
        self.kept = judgement.kept
        for name in judgement.remove:
            self._hire(name).wish(None, "")
        for name, worker in self.workers.items():
            if name not in self._desired.pods and worker.want is not None:
                seen = worker.view().seen
                if seen is not None and seen.owned_by(self._tools.owner):
                    note = Note("Normal", "Removing", f"pod {name} is removed: its manifest is gone")
                    self._tools.events.note(name, note)
                worker.wish(None, "")

    def _hire(self, name: str) -> Worker:
        worker = Worker(name, self._tools, self._memories.get(name, PodMemory()), self._intents.get(name, Intent()))
        self.workers[name] = worker
        self._pool.spawn(f"pod {name}", partial(self._employ, worker))
        return worker

    async def _employ(self, worker: Worker) -> None:
        await guarded(
            f"pod {worker.name}",
            lambda: worker.run(self._stopping),
            self._stopping,
            vital=False,
            ends=lambda: worker.finished,
        )
        if not worker.finished:
            return
        name = worker.name
        del self.workers[name]
        # The relist at hand is older than its end: what it still lists is no orphan.
        self._dismissed.add(name)
        self._tools.probe_memory.forget(name)
        self._tools.hooks.forget(name)
        self._memories.pop(name, None)
        self._intents.pop(name, None)
        try:
            await self._tools.state.forget_pod(name)
        except StateUnavailable as error:
            logger.warning("memory of a removed pod kept", pod=name, error=str(error))
        self._tools.changed(name)
        # Its name may have been wanted again while it went.
        self._reconcile()

    async def close(self) -> None:
        """End the workers: they look at the stopping event; what does not is cancelled."""
        self.poke_all()
        await self._pool.close(grace_s=1.0)


def bump(intent: Intent, container: str | None) -> Intent:
    """Return the intent with one more restart asked, of a container or of the pod."""
    if container is None:
        return replace(intent, restart_generation=intent.restart_generation + 1)
    asked = intent.container_restarts.get(container, 0) + 1
    return replace(intent, container_restarts={**intent.container_restarts, container: asked})
