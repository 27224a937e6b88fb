"""How a pod resolves names: the host's resolv.conf, and what dnsConfig adds to it."""

import ipaddress
from pathlib import Path
from typing import Any

from podsupd.model.network import Dns
from podsupd.model.spec import PodSpec

RESOLV_CONF = Path("/etc/resolv.conf")
# Where systemd-resolved is, the file above names its own address on loopback, which no pod can reach.
UPLINKS = Path("/run/systemd/resolve/resolv.conf")


def host_dns() -> Dns:
    """Read the host's resolver settings, without servers that a pod cannot reach. Blocks; empty where unreadable."""
    for path in (RESOLV_CONF, UPLINKS):
        try:
            found = parse(path.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if found.nameservers:
            return found
    return Dns()


def parse(text: str) -> Dns:
    """Read a resolv.conf."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest and not _loopback(rest[0]):
            servers.append(rest[0])
        elif word in ("search", "domain"):
            searches = rest
        elif word == "options":
            options += rest
    return Dns(nameservers=tuple(servers), searches=tuple(searches), options=tuple(options))


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return True


def fields(pod: PodSpec, host: Dns) -> dict[str, Any]:
    """Return the fields of ``pods/create``: where dnsConfig says nothing, Podman's own way holds."""
    own = pod.network.dns
    if own.only:
        # A dot is no search domain at all: an empty list would be the host's.
        return {
            "dns_server": list(own.nameservers),
            "dns_search": list(own.searches) or ["."],
            "dns_option": list(own.options),
        }
    parts = (
        ("dns_server", host.nameservers, own.nameservers),
        ("dns_search", host.searches, own.searches),
        ("dns_option", host.options, own.options),
    )
    return {name: list(dict.fromkeys([*first, *more])) for name, first, more in parts if more}
