"""What the real Podman makes of what podsupd creates, told by podman-py as an independent witness."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import podman
import pytest
from e2e.harness import free_port

from podsupd.errors import PodmanConflict, PodmanUnavailable
from podsupd.libpod import LibpodRuntime, OwnService, find_url, service
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, POD_LABEL, ObservedPod
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.spec import ContainerSpec, PodSpec, PortSpec, Resources, Source
from podsupd.model.volumes import EmptyDir, HostPath, VolumeMount, VolumeSpec
from tests.fakes.meter import CountingMeter
from tests.fakes.objects import BUSYBOX, NGINX

pytestmark = pytest.mark.podman

PORT = free_port()
_numbers = itertools.count(1)


@pytest.fixture
async def runtime() -> AsyncIterator[LibpodRuntime]:
    """Yield a Runtime on the host's Podman."""
    async with LibpodRuntime(find_url(""), meter=CountingMeter(), request_timeout_s=30) as runtime:
        yield runtime


@pytest.fixture
def witness() -> Any:
    """Return podman-py's client, which shares no code with ours."""
    with contextlib.closing(podman.PodmanClient(base_url=find_url(""))) as client:
        yield client


@pytest.fixture
async def name(runtime: LibpodRuntime) -> AsyncIterator[str]:
    """Yield a name for a pod, and remove the pod and its volumes at the end."""
    name = f"libpod-r{os.getpid()}-{next(_numbers)}"
    yield name
    subprocess.run(["podman", "pod", "rm", "--force", "--time=0", "--ignore", name], check=True, capture_output=True)
    await runtime.remove_volumes({OWNER_LABEL: f"libpod-{os.getpid()}", POD_LABEL: name})


def labels(pod: PodSpec) -> dict[str, str]:
    """Return the labels that make a pod ours."""
    return {OWNER_LABEL: f"libpod-{os.getpid()}", POD_LABEL: pod.name}


async def bring_up(runtime: LibpodRuntime, pod: PodSpec) -> ObservedPod:
    """Create and start a pod with its containers."""
    pod_id = await runtime.create_pod(CreatePod(pod, "1:x"), labels(pod))
    for spec in pod.containers:
        action = CreateContainer(pod_id, pod, spec, "1:x")
        container_id = await runtime.create_container(action, {**labels(pod), CONTAINER_LABEL: spec.name})
        await runtime.start_container(container_id)
    seen = await runtime.observe_pod(pod.name)
    assert seen is not None
    return seen


async def kill(runtime: LibpodRuntime, container_id: str, pod: str) -> None:
    """Kill a container and wait until Podman says so."""
    await runtime.signal_container(container_id, "SIGKILL")
    async with asyncio.timeout(60):
        while True:
            seen = await runtime.observe_pod(pod)
            if seen is None or all(c.state.dead for c in seen.containers if c.id == container_id):
                return
            await asyncio.sleep(0.01)


