"""Rights and names of a PodSpec as fields of a v1 Pod; empty where the manifest says nothing."""

from typing import Any

from podsupd.model.network import Dns
from podsupd.model.security import Security
from podsupd.model.spec import PodSpec

Json = dict[str, Any]


def _said(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value not in (None, "", False, [], {})}


def pod(spec: PodSpec) -> Json:
    """Return the fields of the pod's spec; a hostname that is the pod's own name is not one."""
    names, rights = spec.network, spec.security
    context = _said(
        supplementalGroups=list(rights.groups),
        sysctls=[{"name": name, "value": value} for name, value in rights.sysctls],
    )
    if rights.fs_group is not None:
        context["fsGroup"] = rights.fs_group
        context["fsGroupChangePolicy"] = "Always" if rights.fs_group_always else "OnRootMismatch"
    return _said(
        hostname=names.hostname,
        hostAliases=[{"ip": alias.ip, "hostnames": list(alias.names)} for alias in names.aliases],
        hostNetwork=names.host_network,
        hostPID=names.host_pid,
        hostIPC=names.host_ipc,
        dnsPolicy="None" if names.dns.only else "",
        dnsConfig=_dns(names.dns),
        securityContext=context,
    )


def _dns(dns: Dns) -> Json:
    options = [option.partition(":") for option in dns.options]
    return _said(
        nameservers=list(dns.nameservers),
        searches=list(dns.searches),
        options=[{"name": name} | ({"value": value} if colon else {}) for name, colon, value in options],
    )


def security(own: Security) -> Json:
    """Return a container's securityContext, with what it has from the pod."""
    shape = _said(
        runAsNonRoot=own.non_root,
        privileged=own.privileged,
        readOnlyRootFilesystem=own.read_only_root,
        capabilities=_said(add=list(own.capabilities), drop=list(own.dropped)),
        procMount="Unmasked" if own.unmasked_proc else "",
        seccompProfile=_profile(own.seccomp),
        appArmorProfile=_profile(own.apparmor),
        seLinuxOptions=dict(option.split(":", 1) for option in own.selinux),
    )
    ids = {"runAsUser": own.user, "runAsGroup": own.group}
    shape |= {name: number for name, number in ids.items() if number is not None}
    return shape | ({} if own.escalate else {"allowPrivilegeEscalation": False})


def _profile(name: str) -> Json:
    if not name:
        return {}
    return {"type": "Unconfined"} if name == "unconfined" else {"type": "Localhost", "localhostProfile": name}
