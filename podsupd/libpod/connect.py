"""Which Podman: the URL of the libpod socket, as the podman command would find it."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from podsupd.errors import ConfigError

_ROOT_SOCKET = Path("/run/podman/podman.sock")


def default_socket() -> Path:
    """Return where podman.socket listens for this user; it need not be there."""
    if os.geteuid() == 0:
        return _ROOT_SOCKET
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return Path(runtime) / "podman" / "podman.sock"


def find_url(configured: str) -> str:
    """Return the ``unix://`` URL of the Podman to use; nothing is opened.

    In order: ``configured``; CONTAINER_HOST; the connection that CONTAINER_CONNECTION names; the default connection
    of podman-connections.json or containers.conf; the user's default socket. A default connection to another machine
    is passed over, as the podman command on Linux does without ``--remote``; one that was asked for is a ConfigError.
    """
    if configured:
        return _local(configured, "[podman] url")
    if host := os.environ.get("CONTAINER_HOST", ""):
        return _local(host, "CONTAINER_HOST")
    wanted = os.environ.get("CONTAINER_CONNECTION", "")
    known, default = _connections() if wanted or any(path.exists() for path in _files()) else ({}, "")
    if wanted:
        if wanted not in known:
            raise ConfigError(
                f"cannot use connection {wanted!r} of CONTAINER_CONNECTION: podman system connection list does not "
                "show it; unset the variable or set [podman] url"
            )
        return _local(known[wanted], f"connection {wanted!r}")
    if default and urlsplit(default).scheme == "unix":
        return _local(default, "the default connection")
    return f"unix://{default_socket()}"


def _files() -> tuple[Path, Path]:
    # Where podman-py looks. Checked first, since importing it takes 10 MB for good, and most hosts have neither.
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "containers"
    return config / "podman-connections.json", config / "containers.conf"


def _connections() -> tuple[Mapping[str, str], str]:
    """Return name -> URL of the known connections, and the URL of the default one (empty if there is none)."""
    # Late, for the same 10 MB.
    from podman.domain.config import PodmanConfig  # noqa: PLC0415

    try:
        config = PodmanConfig()
    except (AttributeError, OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        names = " or ".join(map(str, _files()))
        raise ConfigError(f"cannot read Podman's connections in {names}: {error}; set [podman] url") from error
    # podman-py stumbles over a containers.conf without connections, which is what most of them are.
    try:
        known = {name: service.url.geturl() for name, service in config.services.items()}
    except (KeyError, TypeError, AttributeError):
        known = {}
    try:
        active = config.active_service
        default = active.url.geturl() if active else ""
    except (KeyError, TypeError, AttributeError):
        default = ""
    return known, default


def _local(url: str, source: str) -> str:
    if url.startswith("/"):
        return f"unix://{url}"
    parts = urlsplit(url)
    if parts.scheme == "unix" and not parts.netloc and parts.path:
        return f"unix://{parts.path}"
    raise ConfigError(
        f"cannot use Podman at {url!r} ({source}): podsupd talks to the Podman of its own host only; "
        "set [podman] url to a local socket, as unix:///run/podman/podman.sock",
        path="podman.url",
    )
