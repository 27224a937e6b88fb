"""Pods that wait for other pods, and circles that no manifest may make."""

from dataclasses import replace

import pytest
from core.directory import DIR, after, pod, scan, state
from core.world import POD, World, kinds, running
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core.dependencies import WAITING, cycle, unmet
from podsupd.core.planner import RESYNC_S
from podsupd.model.desired import FileState
from podsupd.model.plan import Facts, ImageFact, ImageState
from podsupd.model.spec import PodSpec, PortSpec
from podsupd.model.status import Condition, PodStatus

LATE = replace(POD, after=("db", "net"))


def waiting(**reasons: str) -> World:
    """Return the world of a pod that is after db and net, which say this."""
    return World(want=LATE, facts=Facts("me", after={"db": "", "net": ""} | reasons))


def ready(world: World) -> None:
    """Have everything become Ready."""
    world.facts = replace(world.facts, after={"db": "", "net": ""})


def test_nothing_is_made_before_the_others_are_ready() -> None:
    """A pod whose database is not there yet does not start, and says what it waits for."""
    world = waiting(db="no manifest declares it")
    made = world.turn()
    assert made.actions == ()
    assert made.waiting[""] == (WAITING, "waits for db (no manifest declares it)")
    assert made.wake_at == world.now + RESYNC_S
    ready(world)
    world.settle()
    assert "CreatePod" in kinds(world)


def test_a_pod_that_nobody_looked_at_is_not_relied_on() -> None:
    """No word is not a yes."""
    assert World(want=LATE).plan().waiting[""][1] == "waits for db (not looked at yet), net (not looked at yet)"


def test_images_are_fetched_meanwhile() -> None:
    """What can be done before is done before."""
    world = waiting(net="Pending")
    world.images["nginx"] = ImageFact(ImageState.ABSENT)
    world.turn()
    assert kinds(world) == ["PullImage"]


def test_what_runs_goes_on_when_another_pod_fails() -> None:
    """A pod waits before its start only: what runs is not stopped, and its crashes are mended."""
    world = running()
    world.want = LATE
    world.facts = replace(world.facts, after={"db": "containers with unready status: [db]", "net": ""})
    assert world.turn().settled
    world.crash("web")
    world.settle()
    assert world.named("web").state.alive


def test_an_edit_does_not_stop_a_pod_that_could_not_start_again() -> None:
    """The old pod serves until the new one may start."""
    world = running()
    web, client = POD.containers
    world.want = replace(LATE, containers=(replace(web, ports=(PortSpec(80, host_port=1),)), client))
    world.facts = replace(world.facts, after={"db": "Pending", "net": ""})
    made = world.turn()
    assert made.actions == ()
    assert made.why.endswith("waits for db (Pending) before anything stops")
    ready(world)
    world.settle()
    assert kinds(world).count("CreatePod") == 1


def test_after_a_reboot_the_order_is_kept() -> None:
    """A machine that comes up starts its pods in the order that their manifests ask for."""
    world = running()
    world.want = LATE
    world.kill_infra()
    world.boot = "next"
    world.facts = replace(world.facts, after={"db": "", "net": "Pending"})
    made = world.turn()
    assert made.actions == ()
    assert made.waiting[""] == (WAITING, "waits for net (Pending)")
    ready(world)
    world.settle()
    assert world.named("web").state.alive


def status(phase: str, ready: str, *, stopped: bool = False) -> PodStatus:
    """Return a pod's status."""
    conditions = (Condition("Ready", ready, "", "" if ready == "True" else "containers with unready status: [c]"),)
    return PodStatus("p", None, None, phase, conditions, (), (), "", "", "", last_good=False, stopped=stopped)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (None, "no manifest declares it"),
        (status("Running", "True"), ""),
        (status("Running", "False"), "containers with unready status: [c]"),
        (status("Succeeded", "False"), ""),
        (status("Failed", "False"), "containers with unready status: [c]"),
        (status("Running", "True", stopped=True), "stopped by an operator"),
    ],
)
def test_what_can_be_relied_on(seen: PodStatus | None, why: str) -> None:
    """Ready or done is enough; everything else has a reason that a reader can act on."""
    assert unmet(seen) == why


def late(path: str, name: str, *after: str) -> PodSpec:
    """Return a pod of a file that is after others."""
    return replace(pod(path, name), after=after)


def test_a_circle_in_one_load_is_an_error_that_names_it() -> None:
    """Pods that wait for each other would never start: no one of them is loaded, and each file says why."""
    desired = after(scan(a=late("a", "pa", "pb"), b=late("b", "pb", "pc"), c=late("c", "pc", "pa"), d=pod("d", "pd")))
    assert list(desired.pods) == ["pd"]
    for name in "abc":
        (error,) = desired.files[f"{DIR}/{name}"].errors
        assert "pa -> pb -> pc -> pa" in error.message
        assert error.path == "spec.after"


def test_who_closes_a_circle_is_refused_and_the_others_stay() -> None:
    """The newcomer's last good content is used; what was in force before is not touched."""
    first = after(scan(a=late("a", "pa", "pb"), b=pod("b", "pb")))
    second = after(scan(a=late("a", "pa", "pb"), b=late("b", "pb", "pa")), start=first)
    assert state(second, "a") is FileState.LOADED
    assert state(second, "b") is FileState.INVALID
    assert second.pods == first.pods


def test_a_pod_after_itself_is_a_circle() -> None:
    """The smallest of all circles."""
    assert "pa -> pa" in after(scan(a=late("a", "pa", "pa"))).files[f"{DIR}/a"].errors[0].message


def test_a_pod_that_nobody_declares_is_a_warning() -> None:
    """It may come with another file, so the pod is loaded and waits."""
    desired = after(scan(a=late("a", "pa", "gone", "pb"), b=pod("b", "pb")))
    assert state(desired, "a") is FileState.LOADED
    (warning,) = desired.files[f"{DIR}/a"].warnings
    assert warning.message == 'no manifest declares the pod "gone": pa waits'


@given(st.dictionaries(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=4), max_size=7))
def test_a_circle_is_found_exactly_when_there_is_one(edges: dict[int, list[int]]) -> None:
    """What is returned is a circle, and without one the pods can be put in order."""
    graph = {f"p{a}": [f"p{b}" for b in bs] for a, bs in edges.items()}
    circle = cycle(graph)
    if circle:
        assert all(b in graph[a] for a, b in zip(circle, (*circle[1:], circle[0]), strict=True))
        return
    left = dict(graph)
    while left:
        free = [p for p, others in left.items() if not any(o in left for o in others)]
        assert free
        left = {p: others for p, others in left.items() if p not in free}


def test_a_chain_of_a_thousand_pods_is_no_circle() -> None:
    """However long the chain, the check ends with an answer."""
    assert cycle({f"p{i}": [f"p{i + 1}"] for i in range(5000)}) == ()


def test_a_pod_says_in_its_containers_what_it_waits_for() -> None:
    """Whoever looks at a container that is not there sees the pod's reason."""
    shown = waiting(db="Pending").status()
    assert {c.reason for c in shown.containers} == {WAITING}
    (condition,) = [c for c in shown.conditions if c.type == "DependenciesReady"]
    assert (condition.status, condition.message) == ("False", "waits for db (Pending)")
