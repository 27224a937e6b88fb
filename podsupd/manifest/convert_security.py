"""securityContext and the pod's names on the network -> `podsupd.model`, the pod's defaults given to its containers."""

from podsupd.manifest import schema
from podsupd.manifest.security_schema import PodSecurityContext, SecurityContext
from podsupd.model.network import Dns, HostAlias, Network
from podsupd.model.security import PodSecurity, Security

SECCOMP_ROOT = "/var/lib/kubelet/seccomp"
"""Where profiles of type Localhost lie, as for the kubelet and for ``podman kube play``."""

CLUSTER_DOMAIN = "cluster.local"
_HOSTNAME_MAX = 63


def security(pod: PodSecurityContext, own: SecurityContext) -> Security:
    """Build a container's rights: its own word where it has one, else the pod's."""
    seccomp = own.seccomp_profile or pod.seccomp_profile
    apparmor = own.app_armor_profile or pod.app_armor_profile
    selinux = own.se_linux_options or pod.se_linux_options
    return Security(
        user=pod.run_as_user if own.run_as_user is None else own.run_as_user,
        group=pod.run_as_group if own.run_as_group is None else own.run_as_group,
        non_root=bool(pod.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root),
        privileged=own.privileged,
        read_only_root=own.read_only_root_filesystem,
        escalate=own.allow_privilege_escalation is not False,
        capabilities=tuple(dict.fromkeys(own.capabilities.add)),
        dropped=tuple(dict.fromkeys(own.capabilities.drop)),
        seccomp=_profile(seccomp.type, f"{SECCOMP_ROOT}/{seccomp.localhost_profile}") if seccomp else "",
        apparmor=_profile(apparmor.type, apparmor.localhost_profile or "") if apparmor else "",
        selinux=tuple(f"{key}:{value}" for key, value in selinux.model_dump().items() if value) if selinux else (),
        unmasked_proc=own.proc_mount == "Unmasked",
    )


def _profile(kind: str, name: str) -> str:
    return {"Unconfined": "unconfined", "Localhost": name}.get(kind, "")


def pod_security(pod: PodSecurityContext) -> PodSecurity:
    """Build what all containers of the pod have."""
    return PodSecurity(
        groups=tuple(pod.supplemental_groups),
        fs_group=pod.fs_group,
        fs_group_always=pod.fs_group_change_policy != "OnRootMismatch",
        sysctls=tuple({s.name: s.value for s in pod.sysctls}.items()),
    )


def network(pod: schema.Pod) -> Network:
    """Build the pod's names, and which namespaces of the host it shares."""
    spec = pod.spec
    short = spec.hostname or pod.metadata.name[:_HOSTNAME_MAX].rstrip("-.")
    fqdn = f"{short}.{spec.subdomain}.{pod.metadata.namespace}.svc.{CLUSTER_DOMAIN}" if spec.subdomain else ""
    hostname = spec.hostname_override or (fqdn if spec.set_hostname_as_fqdn and fqdn else short)
    dns = spec.dns_config
    return Network(
        hostname="" if hostname == pod.metadata.name else hostname,
        fqdn=fqdn,
        aliases=tuple(HostAlias(alias.ip, tuple(alias.hostnames)) for alias in spec.host_aliases),
        dns=Dns(
            spec.dns_policy == "None",
            tuple(dns.nameservers),
            tuple(dns.searches),
            tuple(o.name if o.value is None else f"{o.name}:{o.value}" for o in dns.options),
        ),
        host_network=spec.host_network,
        host_pid=spec.host_pid,
        host_ipc=spec.host_ipc,
    )
