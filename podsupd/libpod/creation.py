"""The model to libpod's JSON: what is created, field by field."""

import math
from collections.abc import Mapping
from typing import Any

from podsupd.core import signal_words
from podsupd.core.environment import environment, expand
from podsupd.libpod import mounts, resolver, security
from podsupd.libpod.mounts import Ground
from podsupd.model.network import Dns
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.spec import Resources

CPU_PERIOD_US = 100_000
# The kernel takes no smaller quota, and no fewer shares (as the kubelet's MinQuotaPeriod and MinShares).
MIN_QUOTA_US = 1_000
MIN_SHARES = 2


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
        # Otherwise an image's HEALTHCHECK makes a systemd timer.
        "healthconfig": {"Test": ["NONE"]},
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
        body["stop_signal"] = signal_words.number(spec.stop_signal)
    if spec.stdin:
        body["stdin"] = True
    if spec.tty:
        body["terminal"] = True
    return body


def _limits(resources: Resources) -> dict[str, Any]:
    cpu: dict[str, int] = {}
    if resources.cpu_limit_milli:
        cpu["period"] = CPU_PERIOD_US
        cpu["quota"] = max(MIN_QUOTA_US, resources.cpu_limit_milli * CPU_PERIOD_US // 1000)
    # As in Kubernetes a limit without a request is the request too.
    weight = resources.cpu_limit_milli if resources.cpu_request_milli is None else resources.cpu_request_milli
    if weight is not None:
        cpu["shares"] = max(MIN_SHARES, weight * 1024 // 1000)
    limits: dict[str, Any] = {"cpu": cpu} if cpu else {}
    if resources.memory_limit:
        limits["memory"] = {"limit": resources.memory_limit}
    return limits
