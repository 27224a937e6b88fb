"""Where an attempt dials to, and the sockets it dials with."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import ProbeTarget
from podsupd.probes.netns import NamespaceThread
from podsupd.probes.text import reason

# A non-blocking stream socket of a family; OSError when there is no such family, else ProbeUnrunnable.
OpenSocket = Callable[[int], Awaitable[socket.socket]]

_LOCALHOST = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """One numeric address to try."""

    family: int
    host: str
    port: int


def host_of(spec: ProbeSpec, handler: HttpGet | TcpSocket, target: ProbeTarget) -> str:
    """Return the host that a probe dials: its own, else the pod's IP for a container's probe, else localhost."""
    if handler.host:
        return handler.host
    return "localhost" if spec.type is ProbeType.POLICY or not target.ip else target.ip


def host_port(host: str, port: int) -> str:
    """Return HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def opener(spec: ProbeSpec, target: ProbeTarget, namespaces: NamespaceThread) -> OpenSocket:
    """Return what opens sockets at the probe's vantage."""
    if spec.vantage is Vantage.HOST:
        return _open_here

    async def open_there(family: int) -> socket.socket:
        return await namespaces.open(target.netns_pid, family, target.infra_id)

    return open_there


async def _open_here(family: int) -> socket.socket:
    try:
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            raise
        raise ProbeUnrunnable(f"cannot open a socket: {reason(error)}") from error


async def addresses(host: str, port: int) -> list[Address]:
    """Return the addresses of a host in the order to try them; raises OSError (gaierror) when the name has none.

    localhost is 127.0.0.1, then ::1, whatever /etc/hosts says: that of the host is not that of the pod.
    """
    if host.lower() == "localhost":
        return [_numeric(ip, port) for ip in _LOCALHOST]
    try:
        return [_numeric(host.strip("[]"), port)]
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [Address(family, str(sockaddr[0]), port) for family, _, _, _, sockaddr in found]


def _numeric(ip: str, port: int) -> Address:
    version = ipaddress.ip_address(ip).version
    return Address(socket.AF_INET if version == 4 else socket.AF_INET6, ip, port)  # noqa: PLR2004  the version
