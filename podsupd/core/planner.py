"""The heart: from the whole desired state and a fresh observation to the next actions. One pure function, ``plan``.

It never looks at how it came here: interrupted after any action, the next plan goes on from what is seen then.
"""

from dataclasses import replace

from podsupd.core import (
    bringup,
    containers,
    cron,
    dependencies,
    ending,
    freshness,
    naming,
    references,
    rollout,
    stuck,
    teardown,
    troubles,
    whole,
)
from podsupd.core.accounting import INFRA, account
from podsupd.core.containers import LOOK_AGAIN_S
from podsupd.core.dating import redated
from podsupd.core.digest import pod_digest
from podsupd.core.draft import AS_DESIRED, Draft
from podsupd.core.sleeping import carried_over
from podsupd.core.stopping import MAIN_ONLY, Rule
from podsupd.model.observed import (
    CONTAINER_LABEL,
    OWNER_LABEL,
    SOURCE_LABEL,
    ContainerState,
    ObservedContainer,
    ObservedPod,
)
from podsupd.model.plan import (
    CreatePod,
    Facts,
    Intent,
    Now,
    Plan,
    PodMemory,
    RemovePod,
    RemoveShelter,
    SignalLeftovers,
    StartContainer,
)
from podsupd.model.spec import PodSpec

RESYNC_S = 30.0


def plan(
    want: PodSpec | None, intent: Intent, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now
) -> Plan:
    """Decide what to do next with one pod.

    want: the spec in force, None when the pod has to go. Returns the actions to apply in order until one fails, the
    boottime to look again at the latest, the memory to save before the actions are applied, and why.
    """
    if seen is not None and not seen.owned_by(facts.owner):
        if want is None:
            return Plan((), None, memory, "not ours", gone=True)
        conflict = _conflict(want, seen)
        return Plan((), now.boottime + RESYNC_S, memory, conflict, conflict=conflict)
    memory = redated(carried_over(memory, now), now, facts.wall)
    turn = cron.observe(want, intent, seen, facts, memory, now) if want else cron.Turn(memory)
    memory = turn.memory
    look = freshness.observe(want, intent, seen, facts, memory, now) if want else freshness.Look(memory)
    choice = rollout.choose(want, intent, seen, facts, look.memory, now) if want else None
    if choice:
        want, memory = choice.spec, choice.memory
    books = account(want, intent, seen, facts, memory, now)
    draft = Draft(books.memory, books.notes, now, want)
    if choice:
        _prepare_update(draft, choice, facts)
    if _orphaned(draft, seen, facts):
        return draft.plan("ends what a container left behind that was removed by hand")
    if want is not None:
        _observe_end(draft, want, seen, facts)
    draft.actions += (*books.calls, *look.actions)
    draft.notes += (*turn.notes, *look.notes)
    for wake_at in (books.wake_at, look.wake_at, turn.wake_at):
        draft.wake(wake_at)
    if want is None:
        return _remove(draft, seen, facts)
    if draft.memory.cron and draft.memory.cron.fresh and seen is not None:
        return _clear(draft, seen, "its next run begins", facts, with_volumes=True)
    if draft.memory.cron and draft.memory.cron.run is None and seen is None:
        return draft.plan(turn.coming)
    if draft.memory.done:
        draft.why = turn.coming
    return _decide(draft, want, intent, seen, facts)


def _decide(draft: Draft, want: PodSpec, intent: Intent, seen: ObservedPod | None, facts: Facts) -> Plan:
    """Choose what is to be done with a pod that is wanted."""
    over = ending.remove_at(want, draft.memory)
    if over is not None and draft.now.boottime >= over and seen is not None:
        return _clear(draft, seen, "its job is done", facts, with_volumes=True)
    draft.wake(over if seen is not None else None)
    if draft.memory.done is not None and not (intent.stopped and seen):
        why = "its job is done"
        if seen is not None:
            teardown.take_down_all(draft, want, seen, why, facts)
        return draft.plan(why)
    if seen is None:
        return _create(draft, want, intent, facts)
    images = whole.made_of(seen, facts.owner, draft.memory)
    replaced = whole.replaced(want, seen, images) or _infra_stuck(draft, seen, facts)
    if replaced:
        return _replace(draft, want, intent, seen, replaced, facts)
    if intent.stopped:
        return _stop(draft, want, seen, facts)
    if ending.expired(want, draft.memory):
        why = f"active for longer than activeDeadlineSeconds ({want.active_deadline_s:g} s)"
        teardown.take_down_all(draft, want, seen, why, facts)
        return draft.plan(why)
    return _run(draft, want, intent.stopped_containers, seen, facts)


def _prepare_update(draft: Draft, choice: rollout.Choice, facts: Facts) -> None:
    """Have the images of an update fetched while the spec that is in force goes on."""
    draft.notes += choice.notes
    draft.wake(choice.wake_at)
    if choice.wanted:
        bringup.fetch(draft, choice.wanted, choice.preparing, facts)
    draft.why = choice.why
    if choice.waiting:
        draft.waiting[INFRA] = choice.waiting
        draft.wake(draft.now.boottime + RESYNC_S)


