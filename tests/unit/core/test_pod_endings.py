"""Pods that come to an end: deadlines, jobs, and who is restarted."""

from dataclasses import replace
from typing import Any

import pytest
from core.world import CLIENT, POD, WEB, World, kinds

from podsupd.model.plan import CreateContainer, Intent, SignalContainer, StartContainer
from podsupd.model.spec import BackoffSpec, JobSpec, PodSpec, RestartPolicy, RestartRule

MAIN = replace(CLIENT, name="main", runtime_name="main", probes=())


def pod(**changes: Any) -> PodSpec:
    """Return a pod of one container."""
    return replace(POD, containers=(MAIN,), probes=(), **changes)


def job(limit: int = 2, ttl_s: float | None = None, **changes: Any) -> PodSpec:
    """Return a job."""
    backoff = BackoffSpec(reset_s=1e9)
    return pod(job=JobSpec(limit, ttl_s), restart_policy=RestartPolicy.ON_FAILURE, backoff=backoff, **changes)


def up(want: PodSpec) -> World:
    """Return a world whose pod runs."""
    world = World(want=want)
    world.settle()
    world.done.clear()
    world.notes.clear()
    return world


def reasons(world: World) -> list[str]:
    """Return the reasons of what was told."""
    return [n.reason for n in world.notes]


def starts(world: World) -> int:
    """Count the starts of containers."""
    return sum(isinstance(a, StartContainer) and bool(a.container) for a in world.done)


def test_a_pod_ends_with_its_active_deadline() -> None:
    """Its containers are stopped gracefully, it is Failed, and stays so over a reboot."""
    world = up(pod(active_deadline_s=60.0))
    made = world.turn()
    assert made.wake_at == world.now + 60
    world.now += 60
    world.settle()
    assert [a.signal for a in world.done if isinstance(a, SignalContainer)] == ["SIGTERM"]
    assert "DeadlineExceeded" in reasons(world)
    assert world.status().phase == "Failed"
    world.kill_infra()
    world.boot = "next"
    world.settle()
    assert starts(world) == 0


def test_an_edit_gives_a_pod_its_time_anew() -> None:
    """Whoever changes the manifest wants it to run."""
    world = up(pod(active_deadline_s=60.0))
    world.now += 60
    world.settle()
    world.want = pod(active_deadline_s=90.0)
    world.settle()
    assert world.named("main").state.alive
    assert world.status().phase == "Running"
    world.now += 89
    assert world.turn().settled


def test_a_job_that_succeeds_is_done_once() -> None:
    """Not again after a reboot, and not when somebody removes its pod by hand; a changed manifest is another job."""
    world = up(job())
    world.crash("main", 0)
    world.settle()
    assert reasons(world)[-1] == "Completed"
    assert world.status().phase == "Succeeded"
    world.kill_infra()
    world.boot = "next"
    world.settle()
    world.seen = None
    assert world.settle().why == "its job is done"
    assert starts(world) == 0
    assert world.status().phase == "Succeeded"
    web = replace(MAIN, args=("again",))
    world.want = replace(job(), containers=(web,))
    world.settle()
    assert kinds(world)[-3:] == ["CreatePod", "CreateContainer", "StartContainer"]


def test_a_job_that_is_done_runs_again_when_an_operator_asks() -> None:
    """Podsupd restart is how to do it once more; a container that somebody removed is not."""
    world = up(job())
    world.crash("main", 0)
    world.settle()
    assert world.seen is not None
    world.seen = replace(world.seen, containers=())
    assert world.settle().why == "its job is done"
    assert starts(world) == 0
    world.intent = Intent(restart_generation=1)
    world.settle()
    assert starts(world) == 1
    assert world.status().phase == "Running"


def test_a_job_is_given_up_after_its_failures() -> None:
    """BackoffLimit failures are borne, with growing pauses; the next one ends the job, however far apart they are."""
    world = up(job(limit=2))
    for _ in range(2):
        world.now += 5000
        world.crash("main", 1)
        world.settle()
        assert world.named("main").state.alive
    world.now += 5000
    world.crash("main", 1)
    world.settle()
    assert starts(world) == 2
    assert reasons(world)[-1] == "BackoffLimitExceeded"
    assert world.status().phase == "Failed"


def test_a_job_is_removed_when_its_time_to_live_is_over() -> None:
    """The pod goes with its volumes, its outcome is still shown, and it does not begin anew."""
    world = up(job(ttl_s=100.0))
    world.crash("main", 0)
    made = world.turn()
    world.turn()
    assert made.wake_at == world.now + 100
    world.now += 100
    world.settle()
    assert kinds(world)[-1] == "RemovePod"
    assert world.seen is None
    assert world.settle().settled
    assert world.status().phase == "Succeeded"


def test_a_job_that_takes_too_long_is_given_up() -> None:
    """Its deadline is that of its pod."""
    world = up(job(active_deadline_s=60.0))
    world.now += 60
    world.settle()
    assert "DeadlineExceeded" in reasons(world)
    assert "BackoffLimitExceeded" not in reasons(world)
    assert world.status().phase == "Failed"
    assert starts(world) == 0


@pytest.mark.parametrize(
    ("policy", "rules", "code", "again"),
    [
        (RestartPolicy.NEVER, (), 3, False),
        (RestartPolicy.NEVER, (RestartRule(frozenset({3})),), 3, True),
        (RestartPolicy.NEVER, (RestartRule(frozenset({3})),), 4, False),
        (RestartPolicy.NEVER, (RestartRule(frozenset({3}), among=False),), 4, True),
        (RestartPolicy.NEVER, (RestartRule(frozenset({3}), among=False),), 3, False),
        (RestartPolicy.NEVER, (RestartRule(frozenset({3})), RestartRule(frozenset({4}))), 4, True),
        (RestartPolicy.ON_FAILURE, (RestartRule(frozenset({0})),), 0, True),
        (RestartPolicy.ON_FAILURE, (RestartRule(frozenset({5})),), 3, True),
        (RestartPolicy.ON_FAILURE, (RestartRule(frozenset({5})),), 0, False),
        (RestartPolicy.ALWAYS, (RestartRule(frozenset({5})),), 0, True),
    ],
)
def test_rules_come_before_the_policy(
    policy: RestartPolicy,
    rules: tuple[RestartRule, ...],
    code: int,
    again: bool,  # noqa: FBT001
) -> None:
    """What matches a rule is restarted; of the rest the container's own policy decides."""
    main = replace(MAIN, restart_policy=policy, restart_rules=rules)
    world = up(replace(pod(restart_policy=RestartPolicy.NEVER), containers=(main, replace(WEB, probes=()))))
    world.crash("main", code)
    world.settle()
    assert starts(world) == int(again)
    assert not any(isinstance(a, CreateContainer) for a in world.done)
