"""CronJobs: what is run when, whatever the clock, the daemon and the runs themselves do."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from core.test_rollout import pass_time
from core.world import CLIENT, MIDNIGHT, POD, World, kinds

from podsupd.core.cron import following, latest
from podsupd.model.observed import ContainerState
from podsupd.model.plan import CreatePod, Intent, RemovePod
from podsupd.model.spec import CronSpec, JobSpec, PodSpec, RestartPolicy

HOUR, DAY = 3600.0, 86400.0
HOURLY = CronSpec("0 * * * *")


def job(cron: CronSpec = HOURLY, **changes: object) -> PodSpec:
    """Return a job of one container that is run at every full hour."""
    made = replace(POD, containers=(replace(CLIENT, probes=()),), probes=(), restart_policy=RestartPolicy.ON_FAILURE)
    return replace(made, job=JobSpec(), cron=cron, **changes)  # type: ignore[arg-type]


def world(cron: CronSpec = HOURLY, code: int | None = 0, **changes: object) -> World:
    """Return a world at midnight with a job whose runs end at once with this code, or not by themselves."""
    made = World(want=job(cron, **changes), codes={} if code is None else {"client": code})
    made.turn()
    return made


def runs(world: World) -> list[str]:
    """Return the hours and minutes of the runs that were begun."""
    return [n.message.split("T")[1][:5] for n in world.notes if n.reason == "JobStarted"]


def count(world: World, action: type) -> int:
    """Count what was done."""
    return sum(isinstance(a, action) for a in world.done)


def set_clock(world: World, seconds: float) -> None:
    """Put the wall clock forward, or back."""
    world.ahead += seconds


def test_nothing_runs_before_its_time() -> None:
    """A new CronJob waits for the next time of its schedule, and says for which."""
    made = world()
    pass_time(made, HOUR - 1)
    assert made.done == []
    assert made.turn().why == "the next run is due at 2026-11-22T01:00Z"
    assert made.status().phase == "Pending"


def test_each_run_is_a_pod_of_its_own() -> None:
    """The one before stays to be looked at until the next, which begins with nothing of it."""
    made = world()
    pass_time(made, HOUR)
    assert runs(made) == ["01:00"]
    assert made.status().phase == "Succeeded"
    assert made.turn().why == "the next run is due at 2026-11-22T02:00Z; its job is done"
    first = made.named("client").id
    pass_time(made, HOUR - 1)
    assert made.named("client").id == first
    pass_time(made, 1)
    made.settle()
    assert runs(made) == ["01:00", "02:00"]
    assert made.named("client").id != first
    assert (count(made, CreatePod), count(made, RemovePod)) == (2, 1)
    assert kinds(made).count("StartContainer") == 2


def test_a_run_that_fails_is_tried_as_a_job_is_and_the_next_begins_anew() -> None:
    """Its failures are its own: the next run has the whole backoffLimit."""
    made = world(code=1, backoff=replace(POD.backoff, max_s=60.0))
    pass_time(made, HOUR * 1.9)
    assert made.status().phase == "Failed"
    assert made.memory.containers["client"].failures == 7
    pass_time(made, HOUR * 0.1 + 5)
    assert runs(made) == ["01:00", "02:00"]
    assert made.memory.containers["client"].failures == 2


def test_a_run_that_goes_on_is_waited_for() -> None:
    """Forbid, and Allow where there is one pod: of what is due meanwhile the newest begins when the run has ended."""
    made = world(code=None)
    pass_time(made, 3.5 * HOUR)
    assert runs(made) == ["01:00"]
    assert made.named("client").state is ContainerState.RUNNING
    made.crash("client", 0)
    pass_time(made, 60)
    assert runs(made) == ["01:00", "03:00"]


def test_replace_ends_the_run_that_goes_on() -> None:
    """With its grace period, and a pod of its own for the next."""
    made = world(replace(HOURLY, replace=True), code=None)
    pass_time(made, 2.5 * HOUR)
    assert runs(made) == ["01:00", "02:00"]
    assert kinds(made).count("SignalContainer") >= 1
    assert made.named("client").state is ContainerState.RUNNING
    assert count(made, CreatePod) == 2


def test_what_is_suspended_begins_when_it_no_longer_is() -> None:
    """As in Kubernetes: the newest run that was missed is made up for, unless it is too late."""
    made = world(replace(HOURLY, suspend=True))
    pass_time(made, 2.5 * HOUR)
    assert made.done == []
    assert made.turn().why == "suspended"
    made.want = job()
    made.settle()
    assert runs(made) == ["02:00"]
    made.want = job(replace(HOURLY, suspend=True))
    pass_time(made, 2.6 * HOUR)
    made.want = job(replace(HOURLY, deadline_s=60.0))
    pass_time(made, 60)
    assert runs(made) == ["02:00"]
    assert [n.reason for n in made.notes].count("MissSchedule") == 1


def test_a_host_that_was_off_makes_up_for_one_run() -> None:
    """Eight hours without the daemon are one run late, not eight at once, and none is begun twice after a restart."""
    made = world()
    pass_time(made, HOUR)
    made.now += 8.5 * HOUR
    made.boot = "next"
    made.settle()
    assert runs(made) == ["01:00", "09:00"]
    made.memory = replace(made.memory)
    pass_time(made, 1000)
    assert runs(made) == ["01:00", "09:00"]


def test_a_run_that_is_too_late_is_given_up() -> None:
    """With startingDeadlineSeconds, and told once; the next is on time."""
    made = world(replace(HOURLY, deadline_s=600.0))
    made.now += 1.5 * HOUR
    pass_time(made, 0.6 * HOUR)
    assert runs(made) == ["02:00"]
    missed = [n for n in made.notes if n.reason == "MissSchedule"]
    assert len(missed) == 1
    assert "2026-11-22T01:00Z" in missed[0].message


@pytest.mark.parametrize("hours", [5, 24, 24 * 365 * 20])
def test_a_clock_put_forward_makes_up_for_one_run(hours: int) -> None:
    """A box without a clock of its own that learns the time runs once what is due, soon, and goes on from there."""
    made = world()
    pass_time(made, HOUR)
    set_clock(made, hours * HOUR)
    pass_time(made, 60)
    assert len(runs(made)) == 2
    pass_time(made, HOUR)
    assert len(runs(made)) == 3


def test_a_clock_put_back_repeats_nothing() -> None:
    """What was run is not run again for having its time come twice, as in Kubernetes."""
    made = world()
    pass_time(made, 3 * HOUR)
    assert runs(made) == ["01:00", "02:00", "03:00"]
    set_clock(made, -2 * HOUR)
    pass_time(made, 2.9 * HOUR)
    assert runs(made)[3:] == []
    pass_time(made, 0.2 * HOUR)
    assert runs(made)[3:] == ["04:00"]


def test_an_edit_begins_no_run() -> None:
    """What has ended stays ended until its next time, whatever the file says."""
    made = world()
    pass_time(made, HOUR)
    made.want = job(grace_s=3.0, labels={"a": "b"})
    pass_time(made, 100)
    assert runs(made) == ["01:00"]
    made.want = job(replace(HOURLY, schedule="30 * * * *"))
    pass_time(made, 0.6 * HOUR)
    assert runs(made) == ["01:00", "01:30"]


def test_history_limits_of_none_leave_no_pod() -> None:
    """Kept or not, by how the run ended."""
    for code, kept in ((0, False), (1, True)):
        made = world(replace(HOURLY, keep_succeeded=False), code=code, backoff=replace(POD.backoff, max_s=20.0))
        pass_time(made, 1.5 * HOUR)
        assert (made.seen is not None) is kept
        pass_time(made, HOUR)
        assert runs(made) == ["01:00", "02:00"]


def test_a_pod_of_before_is_the_present_run() -> None:
    """With the state directory lost a run that goes on goes on, and is not begun again at once."""
    made = world(code=None)
    pass_time(made, 1.5 * HOUR)
    made.memory = type(made.memory)()
    pass_time(made, 0.4 * HOUR)
    assert count(made, CreatePod) == 1
    assert made.named("client").state is ContainerState.RUNNING


def test_a_stopped_cron_job_rests() -> None:
    """`podsupd stop` holds for runs too."""
    made = world()
    made.intent = Intent(stopped=True)
    pass_time(made, 5 * HOUR)
    assert runs(made) == []
    made.intent = Intent()
    pass_time(made, 60)
    assert runs(made) == ["05:00"]


def test_an_ordinary_job_knows_no_schedule() -> None:
    """A file that turns a CronJob into a Job leaves nothing of it behind."""
    made = world()
    pass_time(made, HOUR)
    made.want = replace(job(), cron=None)
    made.settle()
    assert made.memory.cron is None


def at(text: str) -> float:
    """Return epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("after", "comes"),
    [
        ("2026-03-28T12:00", "2026-03-29T01:00"),  # 02:30 does not exist: at 03:00 instead
        ("2026-03-29T01:00", "2026-03-30T00:30"),
        ("2026-10-24T12:00", "2026-10-25T00:30"),  # 02:30 comes twice: the first counts
        ("2026-10-25T00:30", "2026-10-26T01:30"),
    ],
)
def test_a_nightly_run_is_neither_lost_nor_doubled_by_summer_time(after: str, comes: str) -> None:
    """A run at half past two is once a night in every night."""
    nightly = CronSpec("30 2 * * *", "Europe/Berlin")
    assert following(nightly, at(after)) == at(comes)
    assert latest(nightly, at(after), at(comes)) == at(comes)
    assert latest(nightly, at(after), at(comes) - 1) is None


def test_the_time_itself_counts_and_fractions_do_not() -> None:
    """A run is due at its very second."""
    assert latest(HOURLY, MIDNIGHT, MIDNIGHT + HOUR) == MIDNIGHT + HOUR
    assert latest(HOURLY, MIDNIGHT, MIDNIGHT + HOUR + 0.7) == MIDNIGHT + HOUR
    assert latest(HOURLY, MIDNIGHT, MIDNIGHT + HOUR - 0.1) is None
    assert latest(HOURLY, MIDNIGHT + HOUR, MIDNIGHT + 1.5 * HOUR) is None
    assert latest(HOURLY, MIDNIGHT + DAY, MIDNIGHT) is None
