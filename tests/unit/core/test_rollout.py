"""Updates that have to prove themselves, and the way back."""

from dataclasses import replace
from typing import Any

import pytest
from core.world import CLIENT, POD, WEB, World, kinds

from podsupd.core.rollout import relies_on
from podsupd.model.observed import ContainerState
from podsupd.model.plan import (
    CreateContainer,
    Facts,
    ImageFact,
    ImageState,
    Intent,
    Verdict,
)
from podsupd.model.spec import (
    HttpGet,
    PodSpec,
    PortSpec,
    ProbeSpec,
    ProbeType,
    PullPolicy,
    RestartPolicy,
    UpdateSpec,
    Vantage,
)

READY = ProbeSpec("web/readiness", ProbeType.READINESS, Vantage.POD, HttpGet(80), "web")
UPDATE = UpdateSpec(min_healthy_s=10.0, progress_deadline_s=60.0)
IMAGES = {
    "nginx": ImageFact(ImageState.PRESENT, "id-nginx", pulled_at=1.0),
    "nginx:2": ImageFact(ImageState.PRESENT, "id-nginx-2", pulled_at=1.0),
    "busybox": ImageFact(ImageState.PRESENT, "id-busybox", pulled_at=1.0),
    "id-nginx": ImageFact(ImageState.PRESENT, "id-nginx", pulled_at=1.0),
    "id-busybox": ImageFact(ImageState.PRESENT, "id-busybox", pulled_at=1.0),
}


def pod(image: str = "nginx", update: UpdateSpec | None = UPDATE, **changes: Any) -> PodSpec:
    """Return a pod whose web container is Ready when its probe says so."""
    web = replace(WEB, image=image, probes=(READY,), **changes)
    return replace(POD, containers=(web, replace(CLIENT, probes=())), probes=(), update=update)


def say(world: World, passing: bool) -> None:  # noqa: FBT001
    """Have the readiness probe of the life that is there say this."""
    verdict = Verdict("web/readiness", world.named("web").incarnation, passing=passing)
    world.facts = replace(world.facts, verdicts={"web/readiness": verdict})


def proved(want: PodSpec | None = None) -> World:
    """Return a world whose pod runs and has proved itself."""
    world = World(want=want or pod(), images=dict(IMAGES), facts=Facts("me", after={"db": ""}))
    world.settle()
    say(world, passing=True)
    world.turn()
    world.now += 10
    world.turn()
    assert world.memory.good is not None
    world.done.clear()
    world.notes.clear()
    return world


def pass_time(world: World, seconds: float) -> None:
    """Let time pass, looking whenever the planner asks for it."""
    end = world.now + seconds
    while True:
        made = world.turn()
        if made.actions:
            continue
        if made.wake_at is None or made.wake_at > end:
            break
        world.now = max(world.now + 0.001, made.wake_at)
    world.now = end
    world.turn()


def reasons(world: World) -> list[str]:
    """Return the reasons that an update was told of."""
    wanted = {"Updating", "UpdateSucceeded", "RolledBack", "UpdateFailed"}
    return [n.reason for n in world.notes if n.reason in wanted]


def condition(world: World) -> tuple[str, str]:
    """Return the Progressing condition."""
    (found,) = [c for c in world.status().conditions if c.type == "Progressing"]
    return found.status, found.reason


def test_an_update_that_stays_ready_is_the_new_good_version() -> None:
    """Ready for minHealthySeconds: then, and not before, the new version is what one would go back to."""
    world = proved()
    good = world.memory.good
    world.want = pod("nginx:2")
    world.settle()
    assert world.named("web").image == "nginx:2"
    assert condition(world) == ("True", "Updating")
    say(world, passing=True)
    pass_time(world, 9)
    assert world.memory.good == good
    pass_time(world, 1)
    assert reasons(world) == ["Updating", "UpdateSucceeded"]
    assert world.memory.good is not None
    assert world.memory.good.images["web"] == "id-nginx-2"
    assert condition(world) == ("True", "Updated")
    assert world.turn().settled


def test_an_update_that_is_not_ready_in_time_goes_back_to_the_very_image() -> None:
    """The good version comes back offline with the image that it ran, although its tag means another by now."""
    world = proved()
    client = world.named("client").incarnation
    world.want = pod("nginx:2")
    world.settle()
    world.images["nginx"] = replace(IMAGES["nginx"], image_id="id-moved")
    pass_time(world, 59)
    assert reasons(world) == ["Updating"]
    pass_time(world, 1)
    world.settle()
    assert reasons(world) == ["Updating", "RolledBack"]
    made = [a.container.reference for a in world.done if isinstance(a, CreateContainer)]
    assert made == ["id-nginx-2", "id-nginx"]
    assert "PullImage" not in kinds(world)
    assert world.named("client").incarnation == client
    assert world.named("web").state is ContainerState.RUNNING
    assert condition(world) == ("False", "RolledBack")
    assert "containers with unready status: [web]" in world.turn().why
    assert world.status().last_good


