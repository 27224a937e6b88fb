"""By which names a pod is known and resolves others, and which of the host's namespaces it shares."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process that holds a port of the host. container_id: of which container it is, or holds it for; or empty."""

    pid: int
    command: str
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class HostAlias:
    """A line of /etc/hosts."""

    ip: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dns:
    """resolv.conf: only is dnsPolicy None, else what is here comes after the host's own. options: ``name[:value]``."""

    only: bool = False
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """hostname: empty is the pod's name. fqdn: its full name where it has a subdomain."""

    hostname: str = ""
    fqdn: str = ""
    aliases: tuple[HostAlias, ...] = ()
    dns: Dns = Dns()
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
