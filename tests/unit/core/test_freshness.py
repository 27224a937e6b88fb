"""Images whose names mean another image by now: looked up at an interval, proved like any update."""

from dataclasses import replace

from core.test_rollout import IMAGES, UPDATE, pass_time, pod, reasons, say
from core.world import AWAY, World, kinds

from podsupd.model.observed import ContainerState
from podsupd.model.plan import CreateContainer, Facts, ImageFact, ImageState, Intent, PullImage
from podsupd.model.spec import ContainerSpec, PodSpec, PortSpec, PullPolicy, RestartPolicy

DAY = 86400.0


def watched(image: str = "nginx", interval_s: float = 100.0, policy: PullPolicy = PullPolicy.ALWAYS) -> PodSpec:
    """Return a pod whose web container's image is looked up."""
    return replace(pod(image, pull_policy=policy), auto_update_s=interval_s)


def proved(want: PodSpec | None = None) -> World:
    """Return a world whose pod runs what the registry has, and has proved itself."""
    world = World(want=want or watched(), images=dict(IMAGES), facts=Facts("me"))
    world.registry = {"nginx": "id-nginx", "nginx:2": "id-nginx-2"}
    world.settle()
    say(world, passing=True)
    pass_time(world, 11)
    assert world.memory.good is not None
    assert world.memory.good.images["web"] == "id-nginx"
    world.done.clear()
    world.notes.clear()
    return world


def made(world: World) -> list[str]:
    """Return what containers were made of."""
    return [a.container.reference for a in world.done if isinstance(a, CreateContainer)]


def pulls(world: World) -> list[str]:
    """Return the images that were asked for."""
    return [a.image for a in world.done if isinstance(a, PullImage)]


def notes(world: World) -> list[str]:
    """Return the reasons of events about checks."""
    return [n.reason for n in world.notes if n.reason.startswith("ImageCheck")]


def test_an_image_that_stayed_the_same_restarts_nothing() -> None:
    """A look at the registry in each interval, without an event, and nothing else."""
    world = proved()
    life = world.named("web").incarnation
    pass_time(world, 1000)
    assert 9 <= len(pulls(world)) <= 12
    assert set(pulls(world)) == {"nginx"}
    assert all(a.quiet for a in world.done if isinstance(a, PullImage))
    assert world.named("web").incarnation == life
    assert world.notes == []


def test_an_image_that_moved_is_pulled_first_and_proves_itself() -> None:
    """What the tag means now takes the place of what it meant, once Ready it is the good one; the neighbour runs on."""
    world = proved()
    client = world.named("client").incarnation
    world.registry["nginx"] = "id-new"
    pass_time(world, 101)
    assert kinds(world)[:2] == ["PullImage", "SignalContainer"]
    assert made(world) == ["id-new"]
    assert reasons(world) == ["Updating"]
    assert "pod p is updated: web to nginx (id-new)" in [n.message for n in world.notes]
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world) == ["Updating", "UpdateSucceeded"]
    assert world.memory.good is not None
    assert world.memory.good.images["web"] == "id-new"
    assert world.named("client").incarnation == client
    life = world.named("web").incarnation
    pass_time(world, 500)
    assert world.named("web").incarnation == life


def test_a_digest_that_failed_is_tried_again_only_when_it_moved_on() -> None:
    """Rolled back to the image that ran; the same digest stays out for days, over a restart, and the next is tried."""
    world = proved()
    world.registry["nginx"] = "id-bad"
    pass_time(world, 101 + 61)
    world.settle()
    assert reasons(world) == ["Updating", "RolledBack"]
    assert made(world) == ["id-bad", "id-nginx"]
    (said,) = [c.message for c in world.status().conditions if c.type == "Progressing"]
    assert said.endswith("the last good version is in force until the file or an image changes")
    world.done.clear()
    pass_time(world, 3000)
    world.crash("web")
    pass_time(world, 300)
    assert made(world) == []
    assert len(pulls(world)) >= 30
    world.registry["nginx"] = "id-mended"
    pass_time(world, 101)
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world) == ["Updating", "RolledBack", "Updating", "UpdateSucceeded"]
    assert made(world) == ["id-mended"]


def test_a_digest_that_failed_is_tried_again_when_the_file_changes() -> None:
    """An edit may be what it needed."""
    world = proved()
    world.registry["nginx"] = "id-bad"
    pass_time(world, 101 + 61)
    world.settle()
    world.want = replace(watched(), grace_s=5.0)
    world.settle()
    say(world, passing=True)
    pass_time(world, 11)
    assert made(world) == ["id-bad", "id-nginx", "id-bad"]
    assert reasons(world)[-1] == "UpdateSucceeded"