def test_the_way_back_does_not_wait_for_the_back_off_of_what_failed() -> None:
    """A start of the good version that Podman refuses once is tried again in a second, not after five minutes."""
    world = proved()
    world.want = pod("nginx:2")
    world.codes["web"] = 1
    pass_time(world, 59)
    held_until = world.memory.containers["web"].not_before
    del world.codes["web"]
    world.now += 2
    made = world.turn(limit=0)
    while not any(isinstance(a, CreateContainer) for a in made.actions):
        made = world.turn(limit=1)
    world.refuse(made.actions[1], "busy")
    world.settle()
    assert world.named("web").image_id == "id-nginx"
    assert world.named("web").state is ContainerState.RUNNING
    assert world.now < held_until - 1


def test_a_failed_version_is_not_tried_again_until_the_file_changes() -> None:
    """Not after a crash, a reboot or a restart of the daemon; any change of what the file says is a new try."""
    world = proved()
    world.want = bad = pod("nginx:2")
    pass_time(world, 61)
    world.settle()
    world.crash("web")
    world.settle()
    world.kill_infra()
    world.boot = "next"
    world.settle()
    assert world.named("web").image == "nginx"
    world.want = replace(bad, grace_s=5.0)
    world.settle()
    assert world.named("web").image == "nginx:2"
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world)[-1] == "UpdateSucceeded"


def test_what_flaps_has_not_proved_itself() -> None:
    """Each break begins the count anew, and so does a container that came back from a crash."""
    world = proved()
    world.want = pod("nginx:2")
    world.settle()
    say(world, passing=True)
    pass_time(world, 8)
    say(world, passing=False)
    pass_time(world, 1)
    say(world, passing=True)
    pass_time(world, 8)
    world.crash("client")
    world.settle()
    pass_time(world, 8)
    assert reasons(world) == ["Updating"]
    pass_time(world, 3)
    assert reasons(world) == ["Updating", "UpdateSucceeded"]


def test_nothing_stops_before_all_images_are_here() -> None:
    """Two containers change; one image is here: the old pod goes on whole, and no clock runs against the update."""
    world = proved()
    world.images["nginx:3"] = ImageFact(ImageState.FAILED, message="no route", retry_at=1e9)
    web, client = pod("nginx:3").containers
    world.want = replace(pod(), containers=(web, replace(client, env=(("A", "1"),))))
    pass_time(world, 300)
    assert "SignalContainer" not in kinds(world)
    assert "no route" in world.turn().why
    assert reasons(world) == []
    world.images["nginx:3"] = ImageFact(ImageState.PRESENT, "id-nginx-3", pulled_at=world.now)
    world.settle()
    assert world.named("web").image == "nginx:3"


def test_what_dies_while_an_update_is_prepared_comes_back_as_it_was() -> None:
    """A registry that is away does not cost the old version its supervision."""
    world = proved()
    world.images["nginx:3"] = ImageFact(ImageState.FAILED, message="no route", retry_at=1e9)
    world.want = pod("nginx:3")
    world.turn()
    world.crash("web")
    world.turn()
    world.turn()
    assert world.named("web").state is ContainerState.RUNNING
    assert world.named("web").image == "nginx"


def test_always_means_a_pull_before_anything_stops() -> None:
    """ImagePullPolicy Always asks the registry first and replaces then."""
    world = proved(pod(pull_policy=PullPolicy.ALWAYS))
    world.want = pod("nginx:2", pull_policy=PullPolicy.ALWAYS)
    world.settle()
    order = kinds(world)
    assert order.index("PullImage") < order.index("SignalContainer")
    assert order.count("PullImage") == 1


def test_an_update_of_the_whole_pod_goes_back_too() -> None:
    """Another port needs another pod; that one is made anew with the old port when it does not come up."""
    world = proved()
    world.want = pod(ports=(PortSpec(80, host_port=9999),))
    world.settle()
    assert kinds(world).count("CreatePod") == 1
    pass_time(world, 61)
    world.settle()
    assert kinds(world).count("CreatePod") == 2
    shown = world.status().spec
    assert shown is not None
    assert shown.published_ports == pod().published_ports


def test_a_revert_while_it_is_tried_needs_no_deadline() -> None:
    """Who sees that it is bad puts the old file back, and that is in force at once."""
    world = proved()
    good = world.want
    world.want = pod("nginx:2")
    world.settle()
    world.want = good
    world.settle()
    assert world.named("web").image == "nginx"
    assert world.memory.rollout is None
    assert reasons(world) == ["Updating"]


def test_a_newer_version_has_its_own_time() -> None:
    """The clock of a version that was replaced does not run against the next."""
    world = proved()
    world.want = pod("nginx:2")
    pass_time(world, 50)
    world.want = pod("nginx:2", env=(("A", "1"),))
    world.settle()
    pass_time(world, 50)
    assert reasons(world) == ["Updating", "Updating"]
    pass_time(world, 20)
    assert reasons(world)[-1] == "RolledBack"


