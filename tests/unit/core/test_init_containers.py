"""Init containers and sidecars: the way into service, and out of it."""

from dataclasses import replace
from typing import Any

import pytest
from core.world import CLIENT, POD, WEB, World, kinds

from podsupd.model.observed import ContainerState
from podsupd.model.plan import (
    CreateContainer,
    ImageFact,
    ImageState,
    Intent,
    SignalContainer,
    StartContainer,
    Verdict,
)
from podsupd.model.spec import (
    ContainerSpec,
    HttpGet,
    PodSpec,
    ProbeSpec,
    ProbeType,
    RestartPolicy,
    Vantage,
)

ONE = ContainerSpec("one", "one", "busybox")
TWO = ContainerSpec("two", "two", "busybox")
PROBE = ProbeSpec("car/startup", ProbeType.STARTUP, Vantage.POD, HttpGet(80), "car")
CAR = ContainerSpec("car", "car", "busybox", restart_policy=RestartPolicy.ALWAYS)
MAINS = (replace(WEB, probes=()), replace(CLIENT, probes=()))


def pod(*inits: ContainerSpec, **changes: Any) -> PodSpec:
    """Return a pod of two containers with these init containers."""
    return replace(POD, containers=MAINS, probes=(), init_containers=inits, **changes)


def begun(*inits: ContainerSpec, **changes: Any) -> World:
    """Return a world whose pod was made and has begun."""
    world = World(want=pod(*inits, **changes))
    world.turn()
    return world


def started(world: World) -> list[str]:
    """Name the containers in the order of their starts."""
    return [a.container for a in world.done if isinstance(a, StartContainer) and a.container]


def stopped(world: World) -> list[str]:
    """Name the containers in the order of their stops."""
    return [a.container for a in world.done if isinstance(a, SignalContainer) and a.container]


def end(world: World, name: str, code: int = 0) -> None:
    """End a container and let the planner act until it waits."""
    world.crash(name, code)
    world.turn()
    world.turn()


def in_service(*inits: ContainerSpec, **changes: Any) -> World:
    """Return a world whose pod runs, with nothing noted of how it came there."""
    world = World(want=pod(*inits, **changes), codes={"one": 0, "two": 0})
    world.settle()
    world.codes.clear()
    world.done.clear()
    return world


def test_each_waits_for_the_one_before_it() -> None:
    """Nothing starts before the step before it has ended well, and everyone says what they wait for."""
    world = begun(ONE, TWO)
    assert started(world) == ["one"]
    made = world.turn()
    assert {n: w for n, (_, w) in made.waiting.items()} == dict.fromkeys(
        ("two", "web", "client"), "waits for init container one"
    )
    assert [type(a) for a in made.actions] == []
    end(world, "one")
    assert started(world) == ["one", "two"]
    end(world, "two")
    assert started(world) == ["one", "two", "web", "client"]
    assert world.turn().settled


def test_images_of_all_are_fetched_while_the_first_works() -> None:
    """A slow registry and a slow step cost the longer of the two, not their sum."""
    world = World(want=pod(ONE))
    world.images["nginx"] = ImageFact(ImageState.ABSENT)
    world.turn()
    assert kinds(world)[-1] == "PullImage"
    assert [a.container.name for a in world.done if isinstance(a, CreateContainer)] == ["one"]


def test_a_step_that_fails_is_tried_again_with_a_growing_pause() -> None:
    """Always and OnFailure mean the same for a step: until it succeeds, and never after that."""
    world = begun(ONE)
    end(world, "one", 1)
    assert started(world) == ["one", "one"]
    end(world, "one", 1)
    made = world.turn()
    assert made.waiting["one"][0] == "CrashLoopBackOff"
    assert made.wake_at is not None
    world.now = made.wake_at
    world.turn()
    end(world, "one", 0)
    assert started(world) == ["one", "one", "one", "web", "client"]


def test_in_a_pod_that_tries_nothing_twice_a_failed_step_fails_the_pod() -> None:
    """The pod is Failed, its containers never start, and its sidecars end."""
    world = begun(CAR, ONE, restart_policy=RestartPolicy.NEVER)
    world.turn()
    end(world, "one", 3)
    made = world.settle()
    assert made.why == "init container one failed"
    assert world.named("car").state is ContainerState.EXITED
    assert started(world) == ["car", "one"]
    shown = world.status()
    assert shown.phase == "Failed"
    assert [c.state for c in shown.init_containers] == ["terminated", "terminated"]
    world.kill_infra()
    world.boot = "next"
    world.settle()
    assert started(world) == ["car", "one"]


def test_a_restart_of_the_daemon_repeats_nothing() -> None:
    """With or without its memory, podsupd sees what was done."""
    for lost in (False, True):
        world = in_service(ONE, CAR)
        if lost:
            world.memory = type(world.memory)()
        world.settle()
        assert world.done == []
        half = begun(ONE, TWO)
        end(half, "one")
        if lost:
            half.memory = type(half.memory)()
        half.turn()
        assert started(half) == ["one", "two"]


def test_a_new_sandbox_begins_from_the_first() -> None:
    """After a reboot, or the death of the infra container, the steps prepare the new sandbox as they did the old."""
    world = in_service(ONE, CAR, TWO)
    world.kill_infra()
    world.codes = {"one": 0, "two": 0}
    world.settle()
    assert started(world) == ["one", "car", "two", "web", "client"]
    assert world.memory.containers["web"].failures == 0


