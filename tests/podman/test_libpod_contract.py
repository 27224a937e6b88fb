"""What the engine may rely on of a Runtime, held against the fake libpod and the real one alike."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from podsupd.errors import PodmanConflict, PodmanNotFound, PodmanRejected
from podsupd.libpod import LibpodRuntime, find_url
from podsupd.libpod.connection import API, socket_path
from podsupd.model.observed import OWNER_LABEL, POD_LABEL, ContainerState
from podsupd.model.plan import CreateContainer
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from podsupd.model.volumes import EmptyDir, VolumeMount, VolumeSpec
from tests.fakes.libpod import FakeLibpod
from tests.fakes.meter import CountingMeter
from tests.fakes.objects import BUSYBOX
from tests.fakes.world import World, volume_names

OWNER = f"contract-{os.getpid()}"
_numbers = itertools.count(1)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.podman)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Yield a World of either kind."""
    async with contextlib.AsyncExitStack() as stack:
        fake = None
        if request.param == "fake":
            fake = await stack.enter_async_context(FakeLibpod(tmp_path / "podman.sock"))
        url = fake.url if fake else find_url("")
        meter = CountingMeter()
        runtime = await stack.enter_async_context(LibpodRuntime(url, meter=meter, request_timeout_s=30))
        name = f"contract-c{os.getpid()}-{next(_numbers)}"
        pod = PodSpec(
            name=name,
            source=Source("/etc/podsupd/pods.d/h2.yaml"),
            containers=(ContainerSpec("main", f"{name}-main", BUSYBOX),),
            share_process_namespace=True,
        )
        world = World(runtime, url, meter, fake, pod, {OWNER_LABEL: OWNER, POD_LABEL: name})
        stack.push_async_callback(world.clean)
        yield world


async def test_pod_shares_net_and_pid(world: World) -> None:
    """A pod with shareProcessNamespace has one list of namespaces, so that net is not lost to pid."""
    pod_id = await world.make_pod()
    pod = await world.see()
    assert pod.id == pod_id
    assert pod.shared_namespaces == {"net", "pid"}
    assert pod.owned_by(OWNER)
    assert pod.infra is not None
    assert pod.infra.label(OWNER_LABEL) == OWNER
    assert pod.containers == ()


async def test_pod_shares_net_alone(world: World) -> None:
    """Without shareProcessNamespace each container keeps its own processes."""
    world.pod = replace(world.pod, share_process_namespace=False)
    await world.make_pod()
    assert (await world.see()).shared_namespaces == {"net"}


async def test_second_pod_of_a_name_is_a_conflict(world: World) -> None:
    """A pod that somebody else made meanwhile is looked at again, not fought."""
    await world.make_pod()
    with pytest.raises(PodmanConflict, match=f"cannot create pod {world.pod.name}: .*already exists"):
        await world.make_pod()


async def test_pod_is_found_by_its_exact_name(world: World) -> None:
    """A pod whose id begins with another pod's name is not taken for it."""
    pod_id = await world.make_pod()
    assert await world.runtime.observe_pod("contract-not-there") is None
    assert await world.runtime.observe_pod(pod_id[:10]) is None


async def test_a_container_lives_dies_and_lives_again(world: World) -> None:
    """A restart in place is another incarnation of the same container, with its exit code kept in between."""
    _, container_id = await world.make()
    created = await world.only()
    assert (created.state, created.pid, created.started_epoch) == (ContainerState.CREATED, 0, 0.0)
    assert created.name == f"{world.pod.name}-main"

    await world.runtime.start_container(container_id)
    first = await world.only()
    assert first.state is ContainerState.RUNNING
    assert first.pid > 0
    assert first.started_epoch > 1.6e9
    assert container_id in first.oci_config_path
    assert first.oci_runtime
    await world.runtime.start_container(container_id)
    assert (await world.only()).incarnation == first.incarnation

    await world.runtime.signal_container(container_id, "SIGKILL")
    seen = await world.runtime.observe_death(world.pod.name, container_id)
    while seen is not None and not seen.containers[0].state.dead:
        seen = await world.runtime.observe_death(world.pod.name, container_id)
    assert seen is not None
    assert (seen.containers[0].exit_code, seen.containers[0].incarnation) == (137, first.incarnation)
    dead = (await world.until(lambda pod: pod.containers[0].state.dead)).containers[0]
    assert (dead.exit_code, dead.pid, dead.incarnation) == (137, 0, first.incarnation)
    assert dead.finished_epoch >= first.started_epoch
    with pytest.raises(PodmanConflict, match="cannot send SIGTERM to container"):
        await world.runtime.signal_container(container_id, "SIGTERM")

    await world.runtime.start_container(container_id)
    second = await world.only()
    assert second.id == first.id
    assert second.incarnation != first.incarnation


