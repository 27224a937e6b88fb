"""What only a fake can show of the Runtime: races, streams that break, pulls that succeed."""

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from podsupd.errors import PodmanConflict, PodmanRejected, PodmanUnavailable
from podsupd.libpod import LibpodRuntime
from podsupd.libpod.connection import Call
from podsupd.model.observed import OWNER_LABEL, ContainerState, ObservedPod
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.references import Login
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from tests.fakes.libpod import FakeLibpod, Fault
from tests.fakes.meter import CountingMeter
from tests.fakes.objects import BUSYBOX

POD = PodSpec(
    name="p",
    source=Source("/etc/p.yaml"),
    containers=(ContainerSpec("a", "p-a", BUSYBOX), ContainerSpec("b", "p-b", BUSYBOX)),
    share_process_namespace=True,
)


async def make(runtime: LibpodRuntime, pod: PodSpec = POD) -> ObservedPod:
    """Create and start a pod of two containers."""
    pod_id = await runtime.create_pod(CreatePod(pod, "1:x"), {})
    for spec in pod.containers:
        await runtime.start_container(
            await runtime.create_container(CreateContainer(pod_id, pod, spec, "1:x"), {})
        )  # fmt: skip
    seen = await runtime.observe_pod(pod.name)
    assert seen is not None
    return seen


