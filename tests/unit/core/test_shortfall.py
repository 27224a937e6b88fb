"""Why a pod is as it is, when nothing is left to do for it and it is not as its reader expects."""

from dataclasses import replace

import pytest

from podsupd.core.conditions import PodView, derive
from podsupd.core.probing import Result
from podsupd.model.observed import ContainerState
from podsupd.model.plan import Now
from podsupd.model.spec import HttpGet, PodSpec, ProbeSpec, ProbeType, RestartPolicy, Source, Vantage
from podsupd.model.status import ProbeStatus
from tests.unit.core.world import CLIENT, OWNER, POD, WEB, World


def probe(kind: ProbeType, result: str, *, passing: bool | None = False, message: str = "refused") -> ProbeStatus:
    """Return a probe of the container web, or of the pod."""
    container = None if kind is ProbeType.POLICY else "web"
    name = f"web/{kind.lower()}" if container else "host-curl"
    return ProbeStatus(name, kind, Vantage.POD, container, passing, False, result, message, 0.1, 1.0, 9.0, 1)


def spec(*kinds: ProbeType, policy: RestartPolicy = RestartPolicy.ALWAYS) -> PodSpec:
    """Return a pod whose container web has probes of these kinds."""
    probes = tuple(ProbeSpec(f"web/{k.lower()}", k, Vantage.POD, HttpGet(80), "web") for k in kinds)
    containers = (replace(WEB, probes=probes), replace(CLIENT, probes=()))
    return PodSpec("p", Source("/d/p.yaml"), containers, share_process_namespace=True, restart_policy=policy)


def why(world: World, *probes: ProbeStatus, stale: bool = False) -> str:
    """Return what is shown as the reason."""
    made = world.plan()
    seen, known = world.seen, {p.name: p for p in probes}
    view = PodView("p", made.spec, world.intent, seen, made, made.memory, known, stale=stale, owner=OWNER)
    return derive(view, Now(world.now, world.boot)).why


R, S, P = ProbeType.READINESS, ProbeType.STARTUP, ProbeType.POLICY


@pytest.mark.parametrize(
    ("kinds", "probes", "said"),
    [
        ((), (), "as desired"),
        ((R,), (probe(R, Result.SUCCESSFUL, passing=True),), "as desired"),
        ((R,), (probe(R, Result.FAILED),), "web: not ready: its readiness probe fails: refused"),
        ((R,), (probe(R, ""),), "web: not ready: its readiness probe has not run yet"),
        ((R,), (probe(R, "unknown"),), "web: not ready: its readiness probe cannot be run: refused"),
        ((R,), (probe(R, "successful"),), "web: not ready: its readiness probe has not succeeded often enough yet"),
        ((R,), (), "web: not ready"),
        ((S, R), (probe(S, Result.FAILED, passing=None),), "web: not started: its startup probe fails: refused"),
        ((), (probe(P, Result.FAILED),), "host-curl: the probe fails: refused"),
        ((), (probe(P, "", passing=None),), "as desired"),
    ],
)
def test_what_runs_and_is_not_ready_says_why(
    kinds: tuple[ProbeType, ...], probes: tuple[ProbeStatus, ...], said: str
) -> None:
    """The first look at the table tells which probe holds a pod back, and what that met."""
    world = World(want=spec(*kinds))
    world.settle()
    assert why(world, *probes) == said


def test_what_failed_and_is_not_restarted_says_why() -> None:
    """A job that failed is told by its exit code, one that succeeded is as desired."""
    world = World(want=spec(policy=RestartPolicy.NEVER))
    world.settle()
    world.crash("web", 3)
    world.settle()
    assert why(world) == "web: exited with code 3; restartPolicy Never"
    world = World(want=spec(policy=RestartPolicy.NEVER))
    world.settle()
    world.crash("web", 0)
    world.settle()
    assert why(world) == "as desired"


def test_a_back_off_says_what_it_is_for() -> None:
    """A pod in CrashLoopBackOff tells how it crashed, and how long each wait is; the text does not age."""
    world = World(want=replace(POD, probes=()), codes={"client": 3})
    for _ in range(3):
        world.turn()
    said = "client: back-off 9 s after 2 failures in a row; the last: exited with code 3"
    assert world.plan().why == said
    world.now += 5
    assert world.plan().why == said


def test_what_an_operator_stopped_says_how_it_starts() -> None:
    """A container that was stopped weeks ago does not look forgotten."""
    world = World(want=spec())
    world.settle()
    world.intent = replace(world.intent, stopped_containers=frozenset({"client"}))
    world.settle()
    assert why(world) == "client: stopped by an operator; `podsupd start p/client` starts it"


def test_what_was_paused_by_hand_says_so() -> None:
    """A pause that somebody forgot is named with the command that ends it."""
    world = World(want=spec())
    world.settle()
    assert world.seen is not None
    paused = tuple(replace(c, state=ContainerState.PAUSED) for c in world.seen.containers)
    world.seen = replace(world.seen, containers=paused)
    assert why(world).startswith("web: paused by hand; `podman unpause web` lets it go on; client: paused")


def test_an_old_picture_is_called_old() -> None:
    """While Podman does not answer nothing is shown as if it had just been seen."""
    world = World(want=spec())
    world.settle()
    assert why(world, stale=True) == "Podman does not answer; this is what was seen last: as desired"