async def test_a_death_without_libpods_help_is_seen(world: World) -> None:
    """A first process killed from outside shows as an exit with the signal's code."""
    _, container_id = await world.make()
    await world.runtime.start_container(container_id)
    await world.crash(await world.only())
    dead = (await world.until(lambda pod: pod.containers[0].state.dead)).containers[0]
    assert dead.exit_code == 137


async def test_a_running_container_is_not_removed(world: World) -> None:
    """Nothing that runs can be removed by a stale plan."""
    pod_id, container_id = await world.make()
    await world.runtime.start_container(container_id)
    with pytest.raises(PodmanConflict, match="cannot remove container"):
        await world.runtime.remove_container(container_id)
    with pytest.raises(PodmanConflict, match="cannot remove pod"):
        await world.runtime.remove_pod(pod_id)
    assert (await world.only()).state is ContainerState.RUNNING


async def test_dead_container_and_pod_are_removed_once_and_again(world: World) -> None:
    """Removal of what is gone already is success, so an interrupted removal just goes on."""
    pod_id, container_id = await world.make()
    await world.runtime.start_container(container_id)
    await world.runtime.signal_container(container_id, "SIGKILL")
    await world.until(lambda pod: pod.containers[0].state.dead)
    await world.runtime.remove_container(container_id)
    await world.runtime.remove_container(container_id)
    pod = await world.see()
    assert pod.containers == ()
    assert pod.infra is not None
    assert pod.infra.state is ContainerState.RUNNING
    await world.runtime.remove_pod(pod_id)
    await world.runtime.remove_pod(pod_id)
    assert await world.runtime.observe_pod(world.pod.name) is None


async def test_a_pod_goes_with_its_dead_containers(world: World) -> None:
    """One call removes a pod whose containers are dead, with its infra container still running."""
    pod_id, container_id = await world.make()
    await world.runtime.start_container(container_id)
    await world.runtime.signal_container(container_id, "SIGKILL")
    await world.until(lambda pod: pod.containers[0].state.dead)
    await world.runtime.remove_pod(pod_id)
    relist = await world.runtime.relist()
    assert container_id not in relist.names.values()


async def test_missing_image_is_not_found(world: World) -> None:
    """Creating never pulls: a missing image is told apart from a refusal."""
    pod_id = await world.make_pod()
    spec = replace(world.spec, image="docker.io/library/contract-missing:latest")
    with pytest.raises(PodmanNotFound, match=r"cannot create container .*-main: .*image not known"):
        await world.runtime.create_container(CreateContainer(pod_id, world.pod, spec, "1:x"), world.labels)
    assert await world.runtime.image_id(spec.image) is None


async def test_image_id_is_what_containers_show(world: World) -> None:
    """A container's image can be compared with the one that its reference now means."""
    await world.make()
    assert await world.runtime.image_id(BUSYBOX) == (await world.only()).image_id


async def test_a_taken_container_name_is_a_conflict(world: World) -> None:
    """A name that another container took meanwhile is looked at again, not fought."""
    pod_id, _ = await world.make()
    with pytest.raises(PodmanConflict, match="cannot create container"):
        await world.make_container(pod_id)


async def test_a_container_for_a_pod_that_is_gone_is_not_found(world: World) -> None:
    """A pod removed between plan and action leads to another look."""
    with pytest.raises(PodmanNotFound, match="no such pod"):
        await world.make_container("0" * 64)


async def test_actions_on_what_is_gone_are_not_found(world: World) -> None:
    """A container removed by hand leads to another look, not to a failure of the pod."""
    with pytest.raises(PodmanNotFound, match="cannot start container 000000000000: "):
        await world.runtime.start_container("0" * 64)
    with pytest.raises(PodmanNotFound, match="cannot send SIGTERM"):
        await world.runtime.signal_container("0" * 64, "SIGTERM")


