"""Which probes are kept running, from what is seen of a pod."""

from dataclasses import replace

from core.world import CLIENT, OWNER, POD, WEB, World, running

from podsupd.engine import registrations
from podsupd.engine.probe_entries import Registration
from podsupd.model.observed import ContainerState
from podsupd.model.plan import Now, PodMemory
from podsupd.model.spec import PodSpec, ProbeType

READINESS = replace(WEB.probes[0], name="web/readiness", type=ProbeType.READINESS)
STARTUP = replace(WEB.probes[0], name="web/startup", type=ProbeType.STARTUP)
PROBED = replace(POD, containers=(replace(WEB, probes=(*WEB.probes, READINESS, STARTUP)), CLIENT))


def wanted(world: World, want: PodSpec | None = PROBED) -> dict[str, Registration]:
    """Return what is registered of a world."""
    sight = registrations.Sight(None, processes=True)
    return registrations.of(want, world.seen, world.memory, sight, Now(world.now, world.boot), OWNER)


def test_all_of_a_running_pod() -> None:
    """Every declared probe runs while its container runs."""
    names = {"web/liveness", "web/readiness", "web/startup", "client/liveness", "host"}
    assert set(wanted(running())) == names


def test_a_stop_leaves_readiness() -> None:
    """While a container ends, its readiness is asked on, and no liveness kills it in the middle of its farewell."""
    world = running()
    world.obeys = False
    world.want = None
    world.turn()
    assert set(wanted(world)) == {"web/readiness"}


def test_a_dead_container_is_not_asked() -> None:
    """Nobody dials a server that is known to be down, and the pod's own probes wait for all of it."""
    world = running()
    world.crash("web")
    world.turn(limit=0)
    assert set(wanted(world)) == {"client/liveness"}


def test_paused_is_suspended() -> None:
    """What an operator paused keeps its probes, and they make no attempt."""
    world = running()
    world.change(world.named("web").id, lambda c: replace(c, state=ContainerState.PAUSED))
    assert {n: r.suspended for n, r in wanted(world).items()} == {
        "web/liveness": True,
        "web/readiness": True,
        "web/startup": True,
        "client/liveness": False,
        "host": True,
    }


def test_ages_are_by_the_clock_since_the_boot() -> None:
    """InitialDelaySeconds is what the manifest says, whatever somebody does to the date meanwhile."""
    world = running()
    world.now += 40
    world.crash("client")
    world.settle()
    world.now += 5
    found = wanted(world)
    assert found["web/liveness"].started_age_s >= 45
    assert found["client/liveness"].started_age_s == 5
    assert found["host"].started_age_s == 5


def test_an_age_that_is_not_known_is_none() -> None:
    """A container that nobody has on the books yet is given the whole of its initial delay."""
    world = running()
    world.memory = PodMemory()
    assert wanted(world)["web/liveness"].started_age_s == 0


def test_nothing_of_a_pod_that_is_not_ours_or_not_there() -> None:
    """Nobody else's containers are ever probed."""
    world = running()
    assert wanted(world, None) == {}
    assert world.seen is not None
    world.seen = replace(world.seen, labels={})
    assert wanted(world) == {}
    world.seen = None
    assert wanted(world) == {}
