"""What a container's environment may be told of its pod and its host, asked when it is created."""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from podsupd.libpod import shapes
from podsupd.model.references import FieldRef, PodFacts, ResourceRef
from podsupd.model.spec import ContainerSpec

Json = Mapping[str, Any]

_SIOCGIFADDR = 0x8915
_OUTWARD = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))


def asks_for_ip(container: ContainerSpec) -> bool:
    """Say whether the pod must have its address before the container is made."""
    return any(isinstance(v, FieldRef) and v.path.startswith("status.podIP") for _, v in container.env)


def asks_for_host(container: ContainerSpec) -> bool:
    """Say whether anything of pod or host is asked for that the manifest does not say."""
    return any(isinstance(v, FieldRef | ResourceRef) for _, v in container.env)


def host_addresses() -> tuple[str, ...]:
    """Return the addresses that the host's default routes go out from, IPv4 first; nothing is sent. Blocks.

    On a host that has no way out: the IPv4 addresses of its interfaces, but for loopback.
    """
    found = []
    for destination, family in _OUTWARD:
        # A kernel without IPv6 has not even a socket of it.
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, 9))
            found.append(str(probe.getsockname()[0]))
    return tuple(found) or _interface_addresses()


def _interface_addresses() -> tuple[str, ...]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # it has no address
                continue
            address = socket.inet_ntoa(answer[20:24])
            if not ipaddress.ip_address(address).is_loopback:
                found.append(address)
    return tuple(found)


def pod_facts(pod: Json, infra: Json | None, info: Json, host_ips: tuple[str, ...]) -> PodFacts:
    """Put together the pod's inspect, its infra container's, and Podman's ``info``."""
    host = info["host"]
    return PodFacts(
        uid=pod["Id"],
        # A pod in the host's network has no address of its own: it has the host's.
        pod_ips=(shapes.pod_ips(infra) if infra else ()) or host_ips,
        host_ips=host_ips,
        node_name=host.get("hostname") or "",
        cpu_milli=int(host.get("cpus") or 0) * 1000,
        memory=int(host.get("memTotal") or 0),
    )