async def test_an_unknown_signal_is_rejected_with_its_cause(world: World) -> None:
    """A wrong stopSignal is shown as what it is."""
    _, container_id = await world.make()
    await world.runtime.start_container(container_id)
    with pytest.raises(PodmanRejected, match=r"cannot send SIGFOO to container .*: invalid signal: SIGFOO"):
        await world.runtime.signal_container(container_id, "SIGFOO")


async def test_infra_takes_the_pod_with_it_and_comes_back(world: World) -> None:
    """The infra container is PID 1: its death ends the pod, and a start of a container brings both back."""
    _, container_id = await world.make()
    await world.runtime.start_container(container_id)
    infra = (await world.see()).infra
    assert infra is not None
    await world.runtime.signal_container(infra.id, "SIGKILL")
    await world.until(lambda pod: pod.containers[0].state.dead and pod.infra is not None and pod.infra.state.dead)
    assert (await world.see()).ip == ""
    await world.runtime.start_container(container_id)
    pod = await world.see()
    assert pod.infra is not None
    assert (pod.infra.state, pod.containers[0].state) == (ContainerState.RUNNING, ContainerState.RUNNING)
    assert pod.infra.id == infra.id
    assert pod.ip


async def test_events_tell_of_start_and_death(world: World) -> None:
    """The event stream hastens a look at the pod, with the exit code for the log."""
    _, container_id = await world.make()
    seen = []
    events = world.runtime.events()
    first = asyncio.ensure_future(anext(events))
    async with asyncio.timeout(60):
        # A stream says nothing until something happens, so things are made to happen until it does.
        while not first.done():
            await world.runtime.start_container(container_id)
            await world.runtime.signal_container(container_id, "SIGKILL")
            await world.until(lambda pod: pod.containers[0].state.dead)
            await asyncio.wait([first], timeout=0.5)
        seen.append(first.result())
        await world.runtime.start_container(container_id)
        await world.runtime.signal_container(container_id, "SIGKILL")
        async for event in events:
            seen.append(event)
            if (event.id, event.action) == (container_id, "died"):
                break
    await events.aclose()  # type: ignore[attr-defined]
    died = seen[-1]
    assert (died.kind, died.name, died.exit_code) == ("container", f"{world.pod.name}-main", 137)
    assert all(event.exit_code is None for event in seen if event.action != "died")


async def test_logs_are_lines_of_both_streams(world: World) -> None:
    """The logs command shows what a container wrote, and where; following ends when the container does."""
    _, container_id = await world.make("echo one; echo two >&2; echo three; sleep 1000")
    await world.runtime.start_container(container_id)
    if world.fake is not None:
        for stream, text in (("stdout", "one"), ("stderr", "two"), ("stdout", "three")):
            world.fake.write_log(f"{world.pod.name}-main", stream, text)
    got = []
    async with asyncio.timeout(60):
        async for line in world.runtime.logs(container_id, "main", follow=True, tail=None):
            got.append(line)
            if line.text == "three":
                await world.runtime.signal_container(container_id, "SIGKILL")
    assert {(line.stream, line.text) for line in got} == {("stdout", "one"), ("stderr", "two"), ("stdout", "three")}
    assert {line.container for line in got} == {"main"}
    last = [line.text async for line in world.runtime.logs(container_id, "main", follow=False, tail=1)]
    # Podman reads the two streams apart: which line is the last may vary.
    assert len(last) == 1
    assert last[0] in {"two", "three"}


async def test_logs_of_nothing_are_not_found(world: World) -> None:
    """A log of a container that is gone is an error with its name."""
    with pytest.raises(PodmanNotFound, match="cannot read the log of main: "):
        await anext(world.runtime.logs("0" * 64, "main", follow=False, tail=None))


async def test_exec_returns_code_and_output(world: World) -> None:
    """An exec probe has the command's exit code and what it said, on either stream."""
    _, container_id = await world.make()
    await world.runtime.start_container(container_id)
    if world.fake is not None:
        world.fake.run = lambda _name, command: (3, "yes\n", "no\n") if "exit 3" in command[-1] else None
    result = await world.runtime.exec(container_id, ["sh", "-c", "echo yes; echo no >&2; exit 3"], 60)
    assert result.exit_code == 3
    assert sorted(result.output.split()) == ["no", "yes"]


