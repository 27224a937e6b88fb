"""securityContext to libpod's JSON, and the kubelet's check that a container does not run as root."""

from typing import Any

from podsupd.errors import ConfigRejected
from podsupd.model.security import Security
from podsupd.model.spec import ContainerSpec, PodSpec

# What belongs to a container's IPC namespace; the pod's other sysctls are of its network, which infra holds.
_NET = "net."


def asks_for_user(spec: ContainerSpec) -> bool:
    """Say whether the image's own user has to be known."""
    own = spec.security
    return own.non_root or (own.group is not None and own.user is None)


def check_non_root(spec: ContainerSpec, image_user: str) -> None:
    """Raise ConfigRejected, in the kubelet's words, for a container that must not run as root and would or may."""
    own = spec.security
    if not own.non_root:
        return
    name = image_user.partition(":")[0]
    if own.user is not None:
        reason = "its runAsUser is 0 and breaks runAsNonRoot: choose another" if own.user == 0 else ""
    elif not name.strip("0"):
        reason = "it has runAsNonRoot and its image will run as root: set runAsUser"
    elif not (name.isascii() and name.isdigit()):
        reason = f"it has runAsNonRoot and its image has the non-numeric user {name}, which may be root: set runAsUser"
    else:
        reason = ""
    if reason:
        raise ConfigRejected(f"cannot create container {spec.runtime_name}: {reason}")


def fields(spec: ContainerSpec, pod: PodSpec, image_user: str = "") -> dict[str, Any]:
    """Return the fields of ``containers/create``; those that say nothing are left to the image and to Podman."""
    own = spec.security
    made: dict[str, Any] = {
        "user": _user(own, image_user),
        "groups": [str(group) for group in pod.security.all_groups],
        "privileged": own.privileged,
        "read_only_filesystem": own.read_only_root,
        "no_new_privileges": not own.escalate,
        "cap_add": list(own.capabilities),
        "cap_drop": list(own.dropped),
        "seccomp_profile_path": own.seccomp,
        "apparmor_profile": own.apparmor,
        "selinux_opts": list(own.selinux),
        "unmask": ["ALL"] if own.unmasked_proc else [],
        "sysctl": {name: value for name, value in pod.security.sysctls if not name.startswith(_NET)},
        "pidns": {"nsmode": "host"} if pod.network.host_pid else {},
        "ipcns": {"nsmode": "host"} if pod.network.host_ipc else {},
    }
    return {name: value for name, value in made.items() if value}


def network_sysctls(pod: PodSpec) -> dict[str, str]:
    """Return the sysctls of the pod's network namespace, which infra sets."""
    return {name: value for name, value in pod.security.sysctls if name.startswith(_NET)}


def _user(own: Security, image_user: str) -> str:
    if own.user is None and own.group is None:
        return ""
    name = (image_user.partition(":")[0] or "0") if own.user is None else str(own.user)
    return name if own.group is None else f"{name}:{own.group}"