def test_a_digest_that_failed_is_gone_when_the_tag_moves_back() -> None:
    """Who takes a release back in the registry has nothing to do here."""
    world = proved()
    world.registry["nginx"] = "id-bad"
    pass_time(world, 101 + 61)
    world.settle()
    world.registry["nginx"] = "id-nginx"
    world.done.clear()
    pass_time(world, 101)
    assert made(world) == []
    assert world.memory.failed is None
    assert not world.status().last_good


def test_offline_nothing_happens_and_it_is_said_once() -> None:
    """A registry that is away for an hour costs one event and one condition, and its return is told."""
    world = proved()
    life = world.named("web").incarnation
    world.registry["nginx"] = AWAY
    pass_time(world, 3600)
    assert len(pulls(world)) >= 30
    assert notes(world) == ["ImageCheckFailed"]
    assert world.named("web").incarnation == life
    (said,) = [c for c in world.status().conditions if c.type == "ImagesChecked"]
    assert (said.status, said.reason, said.message) == ("False", "CheckFailed", "no route")
    world.registry["nginx"] = "id-nginx"
    pass_time(world, 101)
    assert notes(world) == ["ImageCheckFailed", "ImageCheckSucceeded"]
    (said,) = [c for c in world.status().conditions if c.type == "ImagesChecked"]
    assert said.status == "True"


def test_a_registry_that_was_away_is_asked_again_before_the_day_is_over() -> None:
    """One look in a bad moment does not put an update off for a whole interval."""
    world = proved(watched(interval_s=DAY))
    world.registry["nginx"] = AWAY
    pass_time(world, DAY)
    world.registry["nginx"] = "id-new"
    pass_time(world, 601)
    assert made(world)[:1] == ["id-new"]


def test_one_registry_away_does_not_hold_up_the_other() -> None:
    """Each image is its own; the one that could be looked up is taken."""
    want = watched()
    client = replace(want.containers[1], image="busybox", pull_policy=PullPolicy.ALWAYS)
    world = World(want=replace(want, containers=(want.containers[0], client)), images=dict(IMAGES))
    world.registry = {"nginx": "id-nginx", "busybox": "id-busybox"}
    world.settle()
    say(world, passing=True)
    pass_time(world, 11)
    world.done.clear()
    world.registry |= {"nginx": AWAY, "busybox": "id-newer"}
    pass_time(world, 101)
    assert made(world) == ["id-newer"]
    assert notes(world) == ["ImageCheckFailed"]


def test_a_check_is_not_begun_anew_by_a_restart() -> None:
    """What the memory says of the next look holds, whoever reads it; one that was under way is asked for again."""
    world = proved(watched(interval_s=DAY))
    world.turn()
    assert world.memory.check is not None
    due = world.memory.check.due_at
    world.now = due - 1
    assert world.turn().actions == ()
    world.now = due
    asked = world.plan()
    assert [type(a).__name__ for a in asked.actions] == ["PullImage"]
    world.memory = asked.memory  # killed before the pull was asked for
    world.now += 60
    world.turn()
    assert pulls(world) == ["nginx"]
    world.turn()
    assert world.memory.check is not None
    assert world.memory.check.asked_at is None
    assert 0.9 * DAY <= world.memory.check.due_at - world.now <= DAY


def test_after_a_reboot_the_next_look_comes_soon() -> None:
    """Nobody knows for how long the host was off: not a whole day more, nor all pods at once."""
    world = proved(watched(interval_s=DAY))
    world.now, world.boot = 50.0, "next"
    world.turn()
    assert world.memory.check is not None
    assert world.memory.check.due_at <= world.now + 300


def test_pods_do_not_ask_together() -> None:
    """A hundred pods that start at once spread their first looks over the interval."""
    dues = []
    for number in range(100):
        world = World(want=replace(watched(), name=f"p{number}"), images=dict(IMAGES))
        world.turn()
        assert world.memory.check is not None
        dues.append(world.memory.check.due_at - world.now)
    assert min(dues) < 20
    assert max(dues) > 80
    assert len({int(d / 10) for d in dues}) == 10


def test_a_shorter_interval_holds_at_once() -> None:
    """Who goes from a day to a minute does not wait for the day."""
    world = proved(watched(interval_s=DAY))
    world.turn()
    world.want = watched(interval_s=60.0)
    pass_time(world, 61)
    assert pulls(world) == ["nginx"]


