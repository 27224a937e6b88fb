"""A spec becomes what libpod creates."""

import os
from typing import Any

import pytest

from podsupd.libpod import creation, mounts
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, POD_LABEL
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.spec import ContainerSpec, PodSpec, PortSpec, Resources, Source
from podsupd.model.volumes import EmptyDir, HostPath, VolumeMount, VolumeSpec

LABELS = {OWNER_LABEL: "me", POD_LABEL: "p", CONTAINER_LABEL: "c"}


def pod(container: ContainerSpec | None = None, **fields: Any) -> PodSpec:
    """Return a pod of one container."""
    return PodSpec("p", Source("/p.yaml"), (container or spec(),), **fields)


def spec(**fields: Any) -> ContainerSpec:
    """Return a container."""
    return ContainerSpec("c", "p-c", "docker.io/library/busybox:latest", **fields)


def body(container: ContainerSpec, **fields: Any) -> dict[str, Any]:
    """Return what is sent to create a container."""
    return creation.container_body(CreateContainer("id", pod(container, **fields), container, "1:x"), LABELS)


def test_a_stop_signal_is_podmans_too() -> None:
    """A stop by hand sends what the manifest says; without it the image's own holds."""
    assert "stop_signal" not in body(spec())
    assert body(spec(stop_signal="SIGUSR1"))["stop_signal"] == 10
    assert body(spec(stop_signal="SIGRTMIN+3"))["stop_signal"] == 37


def test_a_terminal_and_an_open_stdin_are_the_containers() -> None:
    """What reads or asks whether it is on a terminal finds one."""
    assert not {"stdin", "terminal"} & body(spec()).keys()
    sent = body(spec(stdin=True, tty=True))
    assert (sent["stdin"], sent["terminal"]) == (True, True)


def test_namespaces_are_one_list() -> None:
    """Net and pid are both shared, as two options they would not be."""
    shared = creation.pod_body(CreatePod(pod(share_process_namespace=True), "1:x"), LABELS)
    assert shared["shared_namespaces"] == ["net", "pid"]
    assert creation.pod_body(CreatePod(pod(), "1:x"), LABELS)["shared_namespaces"] == ["net"]


def test_ports_are_published_by_the_pod() -> None:
    """A hostPort of any container is the pod's, with its address and protocol."""
    ports = (PortSpec(80, host_port=8080, host_ip="127.0.0.1"), PortSpec(53, "UDP", host_port=53), PortSpec(9))
    sent = creation.pod_body(CreatePod(pod(spec(ports=ports)), "1:x"), LABELS)
    assert sent["portmappings"] == [
        {"container_port": 80, "host_port": 8080, "host_ip": "127.0.0.1", "protocol": "tcp"},
        {"container_port": 53, "host_port": 53, "host_ip": "", "protocol": "udp"},
    ]


def test_our_labels_win() -> None:
    """A manifest cannot claim another owner."""
    labels = {"app": "web", OWNER_LABEL: "somebody"}
    sent = creation.pod_body(CreatePod(pod(labels=labels), "1:x"), LABELS)
    assert sent["labels"] == {"app": "web", **LABELS}
    assert body(spec(), labels=labels)["labels"] == {"app": "web", **LABELS}


def test_podman_neither_restarts_nor_checks() -> None:
    """Restarts and health are podsupd's, so Podman's own are off; the pod stays when a container ends."""
    sent = body(spec())
    assert sent["restart_policy"] == "no"
    assert sent["healthconfig"]["Test"] == ["NONE"]
    assert min(sent["healthconfig"][n] for n in ("Interval", "Timeout")) >= 10**9  # else 5.4 refuses each update
    assert creation.pod_body(CreatePod(pod(), "1:x"), LABELS)["exit_policy"] == "continue"


