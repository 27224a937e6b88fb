"""What PodPolicies say of signals, carried out: sends on what a container got, and checks what has to follow.

Both need to see signals: where nobody traces them, nothing is sent on, and only what podsupd sends in a drill is
checked. A condition of the pod says so.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from podsupd import log
from podsupd.core import naming
from podsupd.core import signal_words as words
from podsupd.core.drafts import Draft, Watch
from podsupd.core.expectations import Expectations, Outcome, Verdict
from podsupd.core.forwarding import LIMIT, WINDOW_S, Forwarding, Order
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.events import EventLog
from podsupd.engine.expectation_memory import ExpectationMemory
from podsupd.engine.ledger import Ledger
from podsupd.engine.tasks import pause
from podsupd.engine.worker import Worker
from podsupd.model.observed import Incarnation
from podsupd.model.plan import Death, Note
from podsupd.model.sending import Addressee, Purpose
from podsupd.model.signal_policy import Expectation, ForwardRule, SignalPolicy
from podsupd.model.status import Condition
from podsupd.ports import Clock, Meter, SignalSender

logger = log.get("signal-policies")

K = TypeVar("K")
V = TypeVar("V")

KEPT = 1024
"""Lives and deaths that are remembered, of all pods with expectations."""
EVENTS = {Outcome.MET: "SignalExpectationMet", Outcome.BREACHED: "SignalExpectationBreached"}


@dataclass(frozen=True, slots=True)
class Tools:
    """What policies work with. workers: by pod, as they come and go. changed: tells of every new view of a pod.

    memory: of expectations, over a restart of podsupd. Of forwards nothing is kept: a signal is sent on when it is
    read, and the next daemon's trace begins with none of those that were.
    """

    ledger: Ledger
    sender: SignalSender
    workers: Mapping[str, Worker]
    events: EventLog
    meter: Meter
    clock: Clock
    changed: Broadcast
    memory: ExpectationMemory


class SignalPolicies:
    """The rules of all pods. told: tells of every verdict."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._rules: dict[str, SignalPolicy] = {}
        self._forwarding = Forwarding()
        self._expectations = Expectations()
        self._last: dict[tuple[str, Expectation], Verdict] = {}
        self._lives: OrderedDict[tuple[str, int], Incarnation] = OrderedDict()
        self._deaths: OrderedDict[Incarnation, Death] = OrderedDict()
        self._begun = Broadcast()
        self._resumed: set[str] = set()
        self.told = Broadcast()

    async def run(self) -> None:
        """Carry the rules out, for ever."""
        woken = asyncio.Event()
        sources = (self._tools.ledger.arrivals, self._tools.changed, self._begun)
        for source in sources:
            source.join(woken)
        try:
            while True:
                woken.clear()
                self._read()
                self._resume()
                self._remember()
                for got in self._tools.ledger.fresh():
                    self._take(got)
                self._judge()
                await self._keep()
                due = self._expectations.due
                await pause(woken, None if due is None else max(0.01, due - self._now()))
        finally:
            for source in sources:
                source.leave(woken)

    def _now(self) -> float:
        return self._tools.clock.now().awake

    def _read(self) -> None:
        """Take the rules as they are declared now, and have the ledger look out for their signals."""
        rules = {
            name: worker.want.signals
            for name, worker in self._tools.workers.items()
            if worker.want is not None and worker.want.signals != SignalPolicy()
        }
        if rules != self._rules:
            self._rules = rules
            declared = frozenset((pod, rule) for pod, signals in rules.items() for rule in signals.expect)
            for pod, rule in declared:
                # Made at once, with 0: a rate over a series that appears with its first breach misses that breach.
                for outcome in EVENTS:
                    self._tools.meter.expectation(pod, rule, outcome, 0)
            self._expectations.forget(declared)
            self._forwarding.forget(rules)
            self._last = {key: verdict for key, verdict in self._last.items() if key in declared}
        wanted: set[tuple[str, int]] = set()
        for pod, signals in rules.items():
            lives = self._tools.ledger.lives(pod)
            named = {(rule.container, rule.signal) for rule in signals.forward}
            named |= {(rule.container, rule.signal) for rule in signals.expect}
            wanted |= {(lives[name].container_id, words.parse(text)) for name, text in named if name in lives}
        self._tools.ledger.want(frozenset(wanted))

    def _resume(self) -> None:
        """Go on with what an earlier daemon saw begin, of each pod once its worker has looked at it."""
        for pod in self._rules.keys() - self._resumed:
            if not self._tools.workers[pod].planned:
                continue
            self._resumed.add(pod)
            saved, declared = self._tools.memory.take(pod), self._rules[pod].expect
            self._expectations.resume(p for p in saved.waiting if p.rule in declared)
            self._last = {(v.pod, v.rule): v for v in saved.last if v.rule in declared} | self._last

    async def _keep(self) -> None:
        """Save what waits and what came of it; a pod that went takes with it what was saved of it."""
        workers = self._tools.workers
        self._resumed &= workers.keys()
        self._tools.memory.forget_others(workers)
        await self._tools.memory.keep(list(self._resumed), self._expectations.pending.values(), self._last.values())

    def _take(self, got: Draft) -> None:
        """Take a signal that was just sent to a process of a pod with rules."""
        signals = self._rules.get(got.pod)
        if signals is None:
            return
        # By the time that the trace is read its process may be gone, and its container live anew.
        life = self._lives.get((got.pod, got.target_tgid))
        # A drill took note of its own before it sent them.
        if life is not None and got.result in {"delivered", "ignored"} and got.purpose != Purpose.DRILL:
            for rule in signals.expect:
                if (rule.container, words.parse(rule.signal)) == (got.target.container, got.number):
                    self._begin(got.pod, rule, life, (time.monotonic_ns() - got.at) / 1e9)
        decision = self._forwarding.decide(got.pod, got, signals.forward)
        for order in decision.orders:
            self._forward(got.pod, order)
        for held in decision.held_back:
            why = f"more than {LIMIT} within {WINDOW_S:g} s are held back"
            self._tell(got.pod, "Warning", "SignalForwardLimited", f"{_said(held)}: {why}", held.container)

    # -- forward

    def _forward(self, pod: str, order: Order) -> None:
        to = order.to
        said = f"{order.rule.signal} to container {order.rule.container} is sent on: {to.signal} to {to.container}"
        life = self._tools.ledger.lives(pod).get(to.container)
        if life is None or not life.pid:
            self._tell(pod, "Warning", "SignalForwardFailed", f"{said}: it does not run", to.container)
            return
        number = words.parse(to.signal)
        self._tools.ledger.own(Watch(Purpose.FORWARD, order.cause), {life.pid: life.container_id}, number)
        sent = self._tools.sender.send([Addressee(life.pid, container_id=life.container_id)], number)[life.pid]
        if sent.refused:
            self._tell(pod, "Warning", "SignalForwardFailed", f"{said}: {sent.refused}", to.container)
        else:
            self._tell(pod, "Normal", "SignalForwarded", said, to.container)

    # -- expect

    def begin(self, pod: str, rule: Expectation) -> bool:
        """Take note that a drill is about to send the signal; False when the container has no first process.

        Whatever waits for an earlier one is dropped: this one has all of its time.
        """
        worker = self._tools.workers.get(pod)
        life = _lives(worker).get(rule.container) if worker is not None else None
        if life is None:
            return False
        self._begin(pod, rule, life[1], 0.0, anew=True)
        self._begun.notify()
        return True

    def _begin(self, pod: str, rule: Expectation, life: Incarnation, ago_s: float, *, anew: bool = False) -> None:
        at, epoch = self._now() - ago_s, self._tools.clock.wall() - ago_s
        self._expectations.begin(pod, rule, life, at, epoch, anew=anew)

    def cancel(self, pod: str, rule: Expectation) -> None:
        """Take back what was begun: nothing was sent."""
        self._expectations.pending.pop((pod, rule), None)

    def waits(self, pod: str, rule: Expectation) -> bool:
        """Say whether an expectation waits for what follows."""
        return (pod, rule) in self._expectations.pending

    def verdict(self, pod: str, rule: Expectation) -> Verdict | None:
        """Return what an expectation came to when it was last checked."""
        return self._last.get((pod, rule))

    def _remember(self) -> None:
        """Remember lives and deaths of pods that expect something: a life may be over when its signal is read."""
        for pod, signals in self._rules.items():
            worker = self._tools.workers.get(pod)
            if worker is None or not signals.expect:
                continue
            for pid, life in _lives(worker).values():
                _keep(self._lives, (pod, pid), life)
            for memory in worker.view().memory.containers.values():
                if memory.last_death is not None:
                    _keep(self._deaths, memory.last_death.incarnation, memory.last_death)

    def _judge(self) -> None:
        pods = {pod for pod, _ in self._expectations.pending}
        if not pods:
            return
        lost = pods - {pod for pod, worker in self._tools.workers.items() if pod in pods and not worker.view().stale}
        for verdict in self._expectations.judge(self._deaths, frozenset(lost), self._now()):
            self._last[verdict.pod, verdict.rule] = verdict
            if verdict.outcome in EVENTS:
                self._tools.meter.expectation(verdict.pod, verdict.rule, verdict.outcome)
                kind = "Normal" if verdict.outcome is Outcome.MET else "Warning"
                self._tell(verdict.pod, kind, EVENTS[verdict.outcome], verdict.message, verdict.rule.container)
            else:
                logger.info("an expectation could not be checked", pod=verdict.pod, why=verdict.message)
            self.told.notify()

    def _tell(self, pod: str, kind: str, reason: str, message: str, container: str) -> None:
        self._tools.events.note(pod, Note(kind, reason, message, container))

    # -- shown

    def conditions(self, pod: str) -> tuple[Condition, ...]:
        """Return what is known of a pod's rules; nothing for a pod without."""
        signals = self._rules.get(pod, SignalPolicy())
        ledger = self._tools.ledger
        blind = "" if ledger.up else f"signals are not traced: {ledger.condition.message}"
        found: list[Condition] = []
        if signals.forward:
            made = ("False", "NotTraced", blind) if blind else ("True", "Tracing", "")
            found.append(Condition("SignalsForwarded", *made))
        if signals.expect:
            found.append(self._expected(pod, signals, blind))
        return tuple(found)

    def _expected(self, pod: str, signals: SignalPolicy, blind: str) -> Condition:
        last = [self._last.get((pod, rule)) for rule in signals.expect]
        breached = [v.message for v in last if v is not None and v.outcome is Outcome.BREACHED]
        if breached:
            return Condition("SignalExpectationsMet", "False", "Breached", "; ".join(breached))
        if any(v is not None and v.outcome is Outcome.MET for v in last):
            return Condition("SignalExpectationsMet", "True", "Met")
        if blind:
            return Condition("SignalExpectationsMet", "Unknown", "NotTraced", blind)
        return Condition("SignalExpectationsMet", "Unknown", "NotHappened", "none of the signals was seen yet")


def _lives(worker: Worker) -> dict[str, tuple[int, Incarnation]]:
    """Return the containers that the pod's worker saw running last: first process and life by name."""
    view = worker.view()
    found = naming.by_name(view.seen, view.owner) if view.seen else {}
    return {name: (c.pid, c.incarnation) for name, c in found.items() if c.state.alive}


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)


def _said(rule: ForwardRule) -> str:
    to = ", ".join(f"{target.signal} to {target.container}" for target in rule.to)
    return f"{rule.signal} to container {rule.container} is sent on: {to}"
