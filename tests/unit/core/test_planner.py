"""What the planner decides, on a Podman in memory."""

from dataclasses import replace

import pytest
from core.world import CLIENT, OWNER, POD, WEB, World

from podsupd.core import naming
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, ContainerState, ObservedContainer, ObservedPod
from podsupd.model.plan import (
    CreateContainer,
    CreatePod,
    Facts,
    ImageFact,
    ImageState,
    Intent,
    PullImage,
    RemoveContainer,
    RemovePod,
    SignalContainer,
    StartContainer,
    Verdict,
)
from podsupd.model.spec import PortSpec, PullPolicy, RestartPolicy


def running() -> World:
    """Return a world whose pod is up."""
    world = World()
    world.settle()
    world.done.clear()
    world.notes.clear()
    return world


def kinds(world: World) -> list[str]:
    """Name what was done."""
    return [type(a).__name__ for a in world.done]


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


def failed(world: World, probe: str, incarnation: object) -> None:
    """Have a probe fail for good."""
    world.facts = replace(world.facts, verdicts={probe: Verdict(probe, incarnation, False, True, "refused")})


def test_a_failed_liveness_restarts_its_container_once() -> None:
    """The restart counts as a failure, and the old verdict does not restart the new life."""
    world = running()
    failed(world, "web/liveness", world.named("web").incarnation)
    world.settle()
    assert kinds(world) == ["SignalContainer", "StartContainer"]
    assert world.memory.containers["web"].failures == 1
    assert "Liveness probe failed: refused" in world.memory.containers["web"].last_death.message
    world.done.clear()
    world.settle()
    assert world.done == []


def test_a_failed_policy_probe_restarts_the_pods_containers_once() -> None:
    """RestartPod restarts every container of the pod, once per verdict."""
    world = running()
    failed(world, "host", naming.pod_incarnation(world.seen))
    world.settle()
    assert sorted(a.container for a in world.done if isinstance(a, StartContainer)) == ["client", "web"]
    world.done.clear()
    world.settle()
    assert world.done == []


def test_a_paused_container_is_the_operators_wish() -> None:
    """D8: paused by hand is never killed for it, whatever its probes said before."""
    world = running()
    web = world.named("web")
    world.change(web.id, lambda c: replace(c, state=ContainerState.PAUSED))
    failed(world, "web/liveness", web.incarnation)
    world.turn()
    world.now += 1000
    world.turn()
    assert world.done == []


def test_a_foreign_pod_of_the_same_name_is_left_alone() -> None:
    """D3: it is a conflict to report, and what is told names the way out."""
    world = World(seen=ObservedPod("x", "p", {}, "Running", None, ()))
    made = world.settle()
    assert "podman pod rm p" in made.conflict
    world.want = None
    assert world.settle().gone
    assert world.done == []


def test_a_strangers_container_in_our_pod_is_left_alone() -> None:
    """D3: the pod is not removed over it, and the message names it."""
    world = running()
    stranger = ObservedContainer("s", "stranger", ContainerState.RUNNING)
    world.seen = replace(world.seen, containers=(*world.seen.containers, stranger))
    assert world.plan().settled
    world.want = None
    assert "stranger" in world.settle().conflict
    assert world.done == []


def test_wrong_namespaces_are_found_after_creation() -> None:
    """A pod that shares pid alone (podman's --share twice) is made anew."""
    world = running()
    world.seen = replace(world.seen, shared_namespaces=frozenset({"pid"}))
    assert "shares pid instead of net, pid" in world.plan().why


def test_an_absent_image_is_pulled_and_its_sibling_starts_meanwhile() -> None:
    """ImagePullBackOff of one container holds up nobody else."""
    world = World()
    world.images["nginx"] = ImageFact(ImageState.FAILED, message="no route to host", retry_at=world.now + 100)
    for _ in range(6):
        made = world.turn()
    assert made.waiting == {"web": ("ImagePullBackOff", "no route to host")}
    assert world.named("client").state is ContainerState.RUNNING
    world.now += 101
    assert world.plan().actions == (PullImage("nginx", "container web needs it"),)


def test_pull_policy_never_says_what_is_missing() -> None:
    """ErrImageNeverPull, and no pull."""
    web = replace(WEB, pull_policy=PullPolicy.NEVER, image="missing")
    world = World(want=replace(POD, containers=(web,)))
    for _ in range(4):
        made = world.turn()
    assert made.waiting["web"][0] == "ErrImageNeverPull"
    assert PullImage not in {type(a) for a in world.done}


def test_pull_policy_always_pulls_before_each_creation() -> None:
    """An image at hand is not enough."""
    web = replace(WEB, pull_policy=PullPolicy.ALWAYS)
    world = World(want=replace(POD, containers=(web,)))
    world.settle()
    assert kinds(world).count("PullImage") == 1


def test_an_edit_to_an_image_that_is_not_here_stops_nothing() -> None:
    """Offline, the old container goes on until the new image is there."""
    world = running()
    world.images["new"] = ImageFact(ImageState.FAILED, message="offline", retry_at=world.now + 300)
    world.want = replace(POD, containers=(replace(WEB, image="new"), CLIENT))
    made = world.turn()
    assert made.waiting["web"][0] == "ImagePullBackOff"
    assert world.named("web").state is ContainerState.RUNNING


