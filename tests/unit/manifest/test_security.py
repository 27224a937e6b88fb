"""securityContext and the pod's names, from text to model."""

import pytest

from podsupd.core.digest import changed_fields, container_digest, pod_digest
from podsupd.manifest import parse
from podsupd.model.network import Dns, HostAlias, Network
from podsupd.model.security import PodSecurity, Security
from podsupd.model.spec import PodSpec
from podsupd.web.spec_shape import pod_spec

HEAD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec:\n  containers:\n"
CONTAINER = "  - name: a\n    image: busybox\n"


def load(spec: str = "", container: str = "") -> PodSpec:
    """Return the pod of these lines, each in its place."""
    text = HEAD + CONTAINER + "".join(f"    {line}\n" for line in container.splitlines())
    parsed = parse(text + "".join(f"  {line}\n" for line in spec.splitlines()), "web.yaml")
    assert parsed.errors == ()
    return parsed.pods[0]


POD_CONTEXT = (
    "securityContext: {runAsUser: 1, runAsGroup: 2, runAsNonRoot: true, fsGroup: 0, supplementalGroups: [7, 0],"
    " fsGroupChangePolicy: OnRootMismatch, seccompProfile: {type: Localhost, localhostProfile: a/b.json},"
    " appArmorProfile: {type: Localhost, localhostProfile: web}, seLinuxOptions: {role: r, level: 's0:c1'},"
    " sysctls: [{name: net/core/somaxconn, value: '9'}, {name: kernel.sem, value: '1 2 3 4'}]}"
)


def test_a_container_takes_from_the_pod_what_it_does_not_say() -> None:
    """The pod's securityContext is every container's, and a container's own word goes before it."""
    pod = load(POD_CONTEXT)
    inherited = Security(
        user=1, group=2, non_root=True, seccomp="/var/lib/kubelet/seccomp/a/b.json", apparmor="web",
        selinux=("role:r", "level:s0:c1"),
    )  # fmt: skip
    assert pod.containers[0].security == inherited
    assert pod.security == PodSecurity((7, 0), 0, False, (("net.core.somaxconn", "9"), ("kernel.sem", "1 2 3 4")))
    assert pod.security.all_groups == (7, 0)
    own = load(
        POD_CONTEXT,
        "securityContext: {runAsUser: 0, runAsNonRoot: false, privileged: true, seccompProfile: {type: Unconfined},"
        " appArmorProfile: {type: RuntimeDefault}, seLinuxOptions: {type: spc_t}, procMount: Unmasked,"
        " readOnlyRootFilesystem: true, capabilities: {add: [CAP_NET_ADMIN, NET_ADMIN], drop: [ALL]}}",
    )
    assert own.containers[0].security == Security(
        user=0, group=2, privileged=True, read_only_root=True, capabilities=("NET_ADMIN",), dropped=("ALL",),
        seccomp="unconfined", selinux=("type:spc_t",), unmasked_proc=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "network"),
    [
        ("", Network()),
        ("hostname: web", Network()),
        ("hostname: box", Network("box")),
        ("subdomain: in", Network(fqdn="web.in.shop.svc.cluster.local")),
        ("setHostnameAsFQDN: true", Network()),
        ("subdomain: in\nsetHostnameAsFQDN: true", Network(*["web.in.shop.svc.cluster.local"] * 2)),
        ("hostname: x\nhostnameOverride: y.example", Network("y.example")),
        ("hostAliases: [{ip: '::1', hostnames: [a, b]}]", Network(aliases=(HostAlias("::1", ("a", "b")),))),
        ("dnsPolicy: Default", Network()),
        ("dnsPolicy: None\ndnsConfig: {nameservers: [192.0.2.1]}", Network(dns=Dns(True, ("192.0.2.1",)))),
        (
            "dnsConfig: {searches: [a], options: [{name: ndots, value: '2'}, {name: rotate}]}",
            Network(dns=Dns(searches=("a",), options=("ndots:2", "rotate"))),
        ),
        ("hostNetwork: true\nhostPID: true\nhostIPC: true", Network(host_network=True, host_pid=True, host_ipc=True)),
    ],
)
def test_the_names_of_a_pod_are_kubernetes(spec: str, network: Network) -> None:
    """Host name, full name, hosts and resolver are what the same manifest gives on a cluster."""
    assert load(spec).network == network


def test_a_port_in_the_hosts_network_is_the_hosts() -> None:
    """Two pods that listen on one port of the host are told so at load, published or not."""
    pod = load("hostNetwork: true", "ports: [{containerPort: 80}]")
    assert [port.host_port for port in pod.published_ports] == [80]
    assert "ports" not in pod_digest(pod)


def test_a_change_of_rights_is_named_where_it_belongs() -> None:
    """A container's rights need a new container, the pod's network and names a new pod, and nothing more."""
    plain, changed = load(), load("", "securityContext: {runAsUser: 5}")
    a, b = plain.containers[0], changed.containers[0]
    assert changed_fields(container_digest(plain, a), container_digest(changed, b)) == ("securityContext",)
    assert changed_fields(pod_digest(plain), pod_digest(changed)) == ()
    assert changed_fields(pod_digest(plain), pod_digest(load("hostname: box"))) == ("network",)
    sysctls = load("securityContext: {sysctls: [{name: net.a.b, value: '1'}, {name: kernel.sem, value: '1'}]}")
    assert changed_fields(pod_digest(plain), pod_digest(sysctls)) == ("sysctls",)
    digest = container_digest(sysctls, sysctls.containers[0])
    assert changed_fields(container_digest(plain, a), digest) == ("ipcSysctls",)


def test_the_api_shows_what_the_manifest_said() -> None:
    """GET /v1/pods gives rights and names back as a manifest that means the same."""
    text = (
        "hostname: box\nhostAliases: [{ip: 192.0.2.9, hostnames: [foo]}]\ndnsPolicy: None\nhostPID: true\n"
        "dnsConfig: {nameservers: [192.0.2.1], options: [{name: ndots, value: '2'}]}\n" + POD_CONTEXT
    )
    first = load(text, "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}")
    shown = pod_spec(first)
    assert shown["hostname"] == "box"
    assert shown["securityContext"]["fsGroup"] == 0
    assert shown["dnsConfig"] == {"nameservers": ["192.0.2.1"], "options": [{"name": "ndots", "value": "2"}]}
    context = shown["containers"][0]["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert (context["runAsUser"], context["capabilities"]) == (1, {"drop": ["ALL"]})
    assert context["seLinuxOptions"] == {"role": "r", "level": "s0:c1"}
    assert "securityContext" not in pod_spec(load())
