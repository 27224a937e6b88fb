"""Sockets, addresses, token and certificate of the listeners."""

import errno
import grp
import ipaddress
import os
import socket
import ssl
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from podsupd import log
from podsupd.errors import ConfigError, FatalError
from podsupd.model.settings import ApiSettings

_log = log.get("web")
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on; host empty is every address."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, setting: str) -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``; ConfigError naming the setting."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"cannot listen on {text!r}: write an IPv6 address as [ADDRESS]:PORT", path=setting)
    if not colon or not (port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ConfigError(f"cannot listen on {text!r}: write HOST:PORT, for example 127.0.0.1:9911", path=setting)
    return Address(host, int(port))


def bind_control(settings: ApiSettings) -> socket.socket:
    """Bind, not listen on, the control socket with its mode and group; a stale one is replaced.

    Raises FatalError when another process listens there, or when it cannot be made.
    """
    path = Path(settings.socket)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _remove_stale(path)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            bound.bind(str(path))
            # Nobody can connect before listen, so there is no moment with other rights than these.
            _chown(path, settings.socket_group)
            path.chmod(settings.socket_mode)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise FatalError(f"cannot make the control socket {path}: {error.strerror or error}") from error
    return bound


def _chown(path: Path, group: str) -> None:
    if not group:
        return
    try:
        os.chown(path, -1, int(group) if group.isdigit() else grp.getgrnam(group).gr_gid)
    except KeyError:
        way_out = "create it (systemd-sysusers) or set api.socket_group"
        _log.warning("the control socket's group does not exist: only root can use it", group=group, way_out=way_out)
    except PermissionError as error:
        _log.warning("cannot give the control socket to its group", group=group, reason=str(error))


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FatalError(f"cannot make the control socket {path}: a file that is no socket is there; remove it")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except TimeoutError:
            owner = "a process that does not answer"
        except OSError as error:
            if error.errno not in {errno.ECONNREFUSED, errno.ENOENT}:
                raise
            path.unlink(missing_ok=True)
            return
        else:
            owner = _peer(probe)
    raise FatalError(f"cannot make the control socket {path}: {owner} listens there; stop it or set api.socket")


def _peer(connected: socket.socket) -> str:
    """Name the process at the other end, from SO_PEERCRED."""
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid = struct.unpack("3i", credentials)[0]
    try:
        return f"process {pid} ({Path(f'/proc/{pid}/comm').read_text().strip()})"
    except OSError:
        return f"process {pid}"


def bind_tcp(address: Address, unread_s: float | None = None) -> list[socket.socket]:
    """Listen on the address in all its families; OSError when one is taken or unknown.

    unread_s: after how many seconds a connection ends whose peer takes no byte of what was sent (None: never).
    """
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            new = socket.socket(family, kind, protocol)
            bound.append(new)
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if unread_s is not None:
                # tcp(7): of a window that stays shut as well; a connection has it from its listener.
                new.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(unread_s * 1000))
            if family == socket.AF_INET6:
                new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            new.bind(where)
            new.listen()  # here and not later: this, too, can fail on a taken address
    except OSError:
        for one in bound:
            one.close()
        raise
    return bound


def read_token(settings: ApiSettings) -> str:
    """Return the bearer token of ``api.token_file``; ConfigError when there is none."""
    if not settings.token_file:
        raise ConfigError("cannot listen on TCP without a token: set api.token_file", path="api.token_file")
    try:
        token = Path(settings.token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot read the token {settings.token_file}: {error}", path="api.token_file") from error
    if not token:
        raise ConfigError(f"cannot use the token {settings.token_file}: it is empty", path="api.token_file")
    return token


def tls_context(settings: ApiSettings, address: Address) -> ssl.SSLContext | None:
    """Return the TLS of the TCP listener, None on loopback without a certificate; ConfigError where it is missing."""
    if not settings.tls_cert_file and not settings.tls_key_file:
        if address.loopback:
            return None
        raise ConfigError(
            f"cannot listen on {address} without TLS: set api.tls_cert_file and api.tls_key_file, or listen on "
            "127.0.0.1",
            path="api.listen",
        )
    if not settings.tls_cert_file or not settings.tls_key_file:
        raise ConfigError("cannot use half of a certificate: set api.tls_cert_file and api.tls_key_file", path="api")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        name = settings.tls_cert_file
        raise ConfigError(f"cannot load the certificate {name}: {error}", path="api.tls_cert_file") from error
    return context