def test_what_podman_refuses_is_shown_and_tried_again() -> None:
    """The cause is in the waiting message; the sibling goes on; the next try comes."""
    world = World()
    world.turn(limit=1)
    action = next(a for a in world.plan().actions if isinstance(a, CreateContainer))
    world.refuse(action, "no space left on device")
    made = world.turn()
    assert made.waiting["web"] == ("CreateContainerError", "no space left on device")
    assert [a.container.name for a in made.actions if isinstance(a, CreateContainer)] == ["client"]
    world.now += 2
    assert "web" in [a.container.name for a in world.plan().actions if isinstance(a, CreateContainer)]


def test_without_durable_state_nothing_is_destroyed() -> None:
    """A full disk stops removals and stops, and nothing else."""
    world = running()
    world.facts = Facts(OWNER, durable=False)
    world.want = None
    made = world.turn()
    assert made.actions == ()
    assert {reason for reason, _ in made.waiting.values()} == {"StateUnavailable"}
    world.want = POD
    world.crash("web")
    assert [type(a) for a in world.plan().actions] == [StartContainer]


def test_a_death_that_a_pidfd_told_is_awaited() -> None:
    """Podman still says running: look again within milliseconds, start nothing, kill nothing."""
    world = running()
    world.facts = replace(world.facts, gone={world.named("web").id: world.now})
    made = world.plan()
    assert made.actions == ()
    assert made.waiting["web"][0] == "Exiting"
    assert made.wake_at - world.now < 0.01


def test_a_container_that_left_the_manifest_goes() -> None:
    """Only ours: it is stopped and removed, the others stay."""
    world = running()
    world.want = replace(POD, containers=(WEB,))
    world.settle()
    assert [c.labels[CONTAINER_LABEL] for c in world.seen.containers] == ["web"]
    assert all(c.labels[OWNER_LABEL] == OWNER for c in world.seen.containers)


def test_deaths_are_told_apart() -> None:
    """A clean exit, a crash, a signal, out of memory and our own stop each read differently."""
    world = running()
    stories = {}
    for code in (0, 3, 137):
        world.crash("web", code)
        world.settle()
        stories[code] = world.memory.containers["web"].last_death
    assert (stories[0].reason, stories[3].reason) == ("Completed", "Error")
    assert stories[137].signal == "SIGKILL"
    assert any("podsupd stop p/web" in n.message for n in world.notes)
    world.change(world.named("web").id, lambda c: replace(c, oom_killed=True))
    world.crash("web", 137)
    world.settle()
    assert world.memory.containers["web"].last_death.reason == "OOMKilled"


def test_a_sandboxs_death_is_not_the_containers_failure() -> None:
    """Infra killed twice in a row: its containers come back with it, no back-off of their own, in either order."""
    world = running()
    world.kill_infra()
    world.settle()
    assert world.memory.containers["web"].failures == 0
    # The kernel ends the others first: they may be seen dead before infra is.
    infra = world.seen.infra
    for container in world.seen.containers:
        world.die(container.id, 137)
    world.turn(limit=0)
    assert world.memory.containers["web"].failures == 1
    world.die(infra.id, 137)
    world.turn(limit=0)
    assert world.memory.containers["web"].failures == 0
    before = world.now
    world.settle()
    assert 9 <= world.now - before <= 10


def test_a_stop_signal_that_was_not_sent_is_sent_again() -> None:
    """A newer wish, a refusal or kill -9 of podsupd between the plan and the signal costs no grace."""
    world = running()
    world.want = None
    world.turn(limit=0)
    world.turn(limit=1)
    assert [(a.container, a.signal) for a in world.done] == [("web", "SIGTERM")]
    world.turn()
    assert [(a.container, a.signal) for a in world.done[1:]] == [("client", "SIGTERM")]


def test_a_refused_signal_waits_before_it_is_tried_again() -> None:
    """Podman is not hammered, and the cause is shown."""
    world = running()
    world.intent = Intent(stopped_containers=frozenset({"web"}))
    action = world.plan().actions[0]
    world.refuse(action, "cannot signal")
    assert world.plan().waiting["web"] == ("StopContainerError", "cannot signal")
    assert world.plan().actions == ()


def test_what_is_removed_by_hand_comes_back_and_is_told() -> None:
    """D8: `podman rm -f` is repaired, counted, and the event names the command that lasts."""
    world = running()
    world.seen = replace(world.seen, containers=tuple(c for c in world.seen.containers if c.name != "web"))
    world.settle()
    assert world.named("web").state is ContainerState.RUNNING
    assert world.memory.containers["web"].restarts == 1
    assert [n.message for n in world.notes] == ["container web was removed by hand; `podsupd stop p/web` is what lasts"]


def test_what_podsupd_removed_is_not_called_a_hands_work() -> None:
    """An edit's removal is our own, and no warning."""
    world = running()
    world.want = replace(POD, containers=(replace(WEB, env=(("A", "1"),)), CLIENT))
    world.settle()
    assert not [n for n in world.notes if "by hand" in n.message]
    assert world.memory.containers["web"].restarts == 1
