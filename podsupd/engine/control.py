"""What the control endpoint may ask: reads from memory, edits of intent, and a rescan."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from podsupd import log
from podsupd.core import transitions
from podsupd.core.conditions import PodView, derive, describe
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.changes import Changes
from podsupd.engine.desires import Desires
from podsupd.engine.drill import Drills
from podsupd.engine.drill import Tools as DrillTools
from podsupd.engine.events import EventLog
from podsupd.engine.fleet import Fleet, bump
from podsupd.engine.ledger import Ledger
from podsupd.engine.merging import merged
from podsupd.engine.observer import Observer
from podsupd.engine.probe_runs import ProbeRuns
from podsupd.engine.prober import ProbeScheduler
from podsupd.engine.process_map import ProcessMap
from podsupd.engine.sending import Sending
from podsupd.engine.sending import Tools as SendingTools
from podsupd.engine.signal_policies import SignalPolicies
from podsupd.engine.worker import Worker
from podsupd.model.desired import Desired, FileState
from podsupd.model.life import Transition
from podsupd.model.observed import LogLine
from podsupd.model.plan import Intent, Now, PodMemory
from podsupd.model.processes import PodProcesses, ProcessCount
from podsupd.model.sending import DrillReport, SignalReport, SignalRequest
from podsupd.model.signals import SignalRecord
from podsupd.model.status import (
    Change,
    ChangeState,
    Condition,
    ConfigStatus,
    DaemonStatus,
    Event,
    Health,
    PodPlan,
    PodStatus,
    ProbeRun,
)
from podsupd.ports import Clock, Processes, Runtime, SignalSender

logger = log.get("control")

STALE_AFTER_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Insight:
    """What is known of the pods besides their state: processes, what signals did among them, and how probing goes."""

    processes: ProcessMap
    ledger: Ledger
    prober: ProbeScheduler
    probe_runs: ProbeRuns
    sender: SignalSender
    exits: Processes
    policies: SignalPolicies


class Engine:
    """Implements ports.Control over the engine's parts."""

    def __init__(
        self,
        fleet: Fleet,
        desires: Desires,
        observer: Observer,
        events: EventLog,
        runtime: Runtime,
        clock: Clock,
        changed: Broadcast,
        insight: Insight,
    ) -> None:
        self._fleet = fleet
        self._desires = desires
        self._observer = observer
        self._events = events
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._processes = insight.processes
        self._ledger = insight.ledger
        self._prober = insight.prober
        self._probe_runs = insight.probe_runs
        self._changes = Changes()
        self._editing = asyncio.Lock()
        self._policies = insight.policies
        self._since: dict[str, Mapping[str, Transition]] = {}
        self._sending = Sending(
            SendingTools(events, insight.processes, insight.ledger, insight.sender, insight.exits, changed), self._view
        )
        self._drills = Drills(DrillTools(events, insight.policies, self._sending, self._view, changed, clock))

    # -- health

    def health(self) -> Health:
        """The loops turn: whoever reads this answer sees that this one does."""
        return Health(ok=True)

    def readiness(self) -> Health:
        """First reconcile done, Podman reachable, observation fresh."""
        reasons: list[str] = []
        if self._desires.desired.scans == 0:
            reasons.append("the manifests were not read yet" + self._fault(self._desires.desired))
        if not self._observer.up:
            reasons.append(f"Podman does not answer: {self._observer.error}")
        elif self._age() > self._observer.interval_s * STALE_AFTER_INTERVALS + 1:
            reasons.append(f"the last relist is {self._age():.0f} s old")
        # The worker of a pod that was just read comes once the scan is saved.
        workers = self._fleet.workers
        names = sorted(self._desires.desired.pods.keys() | workers.keys())
        if unplanned := [name for name in names if name not in workers or not workers[name].planned]:
            reasons.append(f"not looked at yet: {', '.join(unplanned)}")
        return Health(ok=not reasons, reasons=tuple(reasons))

    async def first_look(self, seconds: float) -> None:
        """Wait until every pod was looked at, no longer than this: until then one that runs would be shown unready."""
        waiter = self._changed.join()
        try:
            async with asyncio.timeout(seconds):
                while not self.readiness().ok:
                    waiter.clear()
                    await waiter.wait()
        except TimeoutError:
            logger.info("answering before every pod was looked at", reasons=self.readiness().reasons)
        finally:
            self._changed.leave(waiter)

    def _fault(self, desired: Desired) -> str:
        return f": {desired.error}" if desired.error else ""

    def _age(self) -> float:
        at = self._observer.last_relist_at
        return self._clock.now().awake - at if at is not None else float("inf")

    def daemon(self) -> DaemonStatus:
        """Return what the metrics need besides the pods."""
        counts = {str(state): 0 for state in FileState}
        for file in self._desires.desired.files.values():
            counts[str(file.state)] += 1
        health = self.readiness()
        info = self._observer.info
        return DaemonStatus(
            podman_up=self._observer.up,
            podman_version=info.version if info else "",
            last_relist=self._observer.last_relist_wall,
            last_config_success=self._desires.last_success,
            config_files=counts,
            conditions=(
                Condition("Ready", "True" if health.ok else "False", "", "; ".join(health.reasons)),
                self._ledger.condition,
                self._prober.condition,
            ),
            tracer_up=self._ledger.up,
        )

    # -- pods

    def _views(self) -> list[PodView]:
        views = {name: worker.view() for name, worker in self._fleet.workers.items()}
        for name, spec in self._desires.desired.pods.items():
            if name not in views:
                wall = self._clock.wall()
                views[name] = PodView(
                    name, spec, Intent(), None, None, PodMemory(), stale=not self._observer.up, wall=wall
                )
        return [views[name] for name in sorted(views)]

    def pods(self) -> tuple[PodStatus, ...]:
        """All pods, by name."""
        now = self._clock.now()
        views = self._views()
        if not self._observer.up:
            # What is stale has been so since the last relist.
            since = self._observer.last_relist_wall
            views = [replace(v, stale=True, wall=since or v.wall) for v in views]
        self._since = {name: known for name, known in self._since.items() if name in self._fleet.workers}
        return tuple(self._status(view, now) for view in views)

    def _status(self, view: PodView, now: Now) -> PodStatus:
        status = derive(view, now)
        made = self._policies.conditions(view.name)
        if not made:
            return status
        more = transitions.stamped(made, self._since.get(view.name, {}), self._clock.wall())
        self._since[view.name] = transitions.remembered(more)
        return replace(status, conditions=(*status.conditions, *more))

    def plans(self) -> tuple[PodPlan, ...]:
        """Pending actions by pod, with reasons: what the newest plan of each worker has to do or waits for."""
        now = self._clock.now().boottime
        made: list[PodPlan] = []
        for view in self._views():
            if view.plan is None:
                made.append(PodPlan(view.name, (), "not looked at yet", None))
                continue
            wake = view.plan.wake_at
            made.append(
                PodPlan(
                    view.name,
                    tuple(describe(a) for a in view.plan.actions)
                    + tuple(f"wait ({r}) for {n or 'the pod'}: {m}" for n, (r, m) in view.plan.waiting.items()),
                    view.plan.why,
                    None if wake is None else max(0.0, wake - now),
                )
            )
        return tuple(made)

    def config(self) -> ConfigStatus:
        """Return files, their states, removals held."""
        desired = self._desires.desired
        conflicts = {v.name: v.plan.conflict for v in self._views() if v.plan and v.plan.conflict}
        return ConfigStatus(
            desired.directory,
            desired.error,
            tuple(desired.files[path] for path in sorted(desired.files)),
            {**desired.held, **self._fleet.kept},
            conflicts,
        )

    # -- changes

    def _worker(self, pod: str, container: str | None) -> Worker:
        worker = self._fleet.workers.get(pod)
        if worker is None:
            known = ", ".join(sorted(self._fleet.workers)) or "none"
            raise LookupError(f"cannot find pod {pod}: the pods are {known}")
        names = [c.name for c in worker.want.every] if worker.want else []
        if container is not None and container not in names:
            raise LookupError(f"pod {pod} has no container {container} (it has: {', '.join(names) or 'none'})")
        return worker

    async def change(self, verb: str, pod: str, container: str | None) -> Change:
        """Edit the intent (restart, stop, start); saved before this returns. Raises LookupError, StateUnavailable."""
        # One edit after the other: each goes on from what the one before it has saved.
        async with self._editing:
            worker = self._worker(pod, container)
            if worker.want and container in {c.name for c in worker.want.steps}:
                raise LookupError(f"container {container} of pod {pod} is an init container, which ends by itself")
            before = worker.view()
            await self._fleet.intend(pod, _edited(worker, verb, container))
            return self._changes.add(verb, before, container)

    async def wait_change(self, change_id: str, wait_s: float) -> Change:
        """Return what became of it, waiting up to wait_s while it is pending. Raises LookupError."""
        pod = self._changes.pod(change_id)
        waiter = self._changed.join()
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    waiter.clear()
                    change = self._judge(change_id, pod)
                    if change.state is not ChangeState.PENDING:
                        return change
                    await waiter.wait()
        except TimeoutError:
            return self._judge(change_id, pod)
        finally:
            self._changed.leave(waiter)

    def _judge(self, change_id: str, pod: str) -> Change:
        worker = self._fleet.workers.get(pod)
        return self._changes.judge(change_id, worker.view() if worker else None)

    # -- the directory

    async def reload(self) -> ConfigStatus:
        """Rescan now; returns after the scan is in force."""
        await self._desires.reload()
        return self.config()

    async def prune(self, *, confirm: bool) -> Mapping[str, str]:
        """Return the removals held, by pod with the reason; with confirm release them."""
        held = dict(self.config().held)
        if confirm and held:
            await self._desires.release(frozenset(held))
        return held

    async def adopt(self, *, confirm: bool) -> Mapping[str, str]:
        """Return our directory's pods of another owner id, with that id; with confirm take the ids for ours, for good.

        Raises StateUnavailable when that cannot be saved.
        """
        found = self._fleet.estranged()
        if confirm and found:
            await self._fleet.adopt(found)
            self._observer.poke()
        return found

    # -- processes

    async def processes(self, pod: str) -> PodProcesses:
        """Return the tree of a pod's processes. Raises LookupError, ProcessesUnavailable."""
        return await self._processes.tree(self._worker(pod, None).view())

    async def count_processes(self) -> None:
        """Count the processes of all pods, unless that was done a moment ago. Raises nothing."""
        await self._processes.count(self._views())

    def process_counts(self) -> Mapping[str, ProcessCount]:
        """Return what count_processes counted last, by pod; empty where processes cannot be looked at."""
        return self._processes.counts()

    # -- signals

    def _view(self, pod: str) -> PodView | None:
        worker = self._fleet.workers.get(pod)
        return worker.view() if worker else None

    async def signal(self, request: SignalRequest) -> SignalReport:
        """Send a signal and return what came of it. Raises LookupError, SignalRefused, ProcessesUnavailable."""
        self._worker(request.pod, request.container)
        return await self._sending.send(request)

    async def drill(self, pod: str) -> DrillReport:
        """Send every signal whose consequences the pod declares, and say what followed. Raises as ``signal``."""
        return await self._drills.run(pod)

    async def run_probe(self, pod: str, probe: str) -> ProbeRun:
        """Make one attempt of a probe now, which counts for nothing. Raises LookupError."""
        want = self._worker(pod, None).want
        if want is None:
            raise LookupError(f"pod {pod} is being removed")
        return await self._probe_runs.run(want, probe)

    # -- history and logs

    async def events(self, pod: str | None, since: int, limit: int) -> list[Event]:
        """Read the history."""
        return await self._events.events(pod, since, limit)

    def follow_events(self, pod: str | None, since: int) -> AsyncIterator[Event]:
        """Yield events after ``since``, then new ones as they come, for ever."""
        return self._events.follow(pod, since)

    async def signals(self, pod: str, since: int, limit: int) -> list[SignalRecord]:
        """Read the ledger of a pod."""
        return await self._ledger.signals(pod, since, limit)

    def follow_signals(self, pod: str, since: int) -> AsyncIterator[SignalRecord]:
        """Yield a pod's records after ``since``, then new ones as they come, for ever."""
        return self._ledger.follow(pod, since)

    async def logs(self, pod: str, container: str | None, *, follow: bool, tail: int | None) -> AsyncIterator[LogLine]:
        """Read logs of a pod's containers, one after the other; followed ones are interleaved as lines come."""
        worker = self._worker(pod, container)
        ids = worker.container_ids()
        names = [container] if container else list(ids)
        if not names or names[0] not in ids:
            what = f"container {container} of pod {pod}" if container else f"a container of pod {pod}"
            why = derive(worker.view(), self._clock.now()).why
            raise LookupError(f"cannot read the log of {what}: none was created yet ({why})")
        if not follow or len(names) == 1:
            for name in names:
                async for line in self._runtime.logs(ids[name], name, follow=follow, tail=tail):
                    yield line
            return
        async for line in merged([self._runtime.logs(ids[n], n, follow=True, tail=tail) for n in names]):
            yield line


def _edited(worker: Worker, verb: str, container: str | None) -> Intent:
    """Return the worker's intent after an operator's verb."""
    intent = worker.intent
    if verb == "stop":
        if container is None:
            return replace(intent, stopped=True)
        return replace(intent, stopped_containers=intent.stopped_containers | {container})
    # start and restart both lift a stop; a restart of what runs is asked by its generation.
    if container is None:
        intent = replace(intent, stopped=False, stopped_containers=frozenset())
    else:
        others = {c.name for c in worker.want.lasting} if intent.stopped and worker.want else intent.stopped_containers
        intent = replace(intent, stopped=False, stopped_containers=frozenset(others) - {container})
    return bump(intent, container) if verb == "restart" else intent