def test_what_is_stopped_or_being_updated_is_not_looked_up() -> None:
    """A stopped pod stays as it is, and an update is not overtaken while it proves itself."""
    world = proved()
    world.intent = Intent(stopped=True)
    pass_time(world, 500)
    assert pulls(world) == []
    world.intent = Intent()
    world.want = replace(watched(interval_s=20.0), update=replace(UPDATE, min_healthy_s=50.0, progress_deadline_s=60))
    world.settle()
    world.done.clear()
    world.registry["nginx"] = "id-bad"
    pass_time(world, 21)
    pass_time(world, 39)
    assert pulls(world) == ["nginx"]


def test_what_has_ended_is_not_made_anew() -> None:
    """A pod that did its work once does not do it again because somebody pushed."""
    world = proved(replace(watched(), restart_policy=RestartPolicy.NEVER))
    world.crash("web", 0)
    world.crash("client", 0)
    world.registry["nginx"] = "id-new"
    pass_time(world, 500)
    assert (pulls(world), made(world)) == ([], [])


def test_a_first_version_that_never_gets_ready_is_mended_by_a_push() -> None:
    """There is nothing to go back to, so the next image is the only way on."""
    world = World(want=watched(), images=dict(IMAGES), registry={"nginx": "id-nginx"})
    world.settle()
    world.registry["nginx"] = "id-mended"
    pass_time(world, 101)
    assert world.named("web").image_id == "id-mended"


def test_only_always_is_looked_up() -> None:
    """IfNotPresent means what Kubernetes means by it; a digest in a name never means another image."""
    digest = f"nginx@sha256:{'0' * 64}"
    for spec in (watched(policy=PullPolicy.IF_NOT_PRESENT), watched(digest)):
        world = World(want=spec, images=dict(IMAGES) | {digest: IMAGES["nginx"]})
        world.settle()
        say(world, passing=True)
        world.done.clear()
        pass_time(world, 500)
        assert pulls(world) == []


def test_an_image_that_moved_unasked_proves_itself_too() -> None:
    """A container that is removed by hand comes back with what its tag means by now, or with what was good."""
    for policy in (PullPolicy.ALWAYS, PullPolicy.IF_NOT_PRESENT):
        world = proved(replace(watched(policy=policy), auto_update_s=None))
        world.registry["nginx"] = "id-moved"
        world.images["nginx"] = ImageFact(ImageState.PRESENT, "id-moved", pulled_at=1.0)
        assert world.seen is not None
        world.seen = replace(world.seen, containers=tuple(c for c in world.seen.containers if c.name != "web"))
        world.settle()
        assert world.named("web").image_id == "id-moved"
        assert reasons(world) == ["Updating"]
        pass_time(world, 61)
        world.settle()
        assert world.named("web").image_id == "id-nginx"
        assert reasons(world) == ["Updating", "RolledBack"]


def test_an_image_that_moved_here_leaves_what_runs_alone() -> None:
    """Somebody else's pull of the same tag is no update of this pod while its container runs."""
    world = proved(replace(watched(policy=PullPolicy.IF_NOT_PRESENT), auto_update_s=None))
    life = world.named("web").incarnation
    world.images["nginx"] = ImageFact(ImageState.PRESENT, "id-moved", pulled_at=1.0)
    world.crash("web")
    world.settle()
    assert world.named("web").image_id == "id-nginx"
    assert world.named("web").incarnation.container_id == life.container_id


SIDECAR = ContainerSpec("proxy", "proxy", "proxy", PullPolicy.ALWAYS, restart_policy=RestartPolicy.ALWAYS)
STEP = ContainerSpec("step", "step", "step", PullPolicy.ALWAYS)


def with_inits(policy: PullPolicy = PullPolicy.NEVER) -> World:
    """Return a world that has proved itself, of a pod with a sidecar and a step that ends well."""
    want = replace(watched(policy=policy), init_containers=(SIDECAR, STEP))
    world = World(want=want, images=dict(IMAGES), codes={"step": 0})
    world.registry = {"nginx": "id-nginx", "proxy": "id-proxy", "step": "id-step"}
    world.images |= {i: ImageFact(ImageState.PRESENT, i, pulled_at=1.0) for i in ("id-proxy", "id-step")}
    world.settle()
    say(world, passing=True)
    pass_time(world, 11)
    assert world.memory.good is not None
    assert world.memory.good.images["step"] == "id-step"
    world.done.clear()
    world.notes.clear()
    return world


def pods_made(world: World) -> int:
    """Return how often the pod was made."""
    return kinds(world).count("CreatePod")


def prune(world: World) -> None:
    """Have somebody remove the containers that have ended."""
    assert world.seen is not None
    world.seen = replace(world.seen, containers=tuple(c for c in world.seen.containers if not c.state.dead))


