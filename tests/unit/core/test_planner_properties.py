"""The planner's promises, for any history: converges, rests, survives interruption, touches nothing of others."""

from dataclasses import replace

from core.world import CLIENT, OWNER, POD, WEB, World
from hypothesis import example, given, settings
from hypothesis import strategies as st

from podsupd.core import ending, initializing, naming
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, ContainerState, ObservedContainer, ObservedPod
from podsupd.model.plan import Intent, Verdict
from podsupd.model.spec import (
    ContainerSpec,
    ExecCommand,
    HttpGet,
    JobSpec,
    PodSpec,
    PortSpec,
    Resources,
    RestartPolicy,
    Sleep,
    StopScope,
    StopSpec,
    StopStep,
    UpdateSpec,
)

HOOKED = replace(
    POD,
    containers=(
        replace(WEB, post_start=ExecCommand(("x",)), pre_stop=HttpGet(80)),
        replace(CLIENT, pre_stop=Sleep(3.0)),
    ),
)
UPDATE = UpdateSpec(5.0, 20.0)
STEP = ContainerSpec("step", "step", "busybox")
CAR = ContainerSpec("car", "car", "busybox", restart_policy=RestartPolicy.ALWAYS)
WANTS: list[PodSpec | None] = [
    POD,
    None,
    replace(POD, containers=(WEB,)),
    replace(POD, containers=(CLIENT, WEB)),
    replace(POD, containers=(replace(WEB, env=(("A", "1"),)), CLIENT)),
    replace(POD, containers=(replace(WEB, ports=(PortSpec(80, host_port=1),)), CLIENT)),
    replace(POD, share_process_namespace=False),
    replace(POD, restart_policy=RestartPolicy.NEVER),
    replace(POD, restart_policy=RestartPolicy.ON_FAILURE),
    replace(POD, containers=(replace(WEB, image="absent"), CLIENT)),
    HOOKED,
    replace(POD, containers=(replace(WEB, resources=Resources(500)), CLIENT)),
    replace(POD, containers=(replace(WEB, resources=Resources(500, 2**26)), CLIENT), update=UPDATE),
    replace(POD, active_deadline_s=300.0, containers=(WEB,)),
    replace(POD, job=JobSpec(1, 50.0), restart_policy=RestartPolicy.ON_FAILURE, containers=(CLIENT,)),
    replace(POD, update=UPDATE),
    replace(POD, update=UPDATE, containers=(replace(WEB, env=(("B", "1"),)), CLIENT)),
    replace(
        POD, update=UPDATE, probes=(), containers=(replace(WEB, ports=(), probes=()), replace(CLIENT, image="absent"))
    ),
    replace(POD, stop=StopSpec(StopScope.ALL)),
    replace(POD, init_containers=(STEP, CAR, replace(STEP, name="step2", runtime_name="step2"))),
    replace(
        POD, init_containers=(CAR, replace(CAR, name="car2", runtime_name="car2")), restart_policy=RestartPolicy.NEVER
    ),
    replace(POD, stop=StopSpec(StopScope.MAIN_PROCESS)),
    replace(POD, stop=StopSpec(sequence=(StopStep("SIGINT", 4.0), StopStep("SIGTERM", 0.0), StopStep("SIGINT", 6.0)))),
]

happenings = st.one_of(
    st.tuples(st.just("want"), st.integers(0, len(WANTS) - 1)),
    st.tuples(st.just("crash"), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.integers(0, 3)),
    st.tuples(st.just("infra"), st.just(0)),
    st.tuples(st.just("vanish"), st.just(0)),
    st.tuples(st.just("pass"), st.integers(0, 700)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("stop"), st.booleans()),
    st.tuples(st.just("deaf"), st.booleans()),
    st.tuples(st.just("amnesia"), st.just(0)),
    st.tuples(st.just("reboot"), st.just(0)),
    st.tuples(st.just("unhealthy"), st.integers(0, 2)),
    st.tuples(st.just("litter"), st.integers(0, 3)),
    st.tuples(st.just("left deaf"), st.booleans()),
    st.tuples(st.just("left end"), st.integers(0, 1)),
    st.tuples(st.just("hooks"), st.integers(0, 2)),
    st.tuples(st.just("daemon"), st.just(0)),
    st.tuples(st.just("codes"), st.integers(-1, 1)),
    st.tuples(st.just("grace"), st.integers(0, 60)),
    st.tuples(st.just("stick"), st.integers(0, 7)),
    st.tuples(st.just("turn"), st.integers(0, 3)),
)
HELD = (ContainerState.RUNNING, ContainerState.STOPPING, ContainerState.REMOVING, ContainerState.UNKNOWN)


