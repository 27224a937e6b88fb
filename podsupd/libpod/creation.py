"""The model to libpod's JSON: what is created, field by field."""

import math
from collections.abc import Mapping
from typing import Any

from podsupd.core import signal_words
from podsupd.core.environment import environment, expand
from podsupd.core.limits import CPU_PERIOD_US, limits_of
from podsupd.libpod import mounts, resolver, security
from podsupd.libpod.mounts import Ground
from podsupd.model.limits import DEFAULT_SHARES, UNLIMITED
from podsupd.model.network import Dns
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.spec import Resources

_NO_CHECK = {"Test": ["NONE"], "Interval": 30 * 10**9, "Timeout": 30 * 10**9, "Retries": 3}
"""Otherwise an image's HEALTHCHECK makes a systemd timer; Podman 5.4 updates no container with smaller numbers."""


def pod_body(action: CreatePod, labels: Mapping[str, str], host: Dns | None = None) -> dict[str, Any]:
    """Return the body of ``pods/create``.

    Shared are net and, with shareProcessNamespace, pid: one list, since a second one would replace the first.
    Kubernetes also shares ipc and uts. podsupd does not: the pods it describes are ``--share net,pid``; what of uts a
    program can see, the host name, is set on each container. Podman puts the labels on the infra container as well.
    host: the host's resolver settings, for a dnsConfig that adds to them.
    """
    spec = action.spec
    names = spec.network
    # No address is known yet: the full name is the machine's own, as Debian's installer writes it.
    hosts = [f"{name}:{alias.ip}" for alias in names.aliases for name in alias.names]
    hosts += [f"{names.fqdn}:127.0.1.1"] if names.fqdn else []
    return {
        "name": spec.name,
        "hostname": spec.hostname,
        **({"netns": {"nsmode": "host"}} if names.host_network else {}),
        **({"hostadd": hosts} if hosts else {}),
        **({"sysctl": sysctls} if (sysctls := security.network_sysctls(spec)) else {}),
        **resolver.fields(spec, host or Dns()),
        "labels": {**spec.labels, **labels},
        "shared_namespaces": ["net", "pid"] if spec.share_process_namespace else ["net"],
        # The pod's infra stays when the last container ends: that one is started again in it.
        "exit_policy": "continue",
        "portmappings": [
            {
                "container_port": port.container_port,
                "host_port": port.host_port,
                "host_ip": port.host_ip,
                "protocol": port.protocol.lower(),
            }
            for port in (() if names.host_network else spec.published_ports)
        ],
    }


def container_body(action: CreateContainer, labels: Mapping[str, str], ground: Ground | None = None) -> dict[str, Any]:
    """Return the body of ``containers/create``; the image's own entrypoint, env and user hold where nothing is said.

    ground: what was found out and made for it on the host.
    """
    spec, pod, ground = action.container, action.pod, ground or Ground()
    variables = environment(pod, spec, ground.facts).values
    body: dict[str, Any] = {
        "name": spec.runtime_name,
        "pod": action.pod_id,
        "image": spec.reference,
        # In the host's network its name is the host's, as in Kubernetes.
        **({"utsns": {"nsmode": "host"}} if pod.network.host_network else {"hostname": pod.hostname}),
        "labels": {**pod.labels, **labels},
        "env": dict(variables),
        "restart_policy": "no",
        "healthconfig": _NO_CHECK,
        # For whoever stops it by hand; podsupd's own stops keep the time themselves.
        "stop_timeout": math.ceil(pod.grace_s),
        **mounts.fields(spec, pod, ground),
        "resource_limits": _limits(spec.resources),
        **security.fields(spec, pod, ground.image_user),
    }
    if spec.command:
        body["entrypoint"] = [expand(word, variables) for word in spec.command]
    if spec.args:
        body["command"] = [expand(word, variables) for word in spec.args]
    if spec.working_dir:
        body["work_dir"] = spec.working_dir
    if spec.stop_signal:
        # For whoever stops it by hand, as the grace period above.
        body["stop_signal"] = signal_words.parse(spec.stop_signal)
    if spec.stdin:
        body["stdin"] = True
    if spec.tty:
        body["terminal"] = True
    return body


def _limits(resources: Resources) -> dict[str, Any]:
    limits = limits_of(resources)
    cpu: dict[str, int] = {}
    if limits.cpu_quota_us != UNLIMITED:
        cpu = {"period": CPU_PERIOD_US, "quota": limits.cpu_quota_us}
    if limits.cpu_shares not in {None, DEFAULT_SHARES}:
        cpu["shares"] = limits.cpu_shares or DEFAULT_SHARES
    body: dict[str, Any] = {"cpu": cpu} if cpu else {}
    if limits.memory != UNLIMITED:
        body["memory"] = {"limit": limits.memory}
    return body


def update_body(resources: Resources) -> dict[str, Any]:
    """Return the body of ``containers/{name}/update``: all limits, since one that is left out may be reset."""
    limits = limits_of(resources)
    cpu = {"period": CPU_PERIOD_US, "quota": limits.cpu_quota_us, "shares": limits.cpu_shares}
    # Swap as at the creation: on cgroup v1 a memory limit above that of memory and swap together is refused.
    swap = UNLIMITED if limits.memory == UNLIMITED else limits.memory * 2
    return {"cpu": cpu, "memory": {"limit": limits.memory, "swap": swap}}
