"""Hooks of a container's life: postStart and preStop."""

from dataclasses import replace
from typing import Any

import pytest
from core.world import POD, WEB, World, kinds

from podsupd.core.hooks import POST_START_S
from podsupd.model.life import HookFact, HookKind
from podsupd.model.observed import ContainerState
from podsupd.model.plan import Intent, RunHook, SignalContainer
from podsupd.model.spec import ContainerSpec, ExecCommand, Hook, HttpGet, PodSpec, RestartPolicy, Sleep

COMMAND = ExecCommand(("prepare",))


def pod(post: Hook | None = None, pre: Hook | None = None, **changes: Any) -> PodSpec:
    """Return a pod of one container with these hooks."""
    web = replace(WEB, probes=(), post_start=post, pre_stop=pre)
    return replace(POD, containers=(web,), probes=(), **changes)


def up(post: Hook | None = None, pre: Hook | None = None, **changes: Any) -> World:
    """Return a world whose pod runs."""
    world = World(want=pod(post, pre, **changes))
    world.settle()
    world.done.clear()
    world.notes.clear()
    return world


def reasons(world: World) -> list[str]:
    """Return the reasons of all that was told."""
    return [n.reason for n in world.notes]


def end(world: World, kind: HookKind, failed: str = "", warning: str = "") -> None:
    """Have a hook that hangs end."""
    key = f"web/{kind}"
    fact = replace(world.facts.hooks[key], ended=True, failed=failed, warning=warning)
    world.facts = replace(world.facts, hooks={key: fact})


def signals(world: World) -> list[str]:
    """Return the signals that went to the container."""
    return [a.signal for a in world.done if isinstance(a, SignalContainer) and a.container]


def test_a_container_is_not_ready_before_its_post_start_hook_has_ended() -> None:
    """Nobody is sent to a container that is still being prepared; the hook runs once a life."""
    world = World(want=pod(COMMAND), hooks="hang")
    world.turn()
    made = world.turn()
    assert kinds(world) == ["CreatePod", "CreateContainer", "StartContainer", "RunHook"]
    assert made.waiting["web"] == ("PostStartHook", "its postStart hook runs")
    shown = world.status().containers[0]
    assert (shown.state, shown.started, shown.ready) == ("running", False, False)
    for _ in range(3):
        assert world.turn().actions == ()
    end(world, HookKind.POST_START)
    assert world.turn().settled
    assert world.status().ready
    world.crash("web")
    world.turn()
    world.turn()
    assert kinds(world)[-2:] == ["StartContainer", "RunHook"]


def test_a_failed_post_start_hook_has_its_container_killed_and_counts() -> None:
    """As in Kubernetes: told, stopped, and tried again with a growing pause."""
    world = World(want=pod(COMMAND), hooks="fail")
    for _ in range(9):
        world.turn()
    assert "FailedPostStartHook" in reasons(world)
    assert world.memory.containers["web"].failures == 2
    assert world.turn().waiting["web"][0] == "CrashLoopBackOff"
    assert signals(world) == ["SIGTERM", "SIGTERM"]


def test_a_pod_that_tries_nothing_twice_fails_with_its_hook() -> None:
    """RestartPolicy holds for this end of a container as for any other."""
    world = World(want=pod(COMMAND, restart_policy=RestartPolicy.NEVER), hooks="fail")
    world.settle()
    assert kinds(world).count("StartContainer") == 1
    assert world.named("web").state is ContainerState.EXITED


def test_a_hook_that_cannot_be_run_here_kills_nobody() -> None:
    """What this host cannot do is told; the container is not to blame."""
    world = World(want=pod(COMMAND), hooks="hang")
    world.turn()
    world.turn()
    end(world, HookKind.POST_START, warning="cannot enter the pod's network namespace")
    assert world.turn().settled
    assert reasons(world)[-1] == "FailedPostStartHook"
    assert world.named("web").state.alive


def test_hooks_are_begun_again_by_the_next_daemon_and_not_after_their_end() -> None:
    """At least once: what a daemon that was killed had begun is not forgotten, what had ended is not repeated."""
    world = World(want=pod(COMMAND), hooks="hang")
    world.turn()
    world.turn()
    world.facts = replace(world.facts, hooks={})
    world.turn()
    assert kinds(world)[-2:] == ["RunHook", "RunHook"]
    end(world, HookKind.POST_START)
    world.settle()
    world.facts = replace(world.facts, hooks={})
    assert world.settle().settled
    assert kinds(world).count("RunHook") == 2


def test_a_pod_that_runs_gets_no_hook_that_comes_later_or_was_forgotten() -> None:
    """An edit of the hook is for the next start; with the state lost a running container has had its hook."""
    world = up(None)
    world.want = pod(COMMAND)
    assert world.settle().settled
    assert world.done == []
    world = up(COMMAND)
    world.memory = type(world.memory)()
    world.facts = replace(world.facts, hooks={})
    assert world.settle().settled
    assert world.done == []


def test_a_post_start_sleep_is_time_that_passes() -> None:
    """It costs nothing but a wait, and survives the daemon."""
    world = World(want=pod(Sleep(7.0)))
    world.turn()
    made = world.turn()
    assert made.wake_at == world.now + 7
    world.now += 7
    assert world.turn().settled