def _observe_end(draft: Draft, want: PodSpec, seen: ObservedPod | None, facts: Facts) -> None:
    """Note that the pod's time is over, or its work done."""
    memory = replace(draft.memory, containers=draft.memories)
    memory, late = ending.observe_deadline(want, seen, memory, draft.now)
    draft.memory, done = ending.observe_job(want, seen, facts, memory, draft.now)
    draft.notes += [*late, *done]
    draft.wake(ending.expires_at(want, draft.memory))


def _conflict(want: PodSpec, seen: ObservedPod) -> str:
    if seen.labels.get(OWNER_LABEL) and seen.labels.get(SOURCE_LABEL) == want.source.path:
        return (
            f"the pod named {want.name} (id {seen.id[:12]}) was made from this file under another owner id: the state"
            " directory was lost, or is another than then; `podsupd adopt` says what can be taken over"
        )
    return (
        f"a pod named {want.name} exists that podsupd did not make (id {seen.id[:12]}): rename this one,"
        f" or remove that one (`podman pod rm {seen.name}`)"
    )


def _orphaned(draft: Draft, seen: ObservedPod | None, facts: Facts) -> bool:
    """Kill the leftovers of containers that are gone from Podman: whoever removed those wanted no grace for them."""
    there = {c.id for c in seen.containers} if seen else set()
    why = "its container was removed by hand"
    for lost, count in facts.leftovers.items():
        if lost not in there:
            draft.actions.append(SignalLeftovers(lost, INFRA, "SIGKILL", why) if count else RemoveShelter(lost, INFRA))
    return bool(draft.actions)


def _strangers_in_the_way(draft: Draft, seen: ObservedPod, facts: Facts) -> Plan | None:
    strangers = naming.strangers(seen, facts.owner)
    if not strangers:
        return None
    names = ", ".join(c.name for c in strangers)
    draft.wake(draft.now.boottime + RESYNC_S)
    conflict = (
        f"cannot remove pod {seen.name}: it holds containers that podsupd did not make: {names}; remove them first"
    )
    return draft.plan(conflict, conflict=conflict)


def _remove(draft: Draft, seen: ObservedPod | None, facts: Facts) -> Plan:
    if seen is None:
        return draft.plan("removed", gone=True)
    why = "its manifest is gone"
    return _clear(draft, seen, why, facts, with_volumes=True)


def _clear(
    draft: Draft,
    seen: ObservedPod,
    why: str,
    facts: Facts,
    *,
    with_volumes: bool,
) -> Plan:
    """Stop every container of ours and, when all are dead, remove the pod."""
    strangers = _strangers_in_the_way(draft, seen, facts)
    if strangers:
        return strangers
    if teardown.take_down_all(draft, None, seen, why, facts):
        return draft.plan(why)
    trouble = troubles.active(draft.memory.troubles, INFRA, draft.now)
    if trouble:
        draft.waiting[INFRA] = ("RemovePodError", trouble.message)
        draft.wake(trouble.retry_at)
    elif not facts.durable:
        draft.waiting[INFRA] = ("StateUnavailable", f"{why}: waits until state.db can be written")
        draft.wake(draft.now.boottime + containers.DURABLE_LOOK_AGAIN_S)
    else:
        draft.actions.append(RemovePod(seen.id, with_volumes, why))
    return draft.plan(why)


def _create(draft: Draft, want: PodSpec, intent: Intent, facts: Facts) -> Plan:
    if intent.stopped:
        return draft.plan("stopped by an operator")
    waits = dependencies.waits(want, facts)
    if waits:
        bringup.prepare(draft, want, facts)
        return _wait(draft, waits)
    trouble = troubles.active(draft.memory.troubles, INFRA, draft.now)
    if trouble:
        draft.waiting[INFRA] = ("CreatePodError", trouble.message)
        draft.wake(trouble.retry_at)
        return draft.plan(trouble.message)
    draft.actions.append(CreatePod(want, pod_digest(want), "it is missing"))
    # Named where an id is not known yet: what follows is carried out only when the creation succeeded.
    made = ObservedPod(want.name, want.name, {}, None, ())
    draft.memory = replace(draft.memory, ending_since=None)
    bringup.bring_up_all(draft, bringup.Stage(want, made, intent.stopped_containers), facts)
    return draft.plan("it is missing")


def _infra_stuck(draft: Draft, seen: ObservedPod, facts: Facts) -> str:
    """Say that the infra container is past help: Podman removes it with its pod only."""
    infra, memory = seen.infra, draft.of(INFRA)
    if infra is None or memory.stuck is None:
        return ""
    step = stuck.due(infra, memory, facts, draft.now)
    if step and step.action is None:
        draft.memories[INFRA] = memory = step.memory
        draft.notes.append(step.note)
    if memory.stuck is None or not {stuck.REMOVE, stuck.FORCE} & set(memory.stuck.done):
        return ""
    return stuck.words(infra, memory.stuck, facts)