def test_without_rollback_a_failed_update_is_told_and_stays() -> None:
    """Some want to look at it themselves."""
    late = replace(UPDATE, rollback=False)
    world = proved(pod(update=late))
    world.want = pod("nginx:2", update=late)
    pass_time(world, 300)
    assert reasons(world) == ["Updating", "UpdateFailed"]
    assert world.named("web").image == "nginx:2"
    assert condition(world) == ("False", "ProgressDeadlineExceeded")
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world)[-1] == "UpdateSucceeded"


def test_a_change_that_makes_nothing_anew_needs_no_proof() -> None:
    """Labels, probes and grace are taken as they are; the good version has them from then on."""
    world = proved()
    assert world.want is not None
    world.want = replace(world.want, grace_s=3.0, labels={"a": "b"})
    assert world.settle().settled
    assert reasons(world) == []
    assert world.done == []


def test_the_first_version_has_nothing_to_go_back_to() -> None:
    """A new pod that never gets Ready is tried for ever."""
    world = World(want=pod("nginx:2"), images=dict(IMAGES))
    pass_time(world, 500)
    assert reasons(world) == []
    assert world.named("web").image == "nginx:2"
    assert condition(world) == ("True", "Starting")


def test_a_pause_or_a_stop_by_an_operator_is_no_failure() -> None:
    """The clock waits for who holds the pod up on purpose."""
    world = proved()
    world.want = pod("nginx:2")
    world.settle()
    world.change(world.named("web").id, lambda c: replace(c, state=ContainerState.PAUSED))
    pass_time(world, 100)
    world.change(world.named("web").id, lambda c: replace(c, state=ContainerState.RUNNING))
    world.intent = Intent(stopped=True)
    pass_time(world, 100)
    world.intent = Intent()
    world.settle()
    say(world, passing=True)
    pass_time(world, 11)
    assert reasons(world)[-1] == "UpdateSucceeded"


def test_time_in_which_nobody_could_look_does_not_count() -> None:
    """A Podman that was away, or a daemon that did not run, is not the update's fault."""
    world = proved()
    world.want = pod("nginx:2")
    world.settle()
    world.now += 1000
    world.facts = replace(world.facts, watching_since=world.now)
    pass_time(world, 59)
    assert reasons(world) == ["Updating"]
    pass_time(world, 2)
    assert reasons(world) == ["Updating", "RolledBack"]


def test_a_job_proves_itself_by_its_end() -> None:
    """What is to end well is never Ready; its exit code says what it is worth."""
    job = replace(pod(), restart_policy=RestartPolicy.NEVER)
    for code, outcome in ((0, "UpdateSucceeded"), (1, "RolledBack")):
        world = proved(job)
        world.want = replace(pod("nginx:2"), restart_policy=RestartPolicy.NEVER)
        world.settle()
        world.crash("web", code)
        world.crash("client", 0)
        pass_time(world, 61)
        assert reasons(world) == ["Updating", outcome]


def test_an_image_that_somebody_removed_is_asked_for_by_its_name() -> None:
    """A way back that lost its image tries the next best thing."""
    world = proved()
    world.want = pod("nginx:2")
    world.settle()
    world.images["id-nginx"] = ImageFact(ImageState.ABSENT)
    pass_time(world, 61)
    world.settle()
    made = [a.container.reference for a in world.done if isinstance(a, CreateContainer)]
    assert made == ["id-nginx-2", "nginx"]


def test_the_good_version_relies_on_what_it_relied_on() -> None:
    """A version with another after waits for its own pods, and the way back for those of the good one."""
    world = proved(replace(pod(), after=("db",)))
    assert relies_on(replace(pod("nginx:2"), after=("queue",)), world.memory) == ("queue", "db")
    assert relies_on(None, world.memory) == ()
    world.facts = replace(world.facts, after={"queue": "Pending", "db": ""})
    world.want = replace(pod("nginx:2"), after=("queue",))
    pass_time(world, 100)
    assert world.named("web").image == "nginx"
    assert "waits for queue (Pending)" in world.turn().why
    world.kill_infra()
    pass_time(world, 100)
    assert world.named("web").state is ContainerState.RUNNING


def test_a_pod_without_the_policy_is_updated_at_once() -> None:
    """Nothing is remembered and nothing is proved for a pod that does not ask for it."""
    world = proved()
    world.want = pod("nginx:2", update=None)
    world.settle()
    assert (world.memory.good, world.memory.rollout, reasons(world)) == (None, None, [])


@pytest.mark.parametrize("lost", ["", "not a spec"])
def test_a_good_version_that_cannot_be_read_is_none(lost: str) -> None:
    """Without a way back the new version stays; nothing is torn down for it."""
    world = proved()
    assert world.memory.good is not None
    world.memory = replace(world.memory, good=replace(world.memory.good, spec=lost))
    world.want = pod("nginx:2")
    pass_time(world, 100)
    assert reasons(world) == []
    assert world.named("web").image == "nginx:2"