@pytest.mark.parametrize("hook", [COMMAND, HttpGet(80)])
def test_the_signal_follows_the_pre_stop_hook(hook: Hook) -> None:
    """A server can leave its load balancer before it is told to end."""
    world = up(None, hook)
    world.hooks = "hang"
    world.intent = Intent(stopped=True)
    made = world.turn()
    (action,) = made.actions
    assert isinstance(action, RunHook)
    assert (action.kind, action.hook, action.timeout_s) == (HookKind.PRE_STOP, hook, 30.0)
    assert made.waiting["web"] == ("Stopping", "stopped by an operator; its preStop hook runs")
    world.now += 5
    assert world.turn().actions == ()
    end(world, HookKind.PRE_STOP)
    world.turn()
    assert signals(world) == ["SIGTERM"]


def test_the_pre_stop_hook_counts_within_the_grace_period() -> None:
    """It has what the manifest gives the whole stop, the signal what is left, and SIGKILL comes in time."""
    world = up(None, COMMAND, grace_s=10.0)
    world.hooks, world.obeys = "hang", False
    world.want = None
    began = world.now
    world.turn()
    world.now += 4
    end(world, HookKind.PRE_STOP)
    world.settle()
    assert signals(world) == ["SIGTERM", "SIGKILL"]
    assert world.now == began + 10


def test_a_hook_that_takes_the_whole_grace_period_leaves_two_seconds() -> None:
    """As in the kubelet: who handles the signal quickly is not killed for the hook's sake; and the hook is told of."""
    world = up(None, COMMAND, grace_s=10.0)
    world.hooks, world.obeys = "hang", False
    world.want = None
    began = world.now
    world.settle()
    assert signals(world) == ["SIGTERM", "SIGKILL"]
    assert world.now == began + 12
    assert "FailedPreStopHook" in reasons(world)


def test_a_failed_pre_stop_hook_is_told_and_the_stop_goes_on() -> None:
    """Nothing keeps a container from being stopped."""
    world = up(None, COMMAND)
    world.hooks = "fail"
    world.intent = Intent(stopped=True)
    world.settle()
    assert signals(world) == ["SIGTERM"]
    assert reasons(world).count("FailedPreStopHook") == 1


def test_without_a_grace_period_there_is_no_hook() -> None:
    """Who says 0 wants it gone."""
    world = up(None, COMMAND, grace_s=0.0)
    world.intent = Intent(stopped=True)
    world.settle()
    assert "RunHook" not in kinds(world)


def test_a_shorter_grace_ends_the_hook() -> None:
    """The newest wish counts during the hook as during the rest of a stop."""
    world = up(None, COMMAND)
    world.hooks = "hang"
    world.intent = Intent(stopped=True)
    world.turn()
    world.now += 3
    world.want = pod(None, COMMAND, grace_s=2.0)
    world.turn()
    assert signals(world) == ["SIGTERM"]


def test_a_container_that_its_hook_ends_was_stopped_by_us() -> None:
    """Nginx -s quit in a preStop is a stop, not a crash, and nothing more is sent."""
    world = up(None, COMMAND)
    world.hooks = "hang"
    world.intent = Intent(restart_generation=1)
    world.turn()
    world.crash("web", 0)
    world.settle()
    assert signals(world) == []
    assert world.memory.containers["web"].failures == 0
    assert "Stopped" in reasons(world)


def test_a_stop_that_is_taken_back_after_its_hook_began_is_finished() -> None:
    """Half shut down it is of no use, however it was told; a pause that only passes can be taken back."""
    world = up(None, COMMAND)
    world.hooks = "hang"
    world.intent = Intent(stopped=True)
    world.turn()
    world.intent = Intent()
    end(world, HookKind.PRE_STOP)
    world.settle()
    assert signals(world) == ["SIGTERM"]
    world = up(None, Sleep(5.0))
    world.intent = Intent(stopped=True)
    world.turn()
    world.intent = Intent()
    assert world.settle().settled
    assert signals(world) == []


def test_a_removed_pod_has_its_hook_still() -> None:
    """The manifest's last word holds when the manifest is gone."""
    world = up(None, COMMAND)
    world.want = None
    world.settle()
    assert kinds(world)[:2] == ["RunHook", "SignalContainer"]


def test_a_sidecar_gates_until_its_hook_has_ended() -> None:
    """What a sidecar prepares at its start is there for those after it."""
    car = ContainerSpec("car", "car", "busybox", restart_policy=RestartPolicy.ALWAYS, post_start=COMMAND)
    world = World(want=replace(pod(), init_containers=(car,)), hooks="hang")
    for _ in range(3):
        world.turn()
    assert kinds(world)[-1] == "RunHook"
    key = f"car/{HookKind.POST_START}"
    world.facts = replace(world.facts, hooks={key: HookFact(world.named("car").incarnation, ended=True)})
    world.settle()
    assert world.named("web").state.alive


def test_a_post_start_hook_has_a_deadline() -> None:
    """Kubernetes waits for ever; here it is given up."""
    world = World(want=pod(COMMAND))
    world.turn()
    (action,) = world.plan().actions
    assert isinstance(action, RunHook)
    assert action.timeout_s == POST_START_S
