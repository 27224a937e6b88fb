"""Pods that come to an end: a deadline for how long they may run, and jobs that are done once."""

from dataclasses import replace

from podsupd.core import initializing, naming, specs
from podsupd.model.life import Active, Done
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import Facts, Note, Now, PodMemory
from podsupd.model.spec import PodSpec

DEADLINE = "DeadlineExceeded"


def _mark(want: PodSpec, memory: PodMemory) -> str:
    """Name what an end is the end of: all that the manifest says, or a run of a CronJob."""
    return specs.wish(want) if memory.cron is None else f"run {memory.cron.run}"


def observe_deadline(
    want: PodSpec, seen: ObservedPod | None, memory: PodMemory, now: Now
) -> tuple[PodMemory, tuple[Note, ...]]:
    """Note since when a pod runs, and that its time is over; an edit gives it its time anew."""
    if want.active_deadline_s is None or seen is None:
        return replace(memory, active=None), ()
    if not naming.infra_running(seen):
        return memory, ()
    mark, active = _mark(want, memory), memory.active
    if active is None or (active.pod_id, active.fingerprint) != (seen.id, mark):
        active = Active(seen.id, mark, now.boottime, now.boot_id)
    elif active.boot_id != now.boot_id:
        # Time of another boot cannot be told from this one's: a reboot gives a pod its whole time again.
        active = replace(active, since=now.boottime, boot_id=now.boot_id)
    notes: tuple[Note, ...] = ()
    if not active.expired and now.boottime >= active.since + want.active_deadline_s:
        active = replace(active, expired=True)
        notes = (Note("Warning", DEADLINE, f"pod {want.name} was active for {want.active_deadline_s:g} s"),)
    return replace(memory, active=active), notes


def expired(want: PodSpec, memory: PodMemory) -> bool:
    """Say whether the pod has run for as long as it may."""
    return want.active_deadline_s is not None and memory.active is not None and memory.active.expired


def expires_at(want: PodSpec, memory: PodMemory) -> float | None:
    """Return the boottime at which the pod's time is over, None without a deadline ahead."""
    if want.active_deadline_s is None or memory.active is None or expired(want, memory):
        return None
    return memory.active.since + want.active_deadline_s


def observe_job(
    want: PodSpec, seen: ObservedPod | None, facts: Facts, memory: PodMemory, now: Now
) -> tuple[PodMemory, tuple[Note, ...]]:
    """Note that a job is done, once; it is another when the file says anything else, or an operator asks for it."""
    if want.job is None:
        return replace(memory, done=None), ()
    if memory.cron and (memory.cron.fresh or memory.cron.run is None):
        return memory, ()
    mark = _mark(want, memory)
    asked = any(memory.containers[c.name].start_requested for c in want.containers if c.name in memory.containers)
    if memory.done is not None and memory.done.fingerprint == mark and not asked:
        if memory.done.boot_id != now.boot_id:
            memory = replace(memory, done=replace(memory.done, at=now.boottime, boot_id=now.boot_id))
        return memory, ()
    memory = replace(memory, done=None)
    found = naming.by_name(seen, facts.owner) if seen else {}
    failed = initializing.failed(want, found, memory.containers) or expired(want, memory)
    if not failed and not initializing.finished(want, found, memory.containers):
        return memory, ()
    succeeded = not failed and all(found[c.name].exit_code == 0 for c in want.containers)
    memory = replace(memory, done=Done(mark, now.boottime, now.boot_id, succeeded))
    if succeeded:
        return memory, (Note("Normal", "Completed", f"job {want.name} is done"),)
    if expired(want, memory):
        return memory, ()
    return memory, (Note("Warning", "BackoffLimitExceeded", f"job {want.name} is given up"),)


def remove_at(want: PodSpec, memory: PodMemory) -> float | None:
    """Return the boottime at which a job that is done is removed, None for one that stays."""
    if want.job is None or memory.done is None:
        return None
    if want.cron and not (want.cron.keep_succeeded if memory.done.succeeded else want.cron.keep_failed):
        return memory.done.at
    if want.job.ttl_s is None:
        return None
    return memory.done.at + want.job.ttl_s
