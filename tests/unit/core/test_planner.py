"""What the planner decides, on a Podman in memory."""

from dataclasses import replace

import pytest
from core.world import CLIENT, POD, WEB, World, kinds, running

from podsupd.model.observed import ContainerState
from podsupd.model.plan import (
    CreateContainer,
    CreatePod,
    Intent,
    RemoveContainer,
    RemovePod,
    SignalContainer,
    StartContainer,
)
from podsupd.model.spec import PortSpec, RestartPolicy


def test_a_missing_pod_is_made_in_order() -> None:
    """The pod comes first, then its containers in the manifest's order, in one plan on one look."""
    world = World()
    world.turn()
    assert kinds(world) == ["CreatePod", "CreateContainer", "StartContainer", "CreateContainer", "StartContainer"]
    assert [a.container for a in world.done if isinstance(a, StartContainer)] == ["web", "client"]
    assert world.plan().why == "as desired"
    assert world.plan().actions == ()


def test_at_the_fixed_point_nothing_is_planned() -> None:
    """A healthy pod is left alone for ever."""
    world = running()
    made = world.plan()
    assert made.settled
    assert made.actions == ()
    assert made.memory == world.memory


def test_a_restart_of_the_daemon_touches_nothing() -> None:
    """A podsupd that lost even its memory adopts a running pod as it is."""
    world = running()
    world.memory = type(world.memory)()
    assert world.settle().settled
    assert world.done == []
    assert world.memory.containers["web"].restarts == 0


def test_a_crash_is_restarted_at_once_then_backs_off() -> None:
    """The first crash costs no wait; the second waits some 10 s, the third some 20 s, up to 300 s."""
    world = running()
    waits = []
    for _ in range(9):
        world.crash("web")
        before = world.now
        world.settle()
        waits.append(world.now - before)
    assert waits[0] == 0
    for wait, full in zip(waits[1:], (10, 20, 40, 80, 160, 300, 300, 300), strict=True):
        assert full * 0.9 <= wait <= full


def test_back_off_is_reset_after_ten_minutes_of_running() -> None:
    """A container that ran long enough starts from nothing again."""
    world = running()
    for _ in range(3):
        world.crash("web")
        world.settle()
    world.now += 601
    world.crash("web")
    before = world.now
    world.settle()
    assert world.now == before
    assert world.memory.containers["web"].failures == 1


def test_back_off_outlives_the_daemon_and_a_reboot_clears_it() -> None:
    """The wait goes on with the memory that was saved; another boot id begins anew."""
    world = running()
    for _ in range(2):
        world.crash("web")
        made = world.turn()
        if made.actions:
            continue
    assert world.plan().waiting["web"][0] == "CrashLoopBackOff"
    world.boot = "another"
    assert any(isinstance(a, StartContainer) for a in world.plan().actions)


def test_after_five_crashes_the_container_is_made_anew() -> None:
    """A broken writable layer heals too."""
    world = running()
    for _ in range(5):
        old = world.named("web").id
        world.crash("web")
        world.settle()
    assert world.named("web").id != old
    assert any(isinstance(a, RemoveContainer) for a in world.done)


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        (RestartPolicy.ALWAYS, 0, True),
        (RestartPolicy.ALWAYS, 1, True),
        (RestartPolicy.ON_FAILURE, 0, False),
        (RestartPolicy.ON_FAILURE, 3, True),
        (RestartPolicy.NEVER, 0, False),
        (RestartPolicy.NEVER, 1, False),
    ],
)
def test_restart_policy(policy: RestartPolicy, code: int, *, again: bool) -> None:
    """RestartPolicy means what it means in Kubernetes."""
    world = World(want=replace(POD, restart_policy=policy))
    world.settle()
    world.crash("web", code)
    world.settle()
    assert (world.named("web").state is ContainerState.RUNNING) is again


def test_the_infra_container_is_healed() -> None:
    """Its death takes everything down; it is started first, then the containers, in place."""
    world = running()
    ids = {c.id for c in world.seen.containers}
    world.kill_infra()
    world.settle()
    assert [a.container for a in world.done] == ["", "web", "client"]
    assert {c.id for c in world.seen.containers} == ids
    assert all(c.state is ContainerState.RUNNING for c in world.seen.containers)


def test_a_container_older_than_its_infra_is_restarted() -> None:
    """Without a shared PID namespace containers survive infra, in a network that nobody reaches: they are restarted."""
    world = World(want=replace(POD, share_process_namespace=False))
    world.settle()
    world.done.clear()
    world.die(world.seen.infra.id, 137)
    world.settle()
    assert world.named("web").started_epoch > world.seen.infra.started_epoch
    assert world.memory.containers["web"].failures == 0


