"""Where an attempt dials to, and the sockets it dials with."""

import asyncio
import errno
import ipaddress
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import ProbeSpec, ProbeType, Vantage
from podsupd.ports import Detail, ProbeTarget
from podsupd.probes.netns import NamespaceThread
from podsupd.probes.text import reason

# A non-blocking stream socket of a family; OSError when there is no such family, else ProbeUnrunnable.
OpenSocket = Callable[[int], Awaitable[socket.socket]]

_LOCALHOST = ("127.0.0.1", "::1")
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN})


@dataclass(frozen=True, slots=True)
class Address:
    """One numeric address to try."""

    family: int
    host: str
    port: int


def host_of(spec: ProbeSpec, host: str | None, target: ProbeTarget) -> str:
    """Return the host that a probe dials: its own, else the pod's IP for a container's probe, else localhost."""
    if host:
        return host
    return "localhost" if spec.type is ProbeType.POLICY or not target.ip else target.ip


def host_port(host: str, port: int) -> str:
    """Return HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def opener(vantage: Vantage, target: ProbeTarget, namespaces: NamespaceThread) -> OpenSocket:
    """Return what opens sockets at a vantage: the host, or the pod."""
    if vantage is Vantage.HOST:
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


async def connect(host: str, port: int, open_socket: OpenSocket, detail: Detail) -> socket.socket:
    """Return a socket that is connected to the first address that accepts; raises the first address' OSError."""
    first: OSError | None = None
    tried: list[str] = []
    for address in await addresses(host, port):
        tried.append(host_port(address.host, port))
        detail.address = tried[-1]
        try:
            sock = await open_socket(address.family)
        except OSError as error:
            first = first or error
            continue
        try:
            began = time.monotonic()
            await _reach(sock, (address.host, port))
        except OSError as error:
            sock.close()
            first = first or error
        except BaseException:
            sock.close()
            raise
        else:
            detail.connect_s = time.monotonic() - began
            return sock
    detail.address = ", ".join(tried)
    raise first or OSError(f"{host} has no address")


async def _reach(sock: socket.socket, place: tuple[str, int]) -> None:
    code = sock.connect_ex(place)
    if code in _PENDING:
        code = sock.connect_ex(place)  # over loopback and veth the answer is there already
    if code in _PENDING:
        await asyncio.get_running_loop().sock_connect(sock, place)
    elif code not in {0, errno.EISCONN}:
        raise OSError(code, os.strerror(code))


async def addresses(host: str, port: int) -> tuple[Address, ...]:
    """Return the addresses of a host in the order to try them; raises OSError (gaierror) when the name has none.

    localhost is 127.0.0.1, then ::1, whatever /etc/hosts says: that of the host is not that of the pod. A name is
    looked up with the host's resolver from any vantage.
    """
    numeric = _numeric(host, port)
    if numeric:
        return numeric
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(Address(family, str(sockaddr[0]), port) for family, _, _, _, sockaddr in found)


@lru_cache(maxsize=256)
def _numeric(host: str, port: int) -> tuple[Address, ...]:
    """Return what needs no resolver, empty for a name."""
    try:
        hosts = _LOCALHOST if host.lower() == "localhost" else (str(ipaddress.ip_address(host.strip("[]"))),)
    except ValueError:
        return ()
    return tuple(Address(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip, port) for ip in hosts)