async def test_exec_ends_at_its_timeout(world: World) -> None:
    """A probe's command that hangs is a failed attempt in time, not a stuck prober."""
    _, container_id = await world.make()
    await world.runtime.start_container(container_id)
    if world.fake is not None:
        world.fake.run = lambda _name, _command: None
    async with asyncio.timeout(60):
        result = await world.runtime.exec(container_id, ["sleep", "1000"], 0.5)
    assert result.exit_code == 137
    assert "not done within 0.5 s" in result.output


async def test_exec_in_a_dead_container_is_a_conflict(world: World) -> None:
    """A probe of a container that just died is not a verdict."""
    _, container_id = await world.make()
    with pytest.raises(PodmanConflict, match="cannot run true in container"):
        await world.runtime.exec(container_id, ["true"], 5)


async def test_a_failed_pull_has_the_registrys_word(world: World) -> None:
    """ImagePullBackOff says why, for one image, without a failure of Podman itself."""
    with pytest.raises(PodmanRejected, match=r"cannot pull image localhost:1/h2/none:1: .*"):
        async for _ in world.runtime.pull("localhost:1/h2/none:1"):
            pass
    assert ("pull", True) in world.meter.operations


async def test_empty_dirs_are_made_labelled_and_removed(world: World) -> None:
    """An emptyDir lives as long as its pod and leaves nothing behind."""
    mounts = (VolumeMount("data", "/data"), VolumeMount("fast", "/fast"))
    volumes = (VolumeSpec("data", EmptyDir()), VolumeSpec("fast", EmptyDir("Memory", 1 << 20)))
    world.pod = replace(world.pod, volumes=volumes, containers=(replace(world.spec, mounts=mounts),))
    pod_id, _ = await world.make()
    before = await volume_names(world)
    assert before == {f"{world.pod.name}-data", f"{world.pod.name}-fast"}
    await world.runtime.remove_pod(pod_id)
    await world.runtime.remove_volumes({OWNER_LABEL: OWNER, POD_LABEL: "contract-another"})
    assert await volume_names(world) == before
    await world.runtime.remove_volumes(world.labels)
    assert await volume_names(world) == set()


async def test_a_strangers_volume_is_not_used(world: World) -> None:
    """A volume of the same name that is not the pod's is never written to."""
    name = f"{world.pod.name}-data"
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket_path(world.url))) as session:
        await session.post(f"http://podman{API}volumes/create", json={"Name": name})
    world.pod = replace(
        world.pod,
        volumes=(VolumeSpec("data", EmptyDir()),),
        containers=(replace(world.spec, mounts=(VolumeMount("data", "/data"),)),),
    )
    pod_id = await world.make_pod()
    with pytest.raises(PodmanRejected, match=f"cannot use volume {name} for emptyDir data: .*is not this pod's"):
        await world.make_container(pod_id)


async def test_volumes_without_labels_are_not_removed(world: World) -> None:
    """An empty selection means nothing, not everything."""
    with pytest.raises(PodmanRejected, match="no labels were given"):
        await world.runtime.remove_volumes({})


async def test_relist_shows_pods_with_their_containers(world: World) -> None:
    """Two relists between which nothing happened are equal, and a death makes them differ."""
    pod_id, container_id = await world.make()
    await world.runtime.start_container(container_id)

    async def mine() -> object:
        relist = await world.runtime.relist()
        assert relist.names[f"{world.pod.name}-main"] == container_id
        (pod,) = [pod for pod in relist.pods if pod.name == world.pod.name]
        assert (pod.id, pod.owned_by(OWNER), len(pod.containers)) == (pod_id, True, 2)
        assert pod.infra_id in {c.id for c in pod.containers}
        return pod

    first = await mine()
    assert await mine() == first
    await world.runtime.signal_container(container_id, "SIGKILL")
    await world.until(lambda pod: pod.containers[0].state.dead)
    assert await mine() != first


async def test_info_names_the_podman(world: World) -> None:
    """The version command and the metrics name what answers, and exec probes find the OCI runtime."""
    info = await world.runtime.info()
    assert int(info.version.split(".")[0]) >= 4
    assert info.cgroup_manager in {"cgroupfs", "systemd"}
    assert all(path.startswith("/") for path in info.oci_runtimes.values())
    assert ("info", False) in world.meter.operations