async def test_a_container_that_vanishes_during_a_look_is_left_out(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A removal at the wrong moment does not spoil the picture of the rest."""
    await make(runtime)
    fake.crash("p-a", 1)
    fake.fail("inspect_container", Fault(status=404, cause="no such container", message="gone", after=1))
    seen = await runtime.observe_pod("p")
    assert seen is not None
    assert seen.infra is not None
    assert [c.name for c in seen.containers] == ["p-b"]


async def test_a_look_asks_podman_for_its_own_pod_alone(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A host of a hundred pods costs no more for each of them than a host of one: nothing is listed."""
    before = await make(runtime)
    await make(runtime, replace(POD, name="q", containers=(ContainerSpec("a", "q-a", BUSYBOX),)))
    fake.calls.clear()
    assert await runtime.observe_pod("p") == before
    assert before.infra is not None
    members = [before.infra, *before.containers]
    assert fake.calls == [("inspect_pod", "p"), *(("inspect_container", c.id) for c in members)]


async def test_two_deaths_within_a_second_are_two(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A container that crashes twice at once is not taken for dead since its first death, and started a third time."""
    before = (await make(runtime)).containers[0]
    lives = [f"2026-11-22T20:09:18.{nanoseconds}Z" for nanoseconds in ("083992000", "645244000")]
    seen = []
    for started in lives:
        await runtime.start_container(before.id)
        fake.containers[before.id]["State"]["StartedAt"] = started
        fake.crash("p-a", 3)
        pod = await runtime.observe_pod("p")
        assert pod is not None
        seen.append(pod.containers[0].started_at)
    assert seen == lives


async def test_a_death_costs_one_inspect(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A restart waits for the container that died alone, and the rest is seen as it was before."""
    before = await make(runtime)
    dead = before.containers[0].id
    fake.crash("p-a", 3)
    fake.calls.clear()
    seen = await runtime.observe_death("p", dead)
    assert seen is not None
    assert [(c.name, c.state.dead, c.exit_code) for c in seen.containers] == [("p-a", True, 3), ("p-b", False, 0)]
    assert [operation for operation, _ in fake.calls] == ["inspect_container"]
    assert await runtime.observe_pod("p") == seen


async def test_a_death_that_podman_has_not_recorded_yet_is_waited_for(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """The kernel is faster than conmon: the container is inspected again until its end is written down."""
    before = await make(runtime)
    look = asyncio.create_task(runtime.observe_death("p", before.containers[0].id))
    fake.calls.clear()
    while ("inspect_container", before.containers[0].id) not in fake.calls:
        await asyncio.sleep(0)
    fake.crash("p-a", 3)
    seen = await look
    assert seen is not None
    assert seen.containers[0].exit_code == 3


async def test_a_container_that_died_and_is_gone_is_missing_from_its_pod(
    fake: FakeLibpod, runtime: LibpodRuntime
) -> None:
    """Removed meanwhile, or never seen: the whole pod is looked at."""
    before = await make(runtime)
    dead = before.containers[0].id
    fake.crash("p-a", 3)
    await runtime.remove_container(dead)
    for container_id in (dead, "f" * 64):
        seen = await runtime.observe_death("p", container_id)
        assert seen is not None
        assert [c.name for c in seen.containers] == ["p-b"]


async def test_an_adopted_owner_is_read_as_our_own(runtime: LibpodRuntime) -> None:
    """What was taken over is ours in every answer, although its labels cannot be changed; the rest is not."""
    ours, lost, foreign = "1" * 32, "2" * 32, "3" * 32
    for name, owner in (("p", lost), ("q", foreign)):
        await runtime.create_pod(CreatePod(replace(POD, name=name), "1:x"), {OWNER_LABEL: owner})
    seen = await runtime.observe_pod("p")
    assert seen is not None
    assert seen.owned_by(lost)
    runtime.recognise(ours, {lost})
    looked = {name: await runtime.observe_pod(name) for name in ("p", "q")}
    assert {n: s.owned_by(ours) for n, s in looked.items() if s is not None} == {"p": True, "q": False}
    assert {p.name: p.owned_by(ours) for p in (await runtime.relist()).pods} == {"p": True, "q": False}


async def test_a_pod_that_vanishes_is_none(runtime: LibpodRuntime) -> None:
    """No pod is an answer, not an error."""
    seen = await make(runtime)
    for container in seen.containers:
        await runtime.signal_container(container.id, "SIGTERM")
    await runtime.remove_pod(seen.id)
    assert await runtime.observe_pod("p") is None


async def test_clean_up_in_progress_is_a_conflict(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A start that comes some milliseconds too early is tried again, not counted as a failure."""
    seen = await make(runtime)
    cause = "container state improper"
    fake.fail("start", Fault(status=500, cause=cause, message=f"must be in Created or Stopped state: {cause}"))
    with pytest.raises(PodmanConflict, match="cannot start container"):
        await runtime.start_container(seen.containers[0].id)


async def test_a_container_that_is_half_removed_is_seen_as_such(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """Podman 4.3 lists a container whose `podman rm` was killed, and refuses to inspect it: its storage is gone."""
    seen = await make(runtime)
    ours = seen.containers[0]
    for status, expected in (("removing", ContainerState.REMOVING), ("running", ContainerState.UNKNOWN)):
        fake.container(ours.id)["State"]["Status"] = status
        fake.fail(
            "inspect_container", Fault(status=500, cause="container not known", message="container not known", after=1)
        )
        now = await runtime.observe_pod(seen.name)
        assert now is not None
        assert (now.containers[0].id, now.containers[0].labels) == (ours.id, ours.labels)
        assert now.containers[0].state is expected
        assert "container not known" in now.containers[0].error


async def test_an_infra_container_that_its_pod_lost_is_none(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A removal that Podman 5 broke off leaves a pod that takes no containers: it is made anew, and has no stranger."""
    seen = await make(runtime)
    del fake.pods[seen.id]["InfraContainerID"]
    now = await runtime.observe_pod(seen.name)
    assert now is not None
    assert (now.infra, now.containers) == (None, seen.containers)


async def test_a_removal_by_force_leaves_volumes(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """What has to go by force goes without the data beside it."""
    seen = await make(runtime)
    await runtime.start_container(seen.containers[0].id)
    with pytest.raises(PodmanConflict):
        await runtime.remove_container(seen.containers[0].id)
    await runtime.remove_container(seen.containers[0].id, force=True)
    assert fake.queries[-1] == {"force": "true", "timeout": "0", "volumes": "false"}
    assert seen.containers[0].id not in fake.containers


async def test_a_removal_reported_as_failed_inside_a_200_is_an_error(
    fake: FakeLibpod, runtime: LibpodRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of failure is believed over the status code."""
    monkeypatch.setitem(fake._recorded, "container_running_removed", {"Err": "device busy", "Id": "x", "response": 200})
    seen = await make(runtime)
    with pytest.raises(PodmanRejected, match=r"cannot remove container .*: device busy"):
        await runtime.remove_container(seen.containers[0].id)


async def test_a_pull_yields_progress_and_leaves_the_image(
    fake: FakeLibpod, runtime: LibpodRuntime, meter: CountingMeter
) -> None:
    """A user sees that a pull is under way, and the image is there after it."""
    reference = "quay.io/x/y:1"
    fake.registry.add(reference)
    assert await runtime.image_id(reference) is None
    lines = [line async for line in runtime.pull(reference)]
    assert lines == [f"Trying to pull {reference}...", "Writing manifest"]
    assert await runtime.image_id(reference) == fake.images[reference]
    assert ("pull", False) in meter.operations


async def test_a_pull_cut_off_by_a_dying_podman_is_unavailable(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A pull that breaks in the middle is not taken for a finished one."""
    fake.fail("pull", Fault(drop=True))
    with pytest.raises(PodmanUnavailable, match="cannot pull image x"):
        async for _ in runtime.pull("x"):
            pass


async def test_events_end_when_podman_does(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """The observer learns that its stream broke, after any silence, and connects anew."""
    seen = await make(runtime)
    events = runtime.events()
    first = asyncio.ensure_future(anext(events))
    while not fake._listeners:
        await asyncio.sleep(0)
    # Longer than the request timeout: silence is normal here.
    await asyncio.sleep(0.4)
    fake.crash("p-a", 3)
    event = await first
    assert (event.action, event.name, event.exit_code) == ("died", "p-a", 3)
    assert event.id == next(c.id for c in seen.containers if c.name == "p-a")
    await fake.die()
    with pytest.raises(PodmanUnavailable, match="cannot follow events"):
        await anext(events)


async def test_a_supplied_pid_is_seen(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """Tests of deaths can give a container a process of their own."""
    fake.supplied_pids["p-b"] = 4711
    seen = await make(runtime)
    assert [c.pid for c in seen.containers if c.name == "p-b"] == [4711]


async def test_twenty_pods_are_listed(runtime: LibpodRuntime) -> None:
    """The fake carries as many pods as a test of the fleet wants."""
    for number in range(20):
        name = f"p{number}"
        containers = tuple(replace(c, runtime_name=f"{name}-{c.name}") for c in POD.containers)
        await make(runtime, replace(POD, name=name, containers=containers))
    relist = await runtime.relist()
    assert len(relist.pods) == 20
    assert len(relist.names) == 60
    assert {c.state for pod in relist.pods for c in pod.containers} == {ContainerState.RUNNING}


async def test_a_login_is_sent_with_the_pull_and_not_shown(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """The registry learns who asks, and nobody who reads our errors or debugging output does."""
    reference = "quay.io/x/private:1"
    fake.registry.add(reference)
    lines = [line async for line in runtime.pull(reference, Login("team", "s3cret"))]
    assert lines[-1] == "Writing manifest"
    (sent,) = fake.logins
    assert json.loads(base64.urlsafe_b64decode(sent)) == {"username": "team", "password": "s3cret"}
    call = Call("pull", "pull it", "POST", "images/pull", headers={"X-Registry-Auth": sent})
    assert sent not in repr(call)