def befall(world: World, kind: str, value: int) -> None:  # noqa: C901, PLR0912, PLR0915  one arm per accident
    """Let one thing happen."""
    seen = world.seen
    match kind:
        case "want":
            world.want = WANTS[value]
        case "stick" if seen and seen.infra and seen.infra.started_at:
            # Not a stranger's.
            there = [seen.infra, *[c for c in seen.containers if c.label(OWNER_LABEL)][:1]]
            stuck = there[value % len(there)]
            if stuck.started_at and stuck.id not in world.leftovers:
                world.stick(stuck.id, HELD[value // 2])
        case "crash" if seen and len(seen.containers) > value and seen.containers[value].state.alive:
            world.die(seen.containers[value].id, value)
        case "remove" if seen and len(seen.containers) > value:
            kept = tuple(c for c in seen.containers if c is not seen.containers[value])
            world.seen = replace(seen, containers=kept)
        case "infra" if seen and seen.infra and seen.infra.state.alive:
            world.kill_infra()
        case "vanish":
            world.seen = None
        case "pass":
            world.now += value
        case "restart":
            world.intent = replace(world.intent, restart_generation=world.intent.restart_generation + 1)
        case "stop":
            world.intent = replace(world.intent, stopped=bool(value))
        case "deaf":
            world.obeys = not value
        case "hooks":
            world.hooks = ("ok", "fail", "hang")[value]
        case "daemon":
            world.facts = replace(world.facts, hooks={})
        case "codes":
            world.codes = {} if value < 0 else {"step": value, "step2": 0}
        case "litter":
            world.litter = value
        case "left deaf":
            world.left_obey = not value
        case "left end" if len(world.leftovers) > value:
            world.leftovers[list(world.leftovers)[value]] = 0
        case "grace" if world.want:
            world.want = replace(world.want, grace_s=float(value))
        case "amnesia":
            world.memory = type(world.memory)()
        case "reboot":
            world.boot += "'"
            if seen and seen.infra and seen.infra.state.alive:
                world.kill_infra()
            world.leftovers.clear()
        case "unhealthy" if seen and value < len(POD.all_probes):
            probe = POD.all_probes[value]
            found = naming.by_name(seen, OWNER)
            life = found[probe.container].incarnation if probe.container in found else naming.pod_incarnation(seen)
            verdict = Verdict(probe.name, life, passing=False, failed=True)
            world.facts = replace(world.facts, verdicts={probe.name: verdict})
        case "turn":
            world.turn(limit=value)


def finish_steps(world: World) -> None:
    """Have the init containers do their work from now on, those that run too, and the hooks end well."""
    world.codes = {"step": 0, "step2": 0}
    world.hooks = "ok"
    world.facts = replace(world.facts, hooks={})
    for container in world.seen.containers if world.seen else ():
        if container.label(CONTAINER_LABEL) in world.codes and container.state.alive:
            world.die(container.id, 0)


def check_fixed_point(world: World) -> None:
    """Assert that the world is as wanted and that nothing more is planned."""
    # A container that runs may still have some of its processes in a cgroup of ours, from a stop taken back in time.
    assert all(not world.ended(container) for container in world.leftovers)
    if world.want is None:
        assert world.seen is None
        return
    if world.intent.stopped or world.memory.done or ending.expired(world.want, world.memory):
        assert world.seen is None or not any(c.state.alive for c in world.seen.containers)
    else:
        assert world.seen is not None
        found = naming.by_name(world.seen, OWNER)
        want = world.plan().spec
        assert want is not None
        failed = initializing.failed(want, found, world.memory.containers)
        over = failed or initializing.finished(want, found, world.memory.containers)
        # A step that was removed by hand after it did its work is not done again.
        missing = {c.name for c in want.every} - set(found)
        assert over or missing <= {c.name for c in want.steps}
        assert set(found) <= {c.name for c in want.every}
        assert len(world.seen.containers) == len(found)
        for spec in want.lasting:
            if spec.name in found and not (
                found[spec.name].state.dead and want.restart_policy is not RestartPolicy.ALWAYS
            ):
                assert found[spec.name].state is (ContainerState.EXITED if over else ContainerState.RUNNING)
    again = world.plan()
    assert again.actions == ()
    assert again.memory == world.memory


@settings(max_examples=400)
@given(st.lists(happenings, max_size=14))
@example([("turn", 3), ("want", 1), ("stick", 0), ("stick", 1)])
def test_converges_to_what_is_wanted_and_then_rests(story: list[tuple[str, int]]) -> None:
    """After any story, and interrupted after any prefix of any plan, the pod becomes what its manifest says."""
    world = World()
    for kind, value in story:
        befall(world, kind, value)
    finish_steps(world)
    world.settle(turns=200)
    check_fixed_point(world)


@settings(max_examples=200)
@given(st.lists(happenings, max_size=14))
@example([("stick", 5), ("pass", 10)] * 3)
def test_never_touches_what_is_not_ours(story: list[tuple[str, int]]) -> None:
    """A stranger's container in our pod outlives everything (World asserts on every action)."""
    world = World()
    world.settle()
    stranger = ObservedContainer("stranger", "stranger", ContainerState.RUNNING, started_at="s", started_epoch=0.5)
    assert world.seen is not None
    world.seen = replace(world.seen, containers=(*world.seen.containers, stranger))
    for kind, value in story:
        if kind in {"vanish", "remove", "crash", "infra", "reboot"}:
            continue
        befall(world, kind, value)
        for _ in range(3):
            world.turn()
    assert world.seen is not None
    assert any(c.id == "stranger" and c.state.alive for c in world.seen.containers)


@settings(max_examples=100)
@given(st.lists(happenings, max_size=10))
def test_a_foreign_pod_is_never_planned_for(story: list[tuple[str, int]]) -> None:
    """Whatever is asked, a pod without our owner id gets no action."""
    foreign = ObservedPod("x", "p", {}, None, ())
    world = World(seen=foreign)
    for kind, value in story:
        if kind == "vanish":
            continue
        befall(world, kind, value)
        assert world.plan().actions == ()
    assert world.seen == foreign


@settings(max_examples=200)
@given(st.lists(happenings, max_size=12), st.booleans())
def test_the_same_input_gives_the_same_plan(story: list[tuple[str, int]], stopped: bool) -> None:  # noqa: FBT001
    """A plan can be shown, and made again, without surprise."""
    world = World(intent=Intent(stopped=stopped))
    for kind, value in story:
        befall(world, kind, value)
    assert world.plan() == world.plan()