def _replace(draft: Draft, want: PodSpec, intent: Intent, seen: ObservedPod, why: str, facts: Facts) -> Plan:
    """Make a changed pod anew, once all its images and the pods that it needs are here."""
    if not intent.stopped:
        if not bringup.prepare(draft, want, facts):
            return draft.plan(f"{why}; waits for images before anything stops")
        needs = [message for spec in want.every if (message := references.missing(want, spec))]
        if needs:
            draft.waiting[INFRA] = ("CreateContainerConfigError", needs[0])
            return draft.plan(f"{why}; waits before anything stops: {needs[0]}")
        waits = dependencies.waits(want, facts)
        if waits:
            return _wait(draft, (waits[0], f"{why}; {waits[1]} before anything stops"))
    return _clear(draft, seen, why, facts, with_volumes=False)


def _wait(draft: Draft, waits: tuple[str, str]) -> Plan:
    """Wait for other pods: whoever sees them change has us look again, and a timer in case that nobody does."""
    draft.waiting[INFRA] = waits
    draft.wake(draft.now.boottime + RESYNC_S)
    return draft.plan(waits[1])


def _stop(draft: Draft, want: PodSpec, seen: ObservedPod, facts: Facts) -> Plan:
    """Stop all containers, then the infra container: the ports are free, the containers are kept."""
    why = "stopped by an operator"
    busy = teardown.take_down_all(draft, want, seen, why, facts)
    strangers = [c for c in naming.strangers(seen, facts.owner) if c.state.alive]
    if not busy and not strangers and seen.infra is not None and seen.infra.state.alive:
        memory = draft.of(INFRA)
        infra_rule = Rule(want.grace_s, MAIN_ONLY)
        draft.take(INFRA, containers.take_down(seen.infra, memory, why, infra_rule, facts, draft.now, remove=False))
    return draft.plan(why)


def _start_infra(draft: Draft, want: PodSpec, seen: ObservedPod, infra: ObservedContainer, facts: Facts) -> bool:
    """Have the infra container started; say whether containers may be started after it in the same plan."""
    memory = draft.of(INFRA)
    held = containers.unstuck(infra, memory, "the pod's infra container is stuck", facts, draft.now)
    held = held or containers.until_recorded(infra, memory, facts, draft.now)
    if held:
        draft.take(INFRA, held)
        return False
    if naming.infra_running(seen):
        return True
    if infra.state in {ContainerState.REMOVING, ContainerState.UNKNOWN, ContainerState.STOPPING}:
        draft.waiting[INFRA] = ("Exiting", f"the infra container is {infra.state}")
        draft.wake(draft.now.boottime + LOOK_AGAIN_S)
        return False
    waits = dependencies.waits(want, facts)
    if waits:
        draft.waiting[INFRA] = waits
        draft.wake(draft.now.boottime + RESYNC_S)
        return False
    trouble = troubles.active(draft.memory.troubles, INFRA, draft.now)
    if trouble:
        draft.waiting[INFRA] = ("StartPodError", trouble.message)
        draft.wake(trouble.retry_at)
        return False
    if memory.not_before > draft.now.boottime:
        draft.waiting[INFRA] = ("CrashLoopBackOff", f"the infra container: {memory.failures} failures in a row")
        draft.wake(memory.not_before)
        return False
    draft.actions.append(StartContainer(infra.id, INFRA, "the pod's infra container is not running"))
    draft.waiting[INFRA] = ("Starting", "the pod's infra container")
    return True


def _run(draft: Draft, want: PodSpec, stopped: frozenset[str], seen: ObservedPod, facts: Facts) -> Plan:
    """Bring every wanted container up and take every other one of ours down."""
    if seen.infra is None:
        raise ValueError("a pod without infra is replaced, not run")
    may_start = _start_infra(draft, want, seen, seen.infra, facts)
    found = naming.by_name(seen, facts.owner)
    rule = Rule(want.grace_s, want.stop, naming.shares_pids(seen))
    draft.memory = replace(draft.memory, ending_since=None)
    whys = bringup.bring_up_all(draft, bringup.Stage(want, seen, stopped, may_start), facts)
    kept = {c.id for name, c in found.items() if want.container(name) is not None}
    for container in naming.ours(seen, facts.owner):
        if container.id not in kept:
            name = container.label(CONTAINER_LABEL)
            memory = draft.of(name)
            decision = containers.take_down(
                container, memory, "no longer in the manifest", rule, facts, draft.now, remove=True
            )
            draft.take(name, decision)
            whys.append(f"{name}: no longer in the manifest")
    return draft.plan("; ".join(whys) or AS_DESIRED)