def test_what_is_not_said_is_the_images() -> None:
    """Without command, args or workingDir the image's own hold."""
    assert not {"entrypoint", "command", "work_dir"} & body(spec()).keys()
    sent = body(spec(command=("sh",), args=("-c", "x"), working_dir="/w", env=(("A", "1"),)))
    assert (sent["entrypoint"], sent["command"], sent["work_dir"]) == (["sh"], ["-c", "x"], "/w")
    assert sent["env"] == {"A": "1"}


def test_the_host_name_is_the_pods() -> None:
    """A program sees the pod's name as its host name, as in Kubernetes, although uts is not shared."""
    assert body(spec())["hostname"] == "p"


def test_a_stop_by_hand_has_the_grace_period() -> None:
    """A `podman stop` by an operator is as patient as the manifest says."""
    assert body(spec(), grace_s=4.2)["stop_timeout"] == 5


@pytest.mark.parametrize(
    ("resources", "sent"),
    [
        (Resources(), {}),
        (Resources(cpu_limit_milli=500), {"cpu": {"period": 100000, "quota": 50000, "shares": 512}}),
        (Resources(cpu_limit_milli=5), {"cpu": {"period": 100000, "quota": 1000, "shares": 5}}),
        (Resources(cpu_limit_milli=1500, cpu_request_milli=250),
         {"cpu": {"period": 100000, "quota": 150000, "shares": 256}}),
        (Resources(cpu_request_milli=1), {"cpu": {"shares": 2}}),
        (Resources(cpu_request_milli=0), {"cpu": {"shares": 2}}),
        (Resources(memory_limit=1 << 26, memory_request=1), {"memory": {"limit": 1 << 26}}),
    ],
)  # fmt: skip
def test_resources_are_as_the_kubelet_sets_them(resources: Resources, sent: dict[str, Any]) -> None:
    """Quota from the limit, shares from the request or else the limit, with the kernel's minima."""
    assert body(spec(resources=resources))["resource_limits"] == sent


def test_volumes_are_mounted_where_and_how_they_are_asked() -> None:
    """A hostPath is a bind, an emptyDir a named volume without the image's content; readOnly is kept."""
    volumes = (VolumeSpec("host", HostPath("/srv")), VolumeSpec("data", EmptyDir()), VolumeSpec("other", EmptyDir()))
    mounts = (VolumeMount("host", "/h", read_only=True), VolumeMount("data", "/d"), VolumeMount("data", "/e"))
    container = spec(mounts=mounts)
    sent = body(container, volumes=volumes)
    assert sent["mounts"] == [{"type": "bind", "source": "/srv", "destination": "/h", "options": ["rbind", "ro"]}]
    assert sent["volumes"] == [
        {"Name": "p-data", "Dest": "/d", "Options": ["nocopy", "rw"]},
        {"Name": "p-data", "Dest": "/e", "Options": ["nocopy", "rw"]},
    ]
    assert [volume.name for volume in pod(container, volumes=volumes).mounted(container)] == ["host", "data"]


def test_an_empty_dir_belongs_to_the_pod() -> None:
    """Its volume carries owner and pod, so that it is removed with the pod and not with one container."""
    sent = mounts.volume_body(pod(), VolumeSpec("data", EmptyDir()), LABELS)
    assert sent["Name"] == "p-data"
    assert sent["Label"] == {OWNER_LABEL: "me", POD_LABEL: "p"}
    assert sent["Options"] == {"o": "uid=0,gid=0"}


def test_a_memory_empty_dir_is_a_tmpfs_of_its_size() -> None:
    """Medium Memory is memory, and sizeLimit bounds it, rounded up to pages."""
    page = os.sysconf("SC_PAGE_SIZE")
    sent = mounts.volume_body(pod(), VolumeSpec("m", EmptyDir("Memory", 10 * page + 1)), LABELS)
    assert sent["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "uid=0,gid=0,mode=0777,nr_blocks=11"}
    unbounded = mounts.volume_body(pod(), VolumeSpec("m", EmptyDir("Memory")), LABELS)
    assert unbounded["Options"]["o"] == "uid=0,gid=0,mode=0777"
