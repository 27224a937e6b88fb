"""The ledger: keeps the pods' processes and signals from the kernel's trace, tells, counts and remembers them.

Without the trace everything else goes on: a condition and a log line say what is missing, and deaths are explained by
their exit codes alone.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import partial

from podsupd import log
from podsupd.core import naming
from podsupd.core.causes import FirstExit, cause_text, untraced
from podsupd.core.drafts import Draft, Own, Watch
from podsupd.core.membership import Membership
from podsupd.core.propagation import OUT_OF_MEMORY, Propagation
from podsupd.core.stamps import stamp
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.tail import Tail
from podsupd.engine.tasks import pause
from podsupd.errors import TracingUnavailable
from podsupd.model.observed import Incarnation, ObservedContainer, ObservedPod
from podsupd.model.signals import DeathCause, Life, SignalRecord
from podsupd.model.status import Condition
from podsupd.ports import Meter, ProcessLook, SignalHistory, Tracer

logger = log.get("signals")

IDLE_S = 0.5
"""How long what does not wake the tracer is left unread: with that, the ends of 6,000 processes a second fit."""
BUSY_S = 0.1
RETRY_FIRST_S = 1.0
"""What hinders a machine that is busy may be over in a moment."""
RETRY_CAP_S = 60.0
BEHIND_S = 0.3
"""How long an explanation of a death is waited for."""
BEHIND_PARTS = 3
"""In so many parts: a moment in which the machine lets us do nothing takes one of them, however long it was."""
HOLD_S = 0.003
STAMPED_S = 0.02
"""Podman stamps a start when the runtime has returned: by then a process may have ended. A start takes longer."""
RECORDED_S = 1.0
"""An exit is stamped by a clock that ticks every few milliseconds, so up to one tick early."""
CAUSES_KEPT = 256


class Ledger:
    """Signals of our pods. wanted: settings' signals.tracer (auto, tracefs or off)."""

    def __init__(
        self, tracer: Tracer, table: ProcessLook, history: SignalHistory, meter: Meter, owner: str, wanted: str
    ) -> None:
        self._tracer = tracer
        self._table = table
        self._history = history
        self._meter = meter
        self._owner = owner
        self._wanted = wanted
        self._lives: dict[str, tuple[Life, ...]] = {}
        self._tail: Tail[SignalRecord] = Tail(partial(history.signals, oldest=True))
        self._wanted_signals: frozenset[tuple[str, int]] = frozenset()
        self._read = Broadcast()
        self.arrivals = Broadcast()
        self._until = 0
        self._offset = 0
        self._last_id = 0
        self._causes: OrderedDict[str, tuple[int, DeathCause | None]] = OrderedDict()
        self._clocks: dict[str, dict[Incarnation, int]] = {}
        self._sent: OrderedDict[str, tuple[int, int, str]] = OrderedDict()
        self._waited: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._fault = "signals.tracer is off" if wanted == "off" else "not begun yet"
        self.up = False
        self._begin()

    def _begin(self) -> None:
        self._tracer.watched.clear()
        self._processes = Membership(self._table.look, self._table.members, os.getpid(), self._tracer.watched)
        self._signals = Propagation(self._processes, self._table.look, self._stamp)
        self._signals.wanted = self._wanted_signals

    def number_after(self, last_id: int) -> None:
        """Number records above this, the highest of the history: the wall clock may have been set back since."""
        self._last_id = max(self._last_id, last_id)
        self._tail.begin(last_id)

    def _stamp(self, at: int) -> tuple[int, str]:
        wall = (at + self._offset) // 1000
        self._last_id = max(self._last_id + 1, wall)
        return self._last_id, stamp(wall / 1e6)

    @property
    def condition(self) -> Condition:
        """Say whether signals are traced, and if not, what is missing."""
        if self.up:
            return Condition("SignalTracer", "True", "Tracing", self._tracer.partial)
        reason = "Off" if self._wanted == "off" else "Unavailable"
        return Condition("SignalTracer", "False", reason, self._fault)

    # -- the loop

    async def run(self, stopping: asyncio.Event) -> None:
        """Trace until stopping; where it cannot be done say so once and try again from time to time."""
        said, partial, retry_s = "", "", RETRY_FIRST_S
        while not stopping.is_set():
            if self._wanted == "off":
                await stopping.wait()
                return
            try:
                # Enabling trace events waits for the kernel, tens of milliseconds each.
                await asyncio.to_thread(self._tracer.open)
                self._begin()
                if self._tracer.partial not in {"", partial}:
                    partial = self._tracer.partial
                    logger.warning(partial)
                self._offset = time.time_ns() - time.monotonic_ns()
                self.up, retry_s = True, RETRY_FIRST_S
                self._processes.observe([life for lives in self._lives.values() for life in lives])
                await self._trace(stopping)
            except TracingUnavailable as error:
                self._fault = str(error)
                if self._fault != said:
                    said = self._fault
                    say = logger.error if self._wanted == "tracefs" else logger.warning
                    say(f"signals are not traced, deaths are explained by exit codes alone: {error}")
            finally:
                self.up = False
                self._tracer.close()
            await pause(stopping, retry_s)
            retry_s = min(retry_s * 2, RETRY_CAP_S)

    async def _trace(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            batch = await self._tracer.read(BUSY_S if self._signals.busy else IDLE_S)
            for event in batch.events:
                self._signals.feed(event)
            self._offset = time.time_ns() - time.monotonic_ns()
            if self._signals.has_fresh:
                self.arrivals.notify()
            self._processes.resolve()
            if batch.lost:
                self._meter.signals_lost(batch.lost)
                logger.warning("the kernel's trace overflowed: signals are missing in the ledger", lost=batch.lost)
                self._processes.rescan()
            self._until = batch.until
            self._explain()
            for record in self._signals.settled(batch.until):
                self._history.record_signal(record)
                self._meter.signal(record)
                self._tail.add(record)
            for record in self._signals.amended():
                self._history.record_signal(record)
            self._read.notify()

    def _explain(self) -> None:
        for end in self._signals.exits():
            self._causes[end.container_id] = (end.at, self._cause(end))
            self._causes.move_to_end(end.container_id)
            if len(self._causes) > CAUSES_KEPT:
                self._causes.popitem(last=False)

    def _cause(self, end: FirstExit) -> DeathCause | None:
        if end.by is None:
            return None
        sender, command = end.by.sender, ""
        if sender.origin == "podman" and sender.host_pid is not None:
            command = self._processes.runtime_command(sender.host_pid)
        out_of_memory = end.by.fault == OUT_OF_MEMORY
        return DeathCause(cause_text(end, command), sender.origin, end.purpose, out_of_memory, end.by.signal)

    def _explained(self, pod: str, container: ObservedContainer) -> tuple[bool, DeathCause | None]:
        """Say whether the trace told of a container's last death, and who ended it by that."""
        if container.id not in self._causes:
            return False, None
        at, cause = self._causes[container.id]
        # An earlier life of the same container ended before this one began.
        return (True, cause) if self._since(pod, container, at) >= -STAMPED_S else (False, None)

    def _since(self, pod: str, container: ObservedContainer, at: int) -> float:
        """Return the seconds from a life's beginning to a moment in ns of CLOCK_MONOTONIC.

        Podman's times are the wall clock's as it was then; it may have been set since.
        """
        clock = self._clocks.get(pod, {}).get(container.incarnation, self._offset)
        return (at + clock) / 1e9 - container.started_epoch

    # -- what the engine tells it

    def observe(self, pod: str, seen: ObservedPod | None) -> None:
        """Take what a worker saw of its pod."""
        self._note_clocks(pod, seen)
        lives: list[Life] = []
        if seen is not None and seen.owned_by(self._owner):
            for name, container in naming.by_name(seen, self._owner).items():
                lives.append(Life(pod, name, container.id, container.pid if container.state.alive else 0))
            if seen.infra is not None:
                lives.append(Life(pod, "", seen.infra.id, seen.infra.pid if seen.infra.state.alive else 0))
        if self._lives.get(pod, ()) == tuple(lives):
            return
        if lives:
            self._lives[pod] = tuple(lives)
        else:
            self._lives.pop(pod, None)
        if self.up:
            self._processes.observe([life for each in self._lives.values() for life in each])

    def _note_clocks(self, pod: str, seen: ObservedPod | None) -> None:
        """Keep the clock of each life from when it was first seen, for as long as it is."""
        known, now = self._clocks.pop(pod, {}), time.time_ns() - time.monotonic_ns()
        if seen is not None:
            containers = (*seen.containers, *([seen.infra] if seen.infra else []))
            self._clocks[pod] = {c.incarnation: known.get(c.incarnation, now) for c in containers}

    def announce(self, container_id: str, signal: str) -> None:
        """Take note that podsupd asks Podman for a signal now."""
        self._signals.announce(container_id, signal, time.monotonic_ns())

    def hurry(self) -> None:
        """Have the trace read now: a first process has ended, and whoever looks at it will ask for the cause."""
        if self.up:
            self._tracer.hurry()

    def own(self, watch: Watch, targets: Mapping[int, str], number: int) -> None:
        """Take note that podsupd itself signals these now, before it does.

        targets: host pid -> the id of the container whose first process it is, empty for another process.
        """
        at = time.monotonic_ns()
        for pid, container_id in targets.items():
            if self.up:
                self._signals.own(Own(pid, number, at, watch))
            if container_id:
                self._sent[container_id] = (at, number, watch.purpose)
                self._sent.move_to_end(container_id)
        while len(self._sent) > CAUSES_KEPT:
            self._sent.popitem(last=False)

    def _own_cause(self, pod: str, container: ObservedContainer) -> DeathCause | None:
        """Explain a death by what podsupd sent itself; all that is known where nobody traces."""
        at, number, purpose = self._sent.get(container.id, (0, 0, ""))
        if not at or self._since(pod, container, at) < 0:
            return None
        now = time.time_ns() - time.monotonic_ns()
        return untraced(number, purpose, container.finished_epoch - (at + now) / 1e9, container.exit_code)

    def want(self, signals: frozenset[tuple[str, int]]) -> None:
        """Have signals of these (container id, number) handed out by ``fresh``; ``arrivals`` tells of them."""
        self._wanted_signals = self._signals.wanted = signals

    def fresh(self) -> list[Draft]:
        """Return the wanted signals that were sent since the last call, some 20 ms ago; their fates are not known."""
        return self._signals.fresh()

    def lives(self, pod: str) -> Mapping[str, Life]:
        """Return the containers of a pod by name, infra's empty, as they were last observed."""
        return {life.container: life for life in self._lives.get(pod, ())}

    @property
    def read_until(self) -> int:
        """Return up to when (ns of CLOCK_MONOTONIC) the trace was read."""
        return self._until

    @property
    def reads(self) -> Broadcast:
        """Return who tells of every read of the trace."""
        return self._read

    async def causes(self, pod: str, seen: ObservedPod | None) -> Mapping[str, DeathCause]:
        """Take what a worker saw, and say by container id who ended what is dead in it.

        Waits a moment, once a death, for the kernel's word.
        """
        self.observe(pod, seen)
        if seen is None:
            return {}
        dead = [c for c in (*seen.containers, *([seen.infra] if seen.infra else [])) if c.state.dead]
        if not self.up:
            return {c.id: cause for c in dead if (cause := self._own_cause(pod, c))}
        new = [c for c in dead if (c.id, c.started_at) not in self._waited]
        if new:
            for container in new:
                self._waited[container.id, container.started_at] = None
            while len(self._waited) > CAUSES_KEPT:
                self._waited.popitem(last=False)
            # Mostly Podman takes longer to tell of a death than the trace does.
            recent = [c for c in new if (c.finished_epoch + RECORDED_S) * 1e9 - self._offset > self._until]
            if not all(self._explained(pod, c)[0] for c in recent):
                await self.catch_up()
        found: dict[str, DeathCause] = {}
        for container in dead:
            self._signals.exit_code(container.id, container.exit_code)
            told, cause = self._explained(pod, container)
            # What podsupd itself sent is known even where the trace is behind.
            cause = cause if told else self._own_cause(pod, container)
            if cause:
                found[container.id] = cause
        return found

    async def catch_up(self) -> None:
        """Wait until what happened up to now was read, no longer than BEHIND_S."""
        now = time.monotonic_ns()
        waiter = self._read.join()
        try:
            # The tracer keeps records back so long, to put those of several CPUs in order.
            await asyncio.sleep(HOLD_S)
            for _ in range(BEHIND_PARTS):
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEHIND_S / BEHIND_PARTS):
                        while self._until < now and self.up:
                            waiter.clear()
                            self._tracer.hurry()
                            await waiter.wait()
                        return
            logger.info("the kernel's trace is behind; what it would explain is told without it")
        finally:
            self._read.leave(waiter)

    # -- who asks

    async def signals(self, pod: str, since: int, limit: int) -> list[SignalRecord]:
        """Read the newest ``limit`` records of a pod after ``since``, oldest first."""
        return await self._history.signals(pod, since, limit)

    def follow(self, pod: str, since: int) -> AsyncIterator[SignalRecord]:
        """Yield records after ``since``, from the history, then as they come."""
        return self._tail.follow(pod, since)
