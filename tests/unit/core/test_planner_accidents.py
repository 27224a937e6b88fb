"""What the planner makes of probes, strangers, absent images, refusals, deaths and removals by hand."""

from dataclasses import replace

from core.world import CLIENT, OWNER, POD, WEB, World, kinds, running

from podsupd.core import naming
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, ContainerState, ObservedContainer, ObservedPod
from podsupd.model.plan import (
    CreateContainer,
    Facts,
    ImageFact,
    ImageState,
    Intent,
    PullImage,
    SignalContainer,
    StartContainer,
    Verdict,
)
from podsupd.model.spec import PullPolicy


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


def test_a_probes_own_grace_period_is_for_its_restart_only() -> None:
    """A hung server is given 2 s instead of 30 when its probe ends it, and 30 when its manifest is deleted."""
    probe = replace(WEB.probes[0], grace_s=2.0)
    world = running()
    world.want = replace(POD, containers=(replace(WEB, probes=(probe,)), CLIENT))
    world.obeys = False
    failed(world, "web/liveness", world.named("web").incarnation)
    begun = world.now
    world.settle()
    assert [a.signal for a in world.done if isinstance(a, SignalContainer)] == ["SIGTERM", "SIGKILL"]
    assert world.now == begun + 2.0
    world.done.clear()
    world.want = None
    begun = world.now
    assert world.settle().gone
    assert world.now == begun + POD.grace_s


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
    world = World(seen=ObservedPod("x", "p", {}, None, ()))
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


def test_why_a_pods_infra_container_cannot_be_started_is_shown_at_its_containers() -> None:
    """A port that is taken is what every container of the pod waits for."""
    world = running()
    world.kill_infra()
    start = next(a for a in world.plan().actions if isinstance(a, StartContainer) and not a.container)
    world.refuse(start, "address already in use; held by nginx")
    made = world.turn()
    assert made.waiting["web"] == ("StartPodError", "address already in use; held by nginx")
    states = {(c.state, c.reason, c.message) for c in world.status().containers}
    assert states == {("waiting", "StartPodError", "address already in use; held by nginx")}


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
    last = world.memory.containers["web"].last_death
    assert (last.reason, last.sender_origin) == ("OOMKilled", "kernel")


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


def test_a_pod_with_other_namespaces_is_made_anew_with_the_images_that_are_here() -> None:
    """What nothing else is changed of is not waited for: its images are looked up although its containers stay."""
    world = running()
    assert world.seen is not None
    world.seen = replace(world.seen, shared_namespaces=frozenset({"net"}))
    world.settle()
    assert world.seen.shared_namespaces == {"net", "pid"}
    assert "PullImage" not in kinds(world)
