"""A client of the control socket, from the standard library alone, so that commands start fast."""

import http.client
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

SYSTEM_SOCKET = "/run/podsupd/podsupd.sock"
REQUEST_TIMEOUT_S = 30.0
"""How long an ordinary answer may take; a rescan of a slow disk is the longest."""
STREAM_TIMEOUT_S = 45.0
"""Silence after which a stream of events counts as dead: three heartbeats."""

_ERROR_STATUS = 400


class NoDaemonError(Exception):
    """Nobody answers at the socket; the message says how to start one."""


class RefusedError(Exception):
    """The daemon's answer is no; the message is its own."""


def default_socket() -> str:
    """Return where a daemon would listen for this user: their own if it is there, else the system's."""
    own = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")) / "podsupd" / "podsupd.sock"
    return str(own) if os.geteuid() != 0 and own.exists() else SYSTEM_SOCKET


def pod_path(pod: str, container: str | None = None) -> str:
    """Return the path of a pod or of a container of it."""
    path = f"/v1/pods/{quote(pod, safe='')}"
    return f"{path}/containers/{quote(container, safe='')}" if container else path


class Client:
    """Asks the daemon at a socket (None: where it would be). Raises NoDaemonError and RefusedError."""

    def __init__(self, path: str | None) -> None:
        self.path = path or default_socket()

    def get(self, path: str, timeout_s: float = REQUEST_TIMEOUT_S, **query: Any) -> Any:
        """Get a JSON document; parameters that are None are left out."""
        return self._json("GET", path, None, timeout_s, query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, timeout_s: float = REQUEST_TIMEOUT_S) -> Any:
        """Post, and return the JSON document of the answer."""
        return self._json("POST", path, body, timeout_s, {})

    @contextmanager
    def stream(self, path: str, timeout_s: float | None, **query: Any) -> Iterator[Iterator[str]]:
        """Yield the lines of an answer as they come, without their ends."""
        with self._talk("GET", path, None, timeout_s, query) as response:
            yield self._lines(response)

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[str]:
        try:
            for raw in response:
                yield raw.decode(errors="replace").rstrip("\r\n")
        except (OSError, http.client.HTTPException) as error:
            raise NoDaemonError(f"podsupd at {self.path} broke off: {_words(error)}") from error

    def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None, timeout_s: float, query: Mapping[str, Any]
    ) -> Any:
        with self._talk(method, path, body, timeout_s, query) as response:
            try:
                return json.loads(response.read())
            except (OSError, ValueError, http.client.HTTPException) as error:
                raise NoDaemonError(f"podsupd at {self.path} gave half an answer: {error}") from error

    @contextmanager
    def _talk(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        timeout_s: float | None,
        query: Mapping[str, Any],
    ) -> Iterator[http.client.HTTPResponse]:
        given = {name: _text(value) for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        connection = _UnixConnection(self.path, timeout_s)
        try:
            try:
                headers = {"Content-Type": "application/json"} if body is not None else {}
                connection.request(method, target, None if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                refusal = _detail(response) if response.status >= _ERROR_STATUS else ""
            except (OSError, http.client.HTTPException) as error:
                raise NoDaemonError(self._why_not(error)) from error
            if refusal:
                raise RefusedError(refusal)
            yield response
        finally:
            connection.close()

    def _why_not(self, error: Exception) -> str:
        match error:
            case PermissionError():
                return f"cannot use {self.path}: permission denied; be root or a member of the socket's group"
            case TimeoutError():
                return f"podsupd at {self.path} does not answer"
            case FileNotFoundError() | ConnectionRefusedError():
                return (
                    f"no podsupd listens at {self.path}: start it with `systemctl start podsupd`, or with "
                    "`podsupd run` in the foreground; --socket or PODSUPD_SOCKET chooses another"
                )
            case _:
                return f"cannot talk to podsupd at {self.path}: {_words(error)}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("podsupd", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _detail(response: http.client.HTTPResponse) -> str:
    raw = response.read().decode(errors="replace")
    try:
        return str(json.loads(raw)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answers {response.status} {response.reason}: {raw.strip()}"
