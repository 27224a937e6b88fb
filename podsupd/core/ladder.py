"""What failed PodPolicy probes bring about: one step of their ladder after the other, never two in a cool-down.

A step is taken for a failure: a verdict that is new, or one that holds on when the cool-down is over and there is a
further step. The last step is repeated for new failures only. After a restart the probe has to fail anew, on the new
lives, before anything more is done. Times are seconds of CLOCK_BOOTTIME.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from podsupd.core import naming
from podsupd.model.life import LadderMemory
from podsupd.model.observed import Incarnation, ObservedPod
from podsupd.model.plan import CallWebhook, Facts, Note, Now, Verdict
from podsupd.model.spec import FailureAction, FailureStep, PodSpec, ProbeSpec, ProbeType, Webhook

RESTARTS = frozenset({FailureAction.RESTART_POD, FailureAction.RESTART_CONTAINER})


@dataclass(frozen=True, slots=True)
class Restart:
    """A container that a failed probe wants restarted, why, and the probe's own grace period if it has one."""

    container: str
    message: str
    grace_s: float | None


@dataclass(frozen=True, slots=True)
class Climb:
    """Where a probe stands on its ladder, the step to take now, and when to look again."""

    memory: LadderMemory | None
    step: FailureStep | None = None
    wake_at: float | None = None


@dataclass(frozen=True, slots=True)
class Climbed:
    """What all ladders of a pod come to."""

    ladders: Mapping[str, LadderMemory]
    restarts: tuple[Restart, ...] = ()
    calls: tuple[CallWebhook, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_at: float | None = None


def place(webhook: Webhook) -> str:
    """Name a webhook without what its URL may hold of secrets: user, password, path and query."""
    parts = urlsplit(webhook.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def words(step: FailureStep) -> str:
    """Say what a step does."""
    match step.action:
        case FailureAction.RESTART_POD:
            return "restart the pod"
        case FailureAction.RESTART_CONTAINER:
            return f"restart container {step.container}"
        case FailureAction.WEBHOOK if step.webhook:
            return f"call {place(step.webhook)}"
        case _:
            return "report only"


def standing(memory: LadderMemory) -> str:
    """Say which step was taken last, where there is more than one."""
    steps = memory.ladder.steps
    return f"step {memory.taken} of {len(steps)}: {words(steps[memory.taken - 1])}" if len(steps) > 1 else ""


def climb(spec: ProbeSpec, memory: LadderMemory | None, verdict: Verdict | None, life: Incarnation, now: Now) -> Climb:
    """Advance one probe's ladder; verdict: what it says of this life of the pod, None when it says nothing yet."""
    ladder = spec.on_failure
    if memory is not None and (memory.ladder != ladder or memory.boot_id != now.boot_id):
        memory = None
    if not ladder.steps or verdict is None or verdict.passing is None or verdict.incarnation != life:
        return Climb(memory)
    if memory is None:
        return Climb(None) if verdict.passing else _take(spec, None, verdict, now)
    cooled_at = memory.at + ladder.cooldown_s
    if verdict.passing:
        since = now.boottime if memory.passing_since is None else memory.passing_since
        over_at = max(since + ladder.reset_s, cooled_at)
        if now.boottime >= over_at:
            return Climb(None)
        return Climb(replace(memory, failing=False, passing_since=since), wake_at=over_at)
    new = not memory.failing or memory.incarnation != life
    memory = replace(memory, passing_since=None)
    restarting = ladder.steps[memory.taken - 1].action in RESTARTS and memory.incarnation == life
    if restarting or not (new or memory.taken < len(ladder.steps)):
        return Climb(memory)
    if now.boottime < cooled_at:
        return Climb(memory, wake_at=cooled_at)
    return _take(spec, memory, verdict, now)


def _take(spec: ProbeSpec, memory: LadderMemory | None, verdict: Verdict, now: Now) -> Climb:
    """Take the next step; of the last one every time."""
    steps = spec.on_failure.steps
    index = min(memory.taken if memory else 0, len(steps) - 1)
    step = steps[index]
    return Climb(
        LadderMemory(
            ladder=spec.on_failure,
            taken=index + 1,
            at=now.boottime,
            boot_id=now.boot_id,
            incarnation=verdict.incarnation,
            message=verdict.message,
            sent=step.webhook is None,
        ),
        step,
    )


def climb_all(want: PodSpec, seen: ObservedPod, facts: Facts, ladders: Mapping[str, LadderMemory], now: Now) -> Climbed:
    """Advance the ladders of all of a pod's own probes. Idempotent at one moment."""
    life = naming.pod_incarnation(seen)
    after: dict[str, LadderMemory] = {}
    restarts: list[Restart] = []
    calls: list[CallWebhook] = []
    notes: list[Note] = []
    wakes: list[float] = []
    for probe in want.probes:
        if probe.type is not ProbeType.POLICY:
            continue
        before = ladders.get(probe.name)
        made = climb(probe, before, facts.verdicts.get(probe.name), life, now)
        if made.memory is not None:
            after[probe.name] = made.memory
            calls += _call(probe, made.memory)
        elif before is not None and len(before.ladder.steps) > 1 and before.ladder == probe.on_failure:
            notes.append(Note("Normal", "Recovered", f"probe {probe.name}: the next failure begins at the first step"))
        if made.wake_at is not None:
            wakes.append(made.wake_at)
        if made.step is not None and made.memory is not None:
            asked, note = _effect(probe, made.step, made.memory, seen, facts)
            restarts += asked
            notes += note
    return Climbed(after, tuple(restarts), tuple(calls), tuple(notes), min(wakes, default=None))


def _effect(
    probe: ProbeSpec, step: FailureStep, memory: LadderMemory, seen: ObservedPod, facts: Facts
) -> tuple[list[Restart], list[Note]]:
    """Return whom a step restarts; a step that restarts nobody is told, those are told by their restarts."""
    count = len(memory.ladder.steps)
    where = f" (step {memory.taken} of {count})" if count > 1 else ""
    message = f"probe {probe.name} failed: {memory.message}{where}"
    found = naming.by_name(seen, facts.owner)
    if step.action is FailureAction.RESTART_POD:
        return [Restart(name, message, probe.grace_s) for name in found], []
    if step.action is FailureAction.RESTART_CONTAINER and step.container in found:
        return [Restart(step.container, message, probe.grace_s)], []
    return [], [Note("Warning", "Unhealthy", f"{message}: {words(step)}")]


def _call(probe: ProbeSpec, memory: LadderMemory) -> list[CallWebhook]:
    webhook = memory.ladder.steps[memory.taken - 1].webhook
    if memory.sent or webhook is None:
        return []
    why = f"probe {probe.name} failed: {memory.message}"
    return [CallWebhook(probe.name, webhook, memory.message, memory.taken, len(memory.ladder.steps), why)]
