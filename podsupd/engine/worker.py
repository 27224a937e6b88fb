"""One worker per pod: observe, plan, apply the actions one by one, wait until poked or until the plan's wake_at.

It is the only writer of its pod's memory, and it plans only on an observation taken after its own last action.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from podsupd import log
from podsupd.core import naming, transitions, troubles
from podsupd.core.accounting import INFRA
from podsupd.core.conditions import PodView, derive
from podsupd.core.dependencies import WAITING
from podsupd.core.limits import limits_of, same
from podsupd.core.planner import plan
from podsupd.core.rollout import OUTCOMES, images_needed, relies_on
from podsupd.core.sparing import SAVED, Allowance
from podsupd.engine import registrations
from podsupd.engine.executor import told
from podsupd.engine.leftovers import Leftovers
from podsupd.engine.lives import Lives
from podsupd.engine.looking import Looking
from podsupd.engine.tasks import beside, pause
from podsupd.engine.tools import Tools
from podsupd.errors import (
    CgroupUnavailable,
    PodmanConflict,
    PodmanError,
    PodmanNotFound,
    PodmanRejected,
    PodmanUnavailable,
    StateUnavailable,
)
from podsupd.model.limits import Limits
from podsupd.model.observed import ContainerState, MonitorState, ObservedPod
from podsupd.model.plan import (
    Action,
    Facts,
    Intent,
    Note,
    Plan,
    PodMemory,
    RunHook,
    StartContainer,
    UpdateContainer,
)
from podsupd.model.spec import PodSpec
from podsupd.ports import ProbeTarget

logger = log.get("worker")

UNAVAILABLE_FIRST_S = 0.5
UNAVAILABLE_CAP_S = 10.0
STALE_TOLERATED = 5
SAME_FIRST_S = 0.02
SAME_CAP_S = 10.0
WARNED = frozenset(
    {
        "CrashLoopBackOff",
        "ErrImageNeverPull",
        "ImagePullBackOff",
        "StateUnavailable",
    }
)


class Worker:
    """Makes one pod what its manifest says, until nothing is wanted and nothing is there."""

    def __init__(self, name: str, tools: Tools, memory: PodMemory, intent: Intent) -> None:
        self.name = name
        self.finished = False
        self._tools = tools
        self._want: PodSpec | None = None
        self._last: PodSpec | None = None
        self._intent = intent
        self._fault = ""
        self._memory = memory
        self._saved = memory
        self._seen: ObservedPod | None = None
        self._plan: Plan | None = None
        self._unavailable = 0
        self._refused = ""
        self._wishes = 0
        self._planned = -1
        self._applied: tuple[Action, ...] = ()
        self._same = 0
        self._saving = Allowance(*SAVED)
        self._again = asyncio.Event()
        self._left = Leftovers(tools.shelters, tools.runtime, tools.info, tools.owner)
        self._limits: dict[str, Limits] = {}
        self._watching_since = tools.clock.now()
        self._lives = Lives(tools.processes, tools.clock, self._died, self.poke)
        self._looking = Looking(name, tools.runtime, tools.clock, self._lives, self.poke)

    # -- what others ask of it: synchronous, never blocking

    def poke(self) -> None:
        """Look again, soon. Carries nothing and cannot overflow."""
        self._again.set()

    def wish(self, want: PodSpec | None, fault: str) -> None:
        """Take a new desired spec (None: the pod has to go); the newest replaces a pending one."""
        self._last = want or self._last
        if want != self._want or fault != self._fault or self._wishes == 0:
            self._want, self._fault = want, fault
            self._wishes += 1
            self.poke()

    def intend(self, intent: Intent) -> None:
        """Take what an operator asked; saved already."""
        if intent != self._intent:
            self._intent = intent
            self._wishes += 1
            self.poke()

    def lives(self) -> dict[str, int]:
        """Return the containers that run, with their first process' host pid; none where those say nothing here."""
        if self._seen is None or not self._tools.runtime.sees_processes():
            return {}
        found = naming.by_name(self._seen, self._tools.owner).values()
        return {c.id: c.pid for c in found if c.state is ContainerState.RUNNING and c.pid > 0}

    def see_limits(self, found: Mapping[str, Limits]) -> None:
        """Take what the kernel enforces on containers; what is not as wanted is put right."""
        spec, there = self._in_force(), naming.by_name(self._seen, self._tools.owner) if self._seen else {}
        wanted = {c.id: limits_of(s.resources) for s in (spec.every if spec else ()) if (c := there.get(s.name))}
        self._limits = {c: have for c, have in found.items() if c in wanted and not same(wanted[c], have)}
        if self._limits:
            self.poke()

    def _died(self, container_id: str) -> None:
        """A first process has ended: in a stop, whoever it left behind is moved before the runtime gets to them."""
        stops = [m.stop for m in self._memory.containers.values()]
        if any(s and s.sheltered and s.incarnation.container_id == container_id for s in stops):
            self._tools.shelters.sweep(container_id, 0)
        self._tools.died()
        self.poke()

    @property
    def looks(self) -> int:
        """Return how often it has looked at its pod."""
        return self._looking.count

    @property
    def intent(self) -> Intent:
        """Return what an operator asked last."""
        return self._intent

    @property
    def want(self) -> PodSpec | None:
        """Return the spec in force, None when the pod has to go."""
        return self._want

    @property
    def planned(self) -> bool:
        """It looked at its pod and knows what to do, so that its view is worth showing."""
        return self._plan is not None

    @property
    def waits(self) -> bool:
        """It has not looked yet, or something of its pod waits for something."""
        return self._plan is None or bool(self._plan.waiting)

    def waits_for(self, pod: str) -> bool:
        """Say whether the pod waits for another one, and this is one of those."""
        waiting = self._plan is not None and self._plan.waiting.get(INFRA, ("",))[0] == WAITING
        return waiting and pod in relies_on(self._want, self._memory)

    def view(self) -> PodView:
        """Return all that is known of the pod now."""
        return PodView(
            self.name,
            self._in_force(),
            self._intent,
            self._seen,
            self._plan,
            self._memory,
            self._tools.prober.statuses(self.name),
            self._fault,
            stale=self._unavailable > 1,
            refused=self._refused,
            owner=self._tools.owner,
            fresh=self._planned == self._wishes,
            wall=self._tools.clock.wall(),
        )

    def _in_force(self) -> PodSpec | None:
        """Return what is planned for: what the file says, or the last good spec where that one failed."""
        planned = self._plan.spec if self._plan and self._planned == self._wishes else None
        return self._want and (planned or self._want)

    # -- the loop

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until stopping is set or the pod is gone for good."""
        try:
            while not stopping.is_set() and not self.finished:
                self._again.clear()
                try:
                    wait = await self._turn()
                    self._unavailable, self._refused = 0, ""
                except PodmanError as error:
                    wait = self._blinded(error)
                if wait is None or wait > 0:
                    await pause(self._again, wait)
            if not self.finished:
                await self._keep_conditions()
        finally:
            self._lives.close()

    def _blinded(self, error: PodmanError) -> float:
        """Take it that the pod could not be looked at; return how long to wait before the next turn."""
        self._unavailable += 1
        self._looking.whole = True
        self._watching_since = self._tools.clock.now()
        refused = "" if isinstance(error, PodmanUnavailable) else str(error)
        if not refused:
            self._tools.unavailable(str(error))
        elif refused != self._refused:
            self._tell(Note("Warning", "Failed", refused))
        self._refused = refused
        self._note_conditions()
        self._tools.changed(self.name)
        return min(UNAVAILABLE_FIRST_S * 2.0 ** min(self._unavailable - 1, 10), UNAVAILABLE_CAP_S)

    async def _turn(self) -> float | None:
        """Observe, plan and apply once; return how long to wait before the next turn."""
        wishes = self._wishes
        seen = await self._looking.look()
        await self._tools.files.keep(self._want, seen, self._tell)
        made = await self._decide(seen)
        self._planned = wishes
        self._publish(seen, made)
        if made.gone:
            self.finished = self._want is None
            # Of a pod that never was, or is not ours, no event will tell that it is gone: end without a poke.
            return 0.0 if self.finished else None
        self._looking.whole = self._looking.whole or bool(made.actions)
        for action in made.actions:
            if wishes != self._wishes:
                break
            if self._to_save(made.memory) and action is made.actions[0]:
                applied = await beside(self._save(made), self._apply(action))
            else:
                applied = await self._apply(action)
            if not applied:
                break
        if made.actions:
            return self._pace(made.actions)
        self._same = 0
        looks = [at for at in (made.wake_at, await self._keep()) if at is not None]
        return max(0.001, min(looks) - self._tools.clock.now().boottime) if looks else None

    def _pace(self, actions: tuple[Action, ...]) -> float:
        """Look again at once after actions, but ever more slowly when the same ones are planned again and again."""
        self._same = self._same + 1 if actions == self._applied else 0
        self._applied = actions
        return 0.0 if self._same == 0 else min(SAME_FIRST_S * 2 ** min(self._same - 1, 10), SAME_CAP_S)

    async def _decide(self, seen: ObservedPod | None) -> Plan:
        """Plan, and save the memory before the actions it covers; what cannot be saved destroys nothing.

        A start is planned whether or not its memory can be saved, so it need not wait for the disk.
        """
        facts = await self._facts(seen)
        before = self._memory
        made = plan(self._want, self._intent, seen, facts, before, self._tools.clock.now())
        start_alone = len(made.actions) == 1 and isinstance(made.actions[0], StartContainer)
        if self._to_save(made.memory) and not start_alone and not await self._save(made):
            undurable = replace(facts, durable=False)
            made = plan(self._want, self._intent, seen, undurable, before, self._tools.clock.now())
        return made

    def _to_save(self, memory: PodMemory) -> bool:
        """Say whether anything changed that an action may rely on; conditions are told, and kept sparingly."""
        return memory != replace(self._saved, conditions=memory.conditions)

    async def _save(self, made: Plan) -> bool:
        try:
            await self._tools.state.save_memory(self.name, made.memory)
        except StateUnavailable as error:
            logger.warning("memory not saved", pod=self.name, error=str(error))
            return False
        self._saved = made.memory
        return True

    async def _facts(self, seen: ObservedPod | None) -> Facts:
        images = {}
        if self._want is not None:
            for image in images_needed(self._want, seen, self._memory, self._tools.owner):
                images[image] = await self._tools.puller.fact(image)
        return Facts(
            owner=self._tools.owner,
            images=images,
            verdicts=self._tools.prober.verdicts(self.name),
            gone=self._lives.gone(),
            causes=await self._tools.causes(self.name, seen),
            words=await self._tools.files.words(self._want, seen, self._memory),
            leftovers={container: len(pids) for container, pids in (await self._leftovers(seen)).items()},
            hooks=self._tools.hooks.facts(self.name),
            watching_since=self._watching_since.awake + self._tools.clock.now().slept,
            monitors=self._monitors(seen),
            limits=dict(self._limits),
            wall=self._tools.clock.wall(),
            after={pod: self._tools.unmet(pod) for pod in relies_on(self._want, self._memory)},
        )

    def _monitors(self, seen: ObservedPod | None) -> Mapping[str, MonitorState]:
        """Look at the conmons of containers whose exit is not recorded, though their process is gone."""
        gone = self._lives.gone()
        found: dict[str, MonitorState] = {}
        for container in (*seen.containers, *([seen.infra] if seen.infra else [])) if seen else ():
            if container.state.alive and container.id in gone:
                state = self._tools.monitors.state(container.monitor_pid, container.id)
                found |= {container.id: state} if state else {}
        return found

    async def _leftovers(self, seen: ObservedPod | None) -> Mapping[str, tuple[int, ...]]:
        """Look who is left of this pod's containers, and watch them."""
        found = await self._left.look(self.name, seen, self._memory)
        if found is None:
            return {}
        self._lives.watch_left(found)
        return found

    def _publish(self, seen: ObservedPod | None, made: Plan) -> None:
        """Take over the new picture, tell what is new in it, and have the probes follow it."""
        before = self._plan
        self._seen, self._plan, self._memory = seen, made, made.memory
        for note in made.notes:
            self._tell(note)
            if note.reason in OUTCOMES:
                self._tools.meter.update(self.name, OUTCOMES[note.reason])
        for container, (reason, message) in made.waiting.items():
            was = before.waiting.get(container, ("", "")) if before else ("", "")
            if reason in WARNED and reason != was[0]:
                name = container or None
                word = "BackOff" if reason.endswith("BackOff") else reason
                self._tell(Note("Warning", word, f"{container or 'the pod'} waits ({reason}): {message}", name))
        if made.conflict and (before is None or before.conflict != made.conflict):
            self._tell(Note("Warning", "Conflict", made.conflict))
        # Readiness goes on while a pod ends that nobody wants any more.
        self._last = made.spec or self._last
        spec = self._last
        wanted = registrations.of(spec, seen, made.memory, self._sight(), self._tools.clock.now(), self._tools.owner)
        self._tools.prober.sync(self.name, wanted)
        self._note_conditions()
        self._tools.changed(self.name)

    def _note_conditions(self) -> None:
        """Remember since when each condition is as it is."""
        conditions = transitions.remembered(derive(self.view(), self._tools.clock.now()).conditions)
        if conditions != self._memory.conditions:
            self._memory = replace(self._memory, conditions=conditions)

    async def _keep(self) -> float | None:
        """Save what nothing is planned for, sparingly; return when to come back for what has to wait, or None."""
        if self._memory.conditions == self._saved.conditions and not self._tools.probe_memory.changed(self.name):
            return None
        allowance = self._saving.take(self._tools.clock.now().boottime)
        if allowance is None:
            return self._saving.next_at
        self._saving = allowance
        await self._keep_conditions()
        await self._tools.probe_memory.keep(self.name)
        return None

    async def _keep_conditions(self) -> None:
        """Save them if they changed; they are written with the next plan where they cannot be now."""
        if self._memory.conditions != self._saved.conditions:
            with suppress(StateUnavailable):
                await self._tools.state.save_memory(self.name, self._memory)
                self._saved = self._memory

    def _tell(self, note: Note) -> None:
        self._tools.events.note(self.name, note)

    async def _apply(self, action: Action) -> bool:
        """Apply one action; False when the rest of the plan does not hold any more."""
        now = self._tools.clock.now
        try:
            await self._tools.files.before(self.name, action)
            if isinstance(action, RunHook):
                self._tools.hooks.begin(self.name, action, self._target(action.container_id))
            else:
                await self._tools.executor.apply(self.name, action, self._tell)
        except (PodmanNotFound, PodmanConflict, CgroupUnavailable) as error:
            self._memory = troubles.refused(self._memory, action, str(error), now(), stale=True)
            if self._memory.troubles[troubles.subject(action)].failures == STALE_TOLERATED:
                self._tell(Note("Warning", "Failed", str(error), troubles.subject(action) or None))
            return False
        except PodmanRejected as error:
            before = self._memory.troubles.get(troubles.subject(action))
            self._memory = troubles.refused(self._memory, action, str(error), now(), stale=False, reason=error.reason)
            if before is None or before.message != str(error):
                self._tell(Note("Warning", "Failed", str(error), troubles.subject(action) or None))
            return False
        self._memory = troubles.succeeded(self._memory, action)
        if isinstance(action, UpdateContainer):
            self._limits.pop(action.container_id, None)
        if isinstance(action, StartContainer):
            noticed = self._lives.noticed(action.container_id)
            if noticed is not None and action.container:
                ready_at = max(noticed, self._memory.containers[action.container].not_before)
                self._tools.meter.restart_latency(max(0.0, now().boottime - ready_at))
        note = told(action)
        if note:
            self._tell(note)
        return True

    def _target(self, container_id: str) -> ProbeTarget:
        """Return where a hook of a container goes."""
        if self._seen is None:
            raise RuntimeError("a hook was planned for a pod that was not seen")
        container = next((c for c in self._seen.containers if c.id == container_id), None)
        return registrations.target(self._last, self._seen, container, self._sight())

    def _sight(self) -> registrations.Sight:
        return registrations.Sight(self._tools.info(), self._tools.runtime.sees_processes())

    def container_ids(self) -> dict[str, str]:
        """Map manifest names to container ids last seen."""
        found = naming.by_name(self._seen, self._tools.owner) if self._seen else {}
        return {name: c.id for name, c in found.items()}
