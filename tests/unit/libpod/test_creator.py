"""What is found out and made on the host before a container is created, on the fake libpod."""

import errno
import ipaddress
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from podsupd.errors import PodmanRejected
from podsupd.libpod import LibpodRuntime, facts
from podsupd.model.network import Network
from podsupd.model.observed import OWNER_LABEL, POD_IP_LABEL, POD_LABEL, ObservedPod
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.references import FieldRef, KeyRef, ObjectKind
from podsupd.model.security import Security
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from podsupd.model.volumes import ClaimVolume, EmptyDir, HostPath, VolumeMount, VolumeSpec
from tests.fakes.libpod import FakeLibpod
from tests.fakes.objects import BUSYBOX

LABELS = {OWNER_LABEL: "me", POD_LABEL: "p"}


async def made(runtime: LibpodRuntime, container: ContainerSpec, **changes: Any) -> ObservedPod:
    """Create a pod of this container and return what is seen of it."""
    pod = PodSpec("p", Source("/p.yaml"), (container,), **changes)
    pod_id = await runtime.create_pod(CreatePod(pod, "x"), LABELS)
    await runtime.create_container(CreateContainer(pod_id, pod, container, "x"), LABELS)
    seen = await runtime.observe_pod("p")
    assert seen is not None
    return seen


def spec(**fields: Any) -> ContainerSpec:
    """Return a container of an image that is here."""
    return ContainerSpec("c", "p-c", BUSYBOX, **fields)


async def test_a_pod_has_its_address_before_it_is_told(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A variable of status.podIP is right in the first life already: infra is started before the container is made."""
    seen = await made(runtime, spec(env=(("IP", FieldRef("status.podIP")),)))
    assert seen.containers[0].label(POD_IP_LABEL) == seen.ip != ""
    started = [name for operation, name in fake.calls if operation == "start"]
    assert seen.infra is not None
    assert started == [seen.infra.id]


async def test_nothing_is_asked_that_nobody_wants_to_know(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A plain container costs one call, as before."""
    seen = await made(runtime, spec(env=(("A", "1"),)))
    assert POD_IP_LABEL not in seen.containers[0].labels
    assert not {"info", "start", "image_inspect"} & {operation for operation, _ in fake.calls}


async def test_a_pod_in_the_hosts_network_has_the_hosts_address(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """There its address is one that the host's default route goes out from."""
    await made(runtime, spec(env=(("NODE", FieldRef("spec.nodeName")),)), network=Network(host_network=True))
    assert "info" in {operation for operation, _ in fake.calls}


async def test_what_is_missing_makes_nothing(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """Without its Secret a container is refused before a volume or anything else is made for it."""
    container = spec(env=(("A", KeyRef(ObjectKind.SECRET, "none", "k")),), mounts=(VolumeMount("v", "/v"),))
    with pytest.raises(PodmanRejected, match='cannot create container p-c: secret "none" not found'):
        await made(runtime, container, volumes=(VolumeSpec("v", EmptyDir()),))
    assert "create_volume" not in {operation for operation, _ in fake.calls}


async def test_root_is_refused_by_what_its_image_says(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """RunAsNonRoot is checked against the image's own user."""
    del fake
    with pytest.raises(PodmanRejected, match="its image will run as root"):
        await made(runtime, spec(security=Security(non_root=True)))


async def test_a_claim_is_taken_as_it_is_found(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A volume of that name that somebody made is used; one that is missing is made, and is no pod's."""
    volumes = (VolumeSpec("v", ClaimVolume("data")),)
    seen = await made(runtime, spec(mounts=(VolumeMount("v", "/v"),)), volumes=volumes)
    assert fake.volumes["data"]["Labels"] == {OWNER_LABEL: "me"}
    fake.volumes["data"]["Labels"] = {"mine": "yes"}
    again = spec(mounts=(VolumeMount("v", "/v"),))
    other = PodSpec("p", Source("/p.yaml"), (again,), volumes=volumes)
    await runtime.create_container(CreateContainer(seen.id, other, replace(again, runtime_name="p-d"), "x"), LABELS)
    assert fake.volumes["data"]["Labels"] == {"mine": "yes"}


async def test_a_part_of_a_hosts_directory_is_made(fake: FakeLibpod, runtime: LibpodRuntime, tmp_path: Path) -> None:
    """SubPath of a hostPath is made where it is missing, and cannot be left by a link."""
    del fake
    volumes = (VolumeSpec("v", HostPath(str(tmp_path))),)
    await made(runtime, spec(mounts=(VolumeMount("v", "/v", sub_path="a/b"),)), volumes=volumes)
    assert (tmp_path / "a" / "b").is_dir()


async def test_what_podman_left_out_is_said(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A limit that the host's cgroups cannot keep is a warning in the log, not a surprise."""
    fake.warnings = ["Your kernel does not support swap limit capabilities"]
    with capture_logs() as logs:
        await made(runtime, spec())
    assert [line["reason"] for line in logs if line["log_level"] == "warning"] == fake.warnings


def test_a_host_without_a_way_out_has_addresses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a box that is not connected a pod still learns where its host is, and never that it is on loopback."""
    routed = facts.host_addresses()
    monkeypatch.setattr(facts, "_OUTWARD", ())
    found = facts.host_addresses()
    assert set(routed[:1]) <= set(found)
    assert not any(ipaddress.ip_address(address).is_loopback for address in found)


def test_a_host_without_ipv6_has_addresses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that asks for its host's address is made on a kernel that was started without IPv6."""
    made = socket.socket

    def without(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return made(family, kind)

    monkeypatch.setattr(facts.socket, "socket", without)
    assert not any(":" in address for address in facts.host_addresses())