def test_a_newer_sidecar_takes_the_place_of_the_old_one_alone() -> None:
    """A native sidecar is kept new as any container is, and the containers beside it run on."""
    world = with_inits()
    life = world.named("web").incarnation
    world.registry["proxy"] = "id-proxy-2"
    pass_time(world, 101)
    assert (made(world), pods_made(world)) == (["id-proxy-2"], 0)
    assert world.named("proxy").state is ContainerState.RUNNING
    assert world.named("web").incarnation == life
    pass_time(world, 11)
    assert reasons(world) == ["Updating", "UpdateSucceeded"]


def test_a_newer_step_does_its_work_before_the_containers_start_again() -> None:
    """A newer image of an init container makes the pod anew, as an edit of it would, once, and proves itself."""
    world = with_inits()
    world.registry |= {"step": "id-step-2", "proxy": "id-proxy-2"}
    pass_time(world, 101)
    assert set(pulls(world)) == {"proxy", "step"}
    order = [k for k in kinds(world) if k in {"PullImage", "RemovePod", "CreatePod"}]
    assert order == ["PullImage", "PullImage", "RemovePod", "CreatePod"]
    assert made(world) == ["id-proxy-2", "id-step-2", "nginx", "busybox"]
    (said,) = [n.message for n in world.notes if n.reason == "Updating"]
    assert said == "pod p is updated: proxy to proxy (id-proxy-2), step to step (id-step-2)"
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world) == ["Updating", "UpdateSucceeded"]
    assert world.memory.good is not None
    assert world.memory.good.images["step"] == "id-step-2"
    pass_time(world, 1000)
    assert pods_made(world) == 1


def test_a_step_that_fails_brings_back_the_one_that_worked() -> None:
    """A migration that cannot run costs the deadline, not the service; its digest is left alone until it moves."""
    world = with_inits()
    world.registry["step"] = "id-bad"
    world.codes["step"] = 1
    pass_time(world, 101 + 30)
    assert reasons(world) == ["Updating"]
    pass_time(world, 31)
    world.codes["step"] = 0
    world.settle()
    assert reasons(world) == ["Updating", "RolledBack"]
    assert world.named("step").image_id == "id-step"
    assert world.named("web").state is ContainerState.RUNNING
    world.done.clear()
    pass_time(world, 1000)
    assert (pods_made(world), made(world)) == (0, [])
    world.registry["step"] = "id-mended"
    pass_time(world, 101)
    assert made(world)[:2] == ["proxy", "id-mended"]


def test_steps_that_somebody_pruned_hide_nothing_and_repeat_nothing() -> None:
    """`podman container prune` every night neither restarts a pod nor keeps it from a newer init container."""
    world = with_inits()
    prune(world)
    life = world.named("web").incarnation
    pass_time(world, 500)
    assert (world.named("web").incarnation, made(world)) == (life, [])
    world.registry["step"] = "id-step-2"
    pass_time(world, 101)
    assert "id-step-2" in made(world)
    prune(world)
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world) == ["Updating", "UpdateSucceeded"]
    assert world.memory.good is not None
    assert world.memory.good.images["step"] == "id-step-2"
    prune(world)
    pass_time(world, 1000)
    assert pods_made(world) == 1


def test_an_image_of_a_step_that_moved_here_leaves_the_pod_alone() -> None:
    """Somebody's pull of the tag repeats no work that was done, whether the step's container is still there or not."""
    world = with_inits()
    assert world.want is not None
    inits = tuple(replace(c, pull_policy=PullPolicy.IF_NOT_PRESENT) for c in world.want.init_containers)
    world.want = replace(world.want, init_containers=inits, auto_update_s=None)
    world.settle()
    world.done.clear()
    world.images["step"] = ImageFact(ImageState.PRESENT, "id-moved", pulled_at=1.0)
    prune(world)
    pass_time(world, 500)
    assert (pods_made(world), made(world)) == (0, [])


def test_an_edit_of_the_pod_does_not_prove_itself_before_the_pod_is_made() -> None:
    """With minHealthySeconds: 0 what still runs as before says nothing of the version that is to come."""
    want = replace(pod(), update=replace(UPDATE, min_healthy_s=0.0))
    world = World(want=want, images=dict(IMAGES), facts=Facts("me"))
    world.settle()
    say(world, passing=True)
    world.settle()
    good = world.memory.good
    assert good is not None
    web = replace(want.containers[0], ports=(PortSpec(80, host_port=9090),))
    world.want = replace(want, containers=(web, *want.containers[1:]))
    world.turn()
    assert world.memory.good == good
    assert reasons(world) == ["Updating"]
    world.settle()
    assert world.memory.good == good
    say(world, passing=True)
    world.settle()
    assert reasons(world)[-1] == "UpdateSucceeded"