def test_a_changed_container_is_replaced_alone() -> None:
    """The neighbour keeps its id and its start time."""
    world = running()
    neighbour = world.named("client")
    old = world.named("web").id
    world.want = replace(POD, containers=(replace(WEB, env=(("A", "1"),)), CLIENT))
    made = world.plan()
    assert made.why == "web: changed: env"
    world.settle()
    assert world.named("client") == neighbour
    assert world.named("web").id != old
    assert kinds(world) == ["SignalContainer", "RemoveContainer", "CreateContainer", "StartContainer"]


def test_remove_and_create_have_an_observation_between() -> None:
    """D4: no plan holds both."""
    world = running()
    world.want = replace(POD, containers=(replace(WEB, env=(("A", "1"),)), CLIENT))
    for _ in range(20):
        made = world.turn()
        names = {type(a) for a in made.actions}
        assert not ({RemoveContainer, RemovePod} & names and {CreateContainer, CreatePod} & names)


def test_a_changed_pod_level_field_replaces_the_pod() -> None:
    """A port is the pod's: all containers go and come again."""
    world = running()
    old = world.seen.id
    web = replace(WEB, ports=(PortSpec(80, host_port=9090),))
    world.want = replace(POD, containers=(web, CLIENT))
    assert "changed: ports" in world.plan().why
    world.settle()
    assert world.seen.id != old


def test_probes_labels_and_policy_change_nothing_on_the_host() -> None:
    """What needs no re-creation causes none."""
    world = running()
    world.want = replace(POD, labels={"a": "b"}, probes=(), containers=(replace(WEB, probes=()), CLIENT), grace_s=5.0)
    assert world.plan().settled


def test_a_digest_of_another_version_restarts_nothing() -> None:
    """A new release of podsupd leaves every pod alone."""
    world = running()
    labels = {**world.seen.labels, "podsupd.io/digest": "v0 whatever=1"}
    world.seen = replace(world.seen, labels=labels)
    assert world.plan().settled


def test_a_removed_manifest_stops_and_removes_the_pod() -> None:
    """Every container is stopped gracefully before the pod goes, with its emptyDirs."""
    world = running()
    world.want = None
    assert world.settle().gone
    assert kinds(world) == ["SignalContainer", "SignalContainer", "RemovePod"]
    assert world.done[-1].with_volumes


def test_a_stop_escalates_at_the_end_of_the_grace_period() -> None:
    """SIGTERM, the grace period, SIGKILL: a process that ignores the first goes by the second."""
    world = running()
    world.obeys = False
    world.want = None
    began = world.now
    assert world.settle().gone
    signals = [(a.container, a.signal) for a in world.done if isinstance(a, SignalContainer)]
    assert signals == [("web", "SIGTERM"), ("client", "SIGTERM"), ("web", "SIGKILL"), ("client", "SIGKILL")]
    assert world.now - began == 30.0


def test_a_shorter_grace_takes_effect_at_once() -> None:
    """An edit of the grace period counts for the stop that is under way."""
    world = running()
    world.obeys = False
    world.intent = Intent(stopped=True)
    world.turn()
    world.now += 6
    assert not any(isinstance(a, SignalContainer) for a in world.plan().actions)
    world.want = replace(POD, grace_s=5.0)
    assert [a.signal for a in world.plan().actions] == ["SIGKILL", "SIGKILL"]


def test_a_siblings_death_during_a_stop_is_acted_on_at_once() -> None:
    """A 60 s stop of one container blocks nothing."""
    world = running()
    world.want = replace(POD, grace_s=60.0)
    world.obeys = False
    world.intent = Intent(stopped_containers=frozenset({"client"}))
    world.turn()
    world.crash("web")
    assert [a.container for a in world.plan().actions] == ["web"]


def test_stop_and_start_by_an_operator() -> None:
    """A stopped pod keeps its containers and frees its ports; start brings the same ones back without back-off."""
    world = running()
    ids = {c.id for c in world.seen.containers}
    world.intent = Intent(stopped=True)
    assert world.settle().why == "stopped by an operator"
    assert not world.seen.infra.state.alive
    world.intent = Intent()
    before = world.now
    world.settle()
    assert world.now == before
    assert {c.id for c in world.seen.containers} == ids
    assert world.memory.containers["web"].failures == 0


def test_a_restart_is_done_once_per_generation() -> None:
    """Asking once restarts once, also when podsupd itself restarts in the middle."""
    world = running()
    world.intent = Intent(restart_generation=1)
    world.settle()
    assert sorted(a.container for a in world.done if isinstance(a, StartContainer)) == ["client", "web"]
    world.done.clear()
    world.settle()
    assert world.done == []


def test_a_restart_of_a_completed_container_starts_it_again() -> None:
    """An operator's restart is stronger than restartPolicy Never."""
    world = World(want=replace(POD, restart_policy=RestartPolicy.NEVER))
    world.settle()
    world.crash("client", 0)
    world.settle()
    world.intent = Intent(container_restarts={"client": 1})
    world.settle()
    assert world.named("client").state is ContainerState.RUNNING
