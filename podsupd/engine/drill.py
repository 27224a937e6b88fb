"""A drill: the signals whose consequences a pod declares are sent on purpose, one after the other."""

from collections.abc import Callable
from dataclasses import dataclass

from podsupd.core import signal_words as words
from podsupd.core.conditions import PodView, derive
from podsupd.core.expectations import SLACK_S, Outcome
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.events import EventLog
from podsupd.engine.sending import Sending
from podsupd.engine.signal_policies import SignalPolicies
from podsupd.engine.tasks import pause
from podsupd.errors import ProcessesUnavailable, SignalRefused
from podsupd.model.plan import Note
from podsupd.model.sending import DrillReport, DrillResult, Purpose, SignalRequest
from podsupd.model.signal_policy import Expectation
from podsupd.ports import Clock

READY_S = 60.0
"""How long a container that the last signal ended is waited for."""
JUDGED_S = 5.0
"""How long beyond an expectation's own time its verdict is waited for, on a machine that is busy."""
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Tools:
    """What a drill works with. view: a pod's newest view, None when it is gone; changed: tells of every new one."""

    events: EventLog
    policies: SignalPolicies
    sending: Sending
    view: Callable[[str], PodView | None]
    changed: Broadcast
    clock: Clock


class Drills:
    """Runs drills, one at a time in each pod."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._running: set[str] = set()

    async def run(self, pod: str) -> DrillReport:
        """Try every expectation of a pod. Raises LookupError and SignalRefused."""
        rules = self._rules(pod)
        if pod in self._running:
            raise SignalRefused(f"cannot drill pod {pod}: a drill of it is under way")
        self._running.add(pod)
        try:
            results = tuple([await self._try(pod, rule) for rule in rules])
            ready = await self._until(self._tools.changed, lambda: self._ready(pod, None), READY_S)
        finally:
            self._running.discard(pod)
        made = DrillReport(
            pod, all(r.outcome == Outcome.MET for r in results), _verdict(results, ready=ready), ready, results
        )
        kind = "Normal" if made.met and made.ready else "Warning"
        self._tools.events.note(pod, Note(kind, "Drilled", f"podsupd drill: {made.verdict}"))
        return made

    def _rules(self, pod: str) -> tuple[Expectation, ...]:
        view = self._tools.view(pod)
        if view is None:
            raise LookupError(f"no pod is named {pod}")
        if view.want is None or not view.want.signals.expect:
            raise SignalRefused(f"cannot drill pod {pod}: it expects nothing; add signals.expect to its PodPolicy")
        if view.intent.stopped:
            raise SignalRefused(f"cannot drill pod {pod}: it is stopped; podsupd start {pod} lets it run")
        return view.want.signals.expect

    async def _try(self, pod: str, rule: Expectation) -> DrillResult:
        if not await self._until(self._tools.changed, lambda: self._ready(pod, rule.container), READY_S):
            return _result(rule, SKIPPED, f"nothing was sent: container {rule.container} is not ready")
        policies = self._tools.policies
        # Before it is sent: a process may end, and its container be started again, before anybody looks.
        if not policies.begin(pod, rule):
            return _result(rule, SKIPPED, f"nothing was sent: container {rule.container} does not run")
        request = SignalRequest(pod, words.parse(rule.signal), rule.container, wait_s=0, purpose=Purpose.DRILL)
        try:
            report = await self._tools.sending.send(request)
            refused = ", ".join(r.message for r in report.reached if r.message and r.depth == 0)
        except (LookupError, SignalRefused, ProcessesUnavailable) as error:
            refused = str(error)
        if refused:
            policies.cancel(pod, rule)
            return _result(rule, SKIPPED, f"nothing was sent: {refused}")
        await self._until(policies.told, lambda: not policies.waits(pod, rule), rule.within_s + SLACK_S + JUDGED_S)
        verdict = policies.verdict(pod, rule)
        if verdict is None:
            return _result(rule, Outcome.INCONCLUSIVE, "nobody told what followed")
        return _result(rule, verdict.outcome, verdict.message.removeprefix(f"{rule.sentence}: "), verdict.took_s)

    def _ready(self, pod: str, container: str | None) -> bool:
        """Say whether a container, or with None the whole pod, is ready and not on its way out."""
        view = self._tools.view(pod)
        if view is None or not view.fresh or view.stale:
            return False
        status = derive(view, self._tools.clock.now())
        if any(memory.stop for memory in view.memory.containers.values()):
            return False
        every = (*status.init_containers, *status.containers)
        return status.ready if container is None else any(c.ready for c in every if c.name == container)

    async def _until(self, told: Broadcast, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is true, no longer than this; say whether it is."""
        waiter = told.join()
        end = self._tools.clock.now().awake + seconds
        try:
            while not true():
                waiter.clear()
                left = end - self._tools.clock.now().awake
                if left <= 0:
                    return False
                await pause(waiter, left)
            return True
        finally:
            told.leave(waiter)


def _result(rule: Expectation, outcome: str, message: str, took_s: float | None = None) -> DrillResult:
    return DrillResult(rule.container, rule.signal, rule.sentence, str(outcome), message, took_s)


def _verdict(results: tuple[DrillResult, ...], *, ready: bool) -> str:
    met = sum(r.outcome == Outcome.MET for r in results)
    after = "" if ready else f"; the pod is not Ready again {READY_S:g} s later"
    return f"{met} of {len(results)} expectations met{after}"