async def test_the_missions_pod_is_what_was_asked(runtime: LibpodRuntime, witness: Any, name: str) -> None:
    """Namespaces, port, labels, host name, restart policy and health check are Podman's own word for it."""
    pod = PodSpec(
        name=name,
        source=Source("/p.yaml"),
        containers=(
            ContainerSpec("nginx-server", f"{name}-nginx", NGINX, ports=(PortSpec(80, host_port=PORT),)),
            ContainerSpec(
                "busybox-client", f"{name}-client", BUSYBOX, command=("sh", "-c"), args=("sleep 1000",),
                env=(("GREETING", "hello"),), working_dir="/tmp",
                resources=Resources(cpu_limit_milli=500, memory_limit=64 << 20),
            ),
        ),
        labels={"app": "web"},
        share_process_namespace=True,
        grace_s=7,
    )  # fmt: skip
    seen = await bring_up(runtime, pod)

    told = witness.pods.get(name).attrs
    assert set(told["SharedNamespaces"]) == {"net", "pid"}
    assert told["Labels"] == {"app": "web", **labels(pod)}
    assert told["ExitPolicy"] == "continue"
    assert told["InfraConfig"]["PortBindings"]["80/tcp"][0]["HostPort"] == str(PORT)

    client = witness.containers.get(f"{name}-client").attrs
    assert client["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert client["Config"]["Healthcheck"]["Test"] == ["NONE"]
    assert client["Config"]["StopTimeout"] == 7
    assert client["Config"]["WorkingDir"] == "/tmp"
    assert client["Config"]["Labels"][CONTAINER_LABEL] == "busybox-client"
    assert client["HostConfig"]["Memory"] == 64 << 20
    assert client["HostConfig"]["NanoCpus"] == 500_000_000
    assert {"GREETING=hello", "PATH=/bin"} <= set(client["Config"]["Env"])

    by_name = {c.name: c for c in seen.containers}
    assert by_name[f"{name}-nginx"].stop_signal == "SIGQUIT"
    assert by_name[f"{name}-client"].stop_signal == "SIGTERM"
    assert by_name[f"{name}-client"].pid == client["State"]["Pid"]
    serves = "until wget -q -O /dev/null http://127.0.0.1/; do sleep 0.1; done"
    said = await runtime.exec(by_name[f"{name}-client"].id, ["sh", "-c", f"{serves}; hostname; ps"], 60)
    assert "nginx: master" in said.output
    assert name in said.output.splitlines()
    with contextlib.closing(socket.create_connection(("127.0.0.1", PORT), timeout=20)):
        pass


async def test_volumes_are_as_kubernetes_has_them(
    runtime: LibpodRuntime, witness: Any, name: str, tmp_path: Path
) -> None:
    """A hostPath is made, an emptyDir is empty, writable by all, shared and bounded; readOnly is read-only."""
    host = tmp_path / "made"
    mounts = (VolumeMount("host", "/host", read_only=True), VolumeMount("data", "/bin2"), VolumeMount("fast", "/fast"))
    pod = PodSpec(
        name=name,
        source=Source("/p.yaml"),
        containers=(
            ContainerSpec("a", f"{name}-a", BUSYBOX, command=("sleep", "1000"), mounts=mounts),
            ContainerSpec(
                "b", f"{name}-b", BUSYBOX, command=("sleep", "1000"), mounts=(VolumeMount("data", "/tmp"),)
            ),
        ),
        volumes=(
            VolumeSpec("host", HostPath(str(host), "DirectoryOrCreate")),
            VolumeSpec("data", EmptyDir()),
            VolumeSpec("fast", EmptyDir("Memory", 1 << 20)),
        ),
    )  # fmt: skip
    first, second = (await bring_up(runtime, pod)).containers
    assert host.is_dir()
    script = "touch /host/x; touch /bin2/shared; stat -c %a /bin2 /fast; df -k /fast | tail -1"
    said = await runtime.exec(first.id, ["sh", "-c", script], 60)
    assert "Read-only file system" in said.output
    assert said.output.count("777") == 2
    assert "tmpfs" in said.output
    assert "1024 " in said.output
    assert (await runtime.exec(second.id, ["ls", "/tmp"], 60)).output == "shared\n"
    assert witness.volumes.get(f"{name}-data").attrs["Labels"] == labels(pod)


async def test_anonymous_volumes_go_with_their_container(runtime: LibpodRuntime, name: str, tmp_path: Path) -> None:
    """An image's VOLUME leaves nothing behind, however often its container is made anew."""
    image = f"localhost/{name}:latest"
    containerfile = tmp_path / "Containerfile"
    containerfile.write_text(f"FROM {BUSYBOX}\nVOLUME /kept\n")
    podman_command("build", "--quiet", "--tag", image, "--file", str(containerfile), str(tmp_path))
    spec = ContainerSpec("a", f"{name}-a", image, command=("sleep", "1000"))
    pod = PodSpec(name, Source("/p.yaml"), (spec,))
    try:
        seen = await bring_up(runtime, pod)
        mounts = podman_command("inspect", "--format", "{{range .Mounts}}{{.Name}}{{end}}", f"{name}-a")
        assert mounts in podman_command("volume", "ls", "--quiet").split()
        await kill(runtime, seen.containers[0].id, name)
        await runtime.remove_container(seen.containers[0].id)
        assert mounts not in podman_command("volume", "ls", "--quiet").split()
    finally:
        podman_command("pod", "rm", "--force", "--time=0", "--ignore", name)
        podman_command("rmi", image)


async def test_an_exec_that_times_out_is_killed(runtime: LibpodRuntime, name: str) -> None:
    """A probe that hangs leaves no process in the container."""
    spec = ContainerSpec("a", f"{name}-a", BUSYBOX, command=("sleep", "1000"))
    seen = await bring_up(runtime, PodSpec(name, Source("/p.yaml"), (spec,)))
    (container,) = seen.containers
    assert (await runtime.exec(container.id, ["sleep", "4711"], 2)).exit_code == 137
    async with asyncio.timeout(60):
        while "4711" in (await runtime.exec(container.id, ["ps"], 60)).output:
            await asyncio.sleep(0.05)


async def test_a_command_that_is_not_there_is_a_failed_one(runtime: LibpodRuntime, name: str) -> None:
    """A misspelt probe command shows as exit code 127 with the runtime's words."""
    spec = ContainerSpec("a", f"{name}-a", BUSYBOX, command=("sleep", "1000"))
    seen = await bring_up(runtime, PodSpec(name, Source("/p.yaml"), (spec,)))
    result = await runtime.exec(seen.containers[0].id, ["no-such-command"], 60)
    assert result.exit_code == 127
    assert "not found" in result.output


async def test_a_start_while_the_last_death_is_cleaned_up_ends_well(runtime: LibpodRuntime, name: str) -> None:
    """Right after a death, starts succeed or conflict until the container runs anew."""
    spec = ContainerSpec("a", f"{name}-a", BUSYBOX, command=("sleep", "1000"))
    (container,) = (await bring_up(runtime, PodSpec(name, Source("/p.yaml"), (spec,)))).containers
    os.kill(container.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(PodmanConflict):
                await runtime.start_container(container.id)
            seen = await runtime.observe_pod(name)
            assert seen is not None
            if seen.containers[0].incarnation != container.incarnation:
                break
    assert seen.containers[0].id == container.id
    assert seen.containers[0].state.alive


def runtime_on(url: str, timeout_s: float = 30) -> LibpodRuntime:
    """Return a Runtime on another socket."""
    return LibpodRuntime(url, meter=CountingMeter(), request_timeout_s=timeout_s)


async def test_our_own_service_serves_and_its_containers_outlive_it(tmp_path: Path, name: str) -> None:
    """In the foreground podsupd can bring its own Podman API; ending it leaves the pods alone."""
    spec = ContainerSpec("a", f"{name}-a", BUSYBOX, command=("sleep", "1000"))
    async with OwnService(tmp_path / "podman.sock") as own, runtime_on(own.url) as runtime:
        seen = await bring_up(runtime, PodSpec(name, Source("/p.yaml"), (spec,)))
    assert not await service.answers(own.url)
    async with runtime_on(find_url("")) as runtime:
        after = await runtime.observe_pod(name)
    assert after is not None
    assert [c.incarnation for c in after.containers] == [c.incarnation for c in seen.containers]
    assert all(c.state.alive for c in after.containers)


async def test_a_stopped_podman_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    """A Podman that hangs (SIGSTOP) is told in time, and used again when it goes on."""
    async with OwnService(tmp_path / "podman.sock") as own, runtime_on(own.url, 0.5) as hasty:
        os.kill(own.pid, signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, own.pid, os.WSTOPPED | os.WNOWAIT)  # all of its threads have
            with pytest.raises(PodmanUnavailable, match=r"no answer on .* within 0.5 s"):
                await hasty.relist()
            assert not await service.answers(own.url, 0.2)
        finally:
            os.kill(own.pid, signal.SIGCONT)
        async with runtime_on(own.url) as patient:
            await patient.relist()


def podman_command(*arguments: str) -> str:
    """Run the podman command and return what it says."""
    done = subprocess.run(["podman", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