def test_a_step_that_is_removed_by_hand_afterwards_is_not_repeated() -> None:
    """Its work is done; only a new sandbox asks for it."""
    world = in_service(ONE)
    assert world.seen is not None
    world.seen = replace(world.seen, containers=tuple(c for c in world.seen.containers if c.name != "one"))
    assert world.settle().settled
    assert world.done == []


def test_a_changed_step_makes_the_pod_anew_and_a_changed_sidecar_only_itself() -> None:
    """What is prepared by a step is prepared again; a sidecar is replaced beside the others, which go on."""
    world = in_service(ONE, CAR)
    before = world.named("web").started_at
    world.want = pod(ONE, replace(CAR, env=(("A", "1"),)))
    world.settle()
    assert kinds(world) == ["SignalContainer", "RemoveContainer", "CreateContainer", "StartContainer"]
    assert world.named("web").started_at == before
    world.want = pod(replace(ONE, env=(("A", "1"),)), CAR)
    assert world.plan().why == "changed: initContainers"
    world.codes = {"one": 0}
    world.settle()
    assert kinds(world).count("CreatePod") == 1


def test_a_sidecar_gates_the_next_until_its_startup_probe_passes() -> None:
    """What is started after a proxy finds the proxy working."""
    world = begun(replace(CAR, probes=(PROBE,)), ONE)
    assert started(world) == ["car"]
    assert world.turn().waiting["one"][1] == "waits for init container car"
    verdict = Verdict("car/startup", world.named("car").incarnation, passing=True)
    world.facts = replace(world.facts, verdicts={"car/startup": verdict})
    world.turn()
    assert started(world) == ["car", "one"]


def test_a_sidecar_that_dies_later_comes_back_and_holds_up_nobody() -> None:
    """Always means always, also in a pod that tries nothing twice, and the others do not wait for it any more."""
    world = in_service(CAR, restart_policy=RestartPolicy.NEVER)
    world.crash("car", 0)
    world.turn()
    assert started(world) == ["car"]
    assert world.turn().settled


def test_sidecars_end_last_in_reverse_and_one_after_the_other() -> None:
    """A log shipper or proxy is there until the last of those it serves has ended."""
    world = in_service(CAR, replace(CAR, name="log", runtime_name="log"))
    world.want = None
    world.settle()
    assert stopped(world) == ["web", "client", "log", "car"]
    assert world.seen is None


def test_sidecars_share_the_grace_period_and_have_two_seconds_at_least() -> None:
    """A pod's stop takes its grace period, not one for each wave."""
    world = in_service(CAR, grace_s=10.0)
    world.obeys = False
    world.want = None
    began = world.now
    world.settle()
    assert stopped(world) == ["web", "client", "web", "client", "car", "car"]
    assert world.now - began == pytest.approx(12.0)


def test_an_operators_stop_and_start_keep_the_order() -> None:
    """A stopped pod starts as a new one does."""
    world = in_service(ONE, CAR)
    world.intent = Intent(stopped=True)
    world.settle()
    assert stopped(world) == ["web", "client", "car"]
    world.intent = Intent()
    world.codes = {"one": 0}
    world.settle()
    assert started(world) == ["one", "car", "web", "client"]


def test_a_restart_of_the_pod_repeats_no_step() -> None:
    """Podsupd restart makes no new sandbox, so what was prepared stays prepared."""
    world = in_service(ONE, CAR)
    world.intent = Intent(restart_generation=1)
    world.settle()
    assert sorted(started(world)) == ["car", "client", "web"]


def test_sidecars_end_when_the_others_have_done_their_work() -> None:
    """A job with a proxy comes to its end."""
    world = in_service(CAR, restart_policy=RestartPolicy.ON_FAILURE)
    world.crash("web", 0)
    world.crash("client", 0)
    world.settle()
    assert stopped(world) == ["car"]
    assert world.status().phase == "Succeeded"
    assert world.settle().settled


def test_an_edit_of_a_finished_pod_runs_it_anew_with_its_sidecars() -> None:
    """A job that is changed is done again."""
    world = in_service(CAR, restart_policy=RestartPolicy.NEVER)
    world.crash("web", 0)
    world.crash("client", 0)
    world.settle()
    world.done.clear()
    web, client = MAINS
    world.want = replace(
        pod(CAR, restart_policy=RestartPolicy.NEVER), containers=(replace(web, image="busybox"), client)
    )
    world.settle()
    assert sorted(started(world)) == ["car", "web"]


def test_a_container_may_have_a_restart_policy_of_its_own() -> None:
    """One container of a pod may end for good while the other is restarted."""
    web, client = MAINS
    want = replace(POD, probes=(), containers=(web, replace(client, restart_policy=RestartPolicy.NEVER)))
    world = World(want=want)
    world.settle()
    world.done.clear()
    world.crash("client", 1)
    world.crash("web", 1)
    world.settle()
    assert started(world) == ["web"]
    assert world.status().phase == "Running"


def test_the_status_says_how_far_it_is() -> None:
    """Kubernetes' words: Pending and not Initialized while a step works, ready when it has ended well."""
    world = begun(ONE, TWO)
    end(world, "one")
    shown = world.status()
    assert shown.phase == "Pending"
    (condition,) = [c for c in shown.conditions if c.type == "Initialized"]
    assert (condition.status, condition.message) == ("False", "containers with incomplete status: [two]")
    assert [(c.ready, c.state, c.reason) for c in shown.init_containers] == [
        (True, "terminated", "Completed"),
        (False, "running", ""),
    ]
    assert {c.reason for c in shown.containers} == {"PodInitializing"}
    end(world, "two")
    shown = world.status()
    assert shown.phase == "Running"
    assert shown.ready
