"""Rights and names as libpod is told them."""

from typing import Any

import pytest

from podsupd.errors import PodmanRejected
from podsupd.libpod import creation, resolver, security
from podsupd.model.network import Dns, HostAlias, Network
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.security import PodSecurity, Security
from podsupd.model.spec import ContainerSpec, PodSpec, PortSpec, Source


def pod(own: Security | None = None, **changes: Any) -> PodSpec:
    """Return a pod of one container with these rights."""
    container = ContainerSpec("c", "p-c", "image", ports=(PortSpec(80, host_port=80),), security=own or Security())
    return PodSpec("p", Source("/p.yaml"), (container,), **changes)


def made(own: Security, image_user: str = "", **changes: Any) -> dict[str, Any]:
    """Return what is sent of a container's rights."""
    of = pod(own, **changes)
    return security.fields(of.containers[0], of, image_user)


def test_what_is_not_said_is_left_to_podman() -> None:
    """A plain container is made exactly as before there was a securityContext."""
    assert made(Security()) == {}


def test_rights_are_sent_field_by_field() -> None:
    """Every right of the manifest reaches Podman under its own name."""
    own = Security(
        user=1, group=2, privileged=True, read_only_root=True, escalate=False, capabilities=("A",), dropped=("ALL",),
        seccomp="/x.json", apparmor="web", selinux=("type:t",), unmasked_proc=True,
    )  # fmt: skip
    rights = PodSecurity((7,), 8, sysctls=(("net.a", "1"), ("kernel.sem", "2")))
    assert made(own, security=rights, network=Network(host_pid=True, host_ipc=True)) == {
        "user": "1:2", "groups": ["7", "8"], "privileged": True, "read_only_filesystem": True,
        "no_new_privileges": True, "cap_add": ["A"], "cap_drop": ["ALL"], "seccomp_profile_path": "/x.json",
        "apparmor_profile": "web", "selinux_opts": ["type:t"], "unmask": ["ALL"], "sysctl": {"kernel.sem": "2"},
        "pidns": {"nsmode": "host"}, "ipcns": {"nsmode": "host"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "image_user", "user"),
    [
        (Security(user=0), "app", "0"),
        (Security(group=5), "", "0:5"),
        (Security(group=5), "app:web", "app:5"),
        (Security(user=3, group=5), "app", "3:5"),
    ],
)
def test_a_group_without_a_user_is_the_images_users(own: Security, image_user: str, user: str) -> None:
    """RunAsGroup alone changes the group, and the image's user stays."""
    assert made(own, image_user)["user"] == user


@pytest.mark.parametrize(
    ("own", "image_user", "reason"),
    [
        (Security(user=0, non_root=True), "app", "its runAsUser is 0"),
        (Security(non_root=True), "", "its image will run as root"),
        (Security(non_root=True), "0:5", "its image will run as root"),
        (Security(non_root=True), "00", "its image will run as root"),
        (Security(non_root=True), "\u0660", "non-numeric user"),
        (Security(non_root=True), "app", "non-numeric user app"),
    ],
)
def test_root_is_refused_where_it_must_not_be(own: Security, image_user: str, reason: str) -> None:
    """RunAsNonRoot is checked before the container is made, and the message says how to go on."""
    with pytest.raises(PodmanRejected, match=reason) as refusal:
        security.check_non_root(pod(own).containers[0], image_user)
    assert refusal.value.reason == "CreateContainerConfigError"


@pytest.mark.parametrize(
    ("own", "image_user"),
    [(Security(), ""), (Security(user=5, non_root=True), ""), (Security(non_root=True), "1001:0")],
)
def test_other_users_are_let_pass(own: Security, image_user: str) -> None:
    """Whoever is known not to be root runs."""
    security.check_non_root(pod(own).containers[0], image_user)


def test_the_infra_container_holds_the_pods_names() -> None:
    """Hosts, resolver and network sysctls are infra's, whose files and namespace all containers share."""
    names = Network("box", "box.in", (HostAlias("192.0.2.1", ("a", "b")),), Dns(True, ("192.0.2.2",)))
    spec = pod(network=names, security=PodSecurity(sysctls=(("net.a", "1"), ("kernel.sem", "2"))))
    sent = creation.pod_body(CreatePod(spec, "x"), {})
    assert sent["hostname"] == "box"
    assert sent["hostadd"] == ["a:192.0.2.1", "b:192.0.2.1", "box.in:127.0.1.1"]
    assert sent["sysctl"] == {"net.a": "1"}
    assert (sent["dns_server"], sent["dns_search"], sent["dns_option"]) == (["192.0.2.2"], ["."], [])
    container = creation.container_body(CreateContainer("id", spec, spec.containers[0], "x"), {})
    assert container["hostname"] == "box"


def test_in_the_hosts_network_name_and_ports_are_the_hosts() -> None:
    """Podman refuses to publish ports of the host itself, and the host keeps its name."""
    spec = pod(network=Network(host_network=True))
    sent = creation.pod_body(CreatePod(spec, "x"), {})
    assert (sent["netns"], sent["portmappings"]) == ({"nsmode": "host"}, [])
    container = creation.container_body(CreateContainer("id", spec, spec.containers[0], "x"), {})
    assert container["utsns"] == {"nsmode": "host"}
    assert "hostname" not in container


def test_dns_config_comes_after_the_hosts_own() -> None:
    """Servers of a dnsConfig are added to those that the host uses, but for those on its loopback."""
    host = resolver.parse(
        "# a comment\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nsearch lan\noptions edns0\noptions trust-ad\n"
    )
    assert host == Dns(False, ("192.0.2.53",), ("lan",), ("edns0", "trust-ad"))
    own = Dns(nameservers=("192.0.2.1", "192.0.2.53"), options=("ndots:2",))
    assert resolver.fields(pod(network=Network(dns=own)), host) == {
        "dns_server": ["192.0.2.53", "192.0.2.1"],
        "dns_option": ["edns0", "trust-ad", "ndots:2"],
    }
    assert resolver.fields(pod(), host) == {}


def test_an_unreadable_resolver_is_an_empty_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host without resolv.conf a pod has what its manifest says; a stub's real servers are found behind it."""
    monkeypatch.setattr(resolver, "RESOLV_CONF", tmp_path / "none")
    monkeypatch.setattr(resolver, "UPLINKS", tmp_path / "uplinks")
    assert resolver.host_dns() == Dns()
    (tmp_path / "none").write_text("nameserver 127.0.0.53\n")
    (tmp_path / "uplinks").write_text("nameserver 192.0.2.9\n")
    assert resolver.host_dns().nameservers == ("192.0.2.9",)
