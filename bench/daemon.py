"""podsupd as a user runs it: a process with a configuration file, asked over its socket."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.podman_api import wait
from bench.rows import Options


class Daemon:
    """A podsupd with manifests, state, socket and log in one directory; ended, pods untouched, by leaving."""

    def __init__(self, options: Options, directory: Path, **environment: str) -> None:
        """environment: settings besides, as PODSUPD_SECTION__KEY."""
        self.directory = directory
        self._environment = {**os.environ, **environment}
        self.manifests = directory / "pods.d"
        self.manifests.mkdir(parents=True, exist_ok=True)
        self.log = directory / "log"
        self._socket = directory / "podsupd.sock"
        self._config = directory / "podsupd.toml"
        self._program = options.podsupd
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(
            f'[manifests]\ndir = "{self.manifests}"\n'
            f'[podman]\nurl = "{options.url}"\n'
            f'[api]\nsocket = "{self._socket}"\nsocket_group = "root"\n'
            '[metrics]\nlisten = ""\n'
            f'[state]\ndir = "{self.state}"\n'
            '[log]\nformat = "json"\n'
        )

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        if self._process is None:
            raise RuntimeError("podsupd was not started")
        return self._process.pid

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.directory / "state"

    @property
    def volumes(self) -> Path:
        """Where it keeps the files that it makes for pods."""
        return self.directory / "volumes"

    def start(self) -> None:
        """Start it; does not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "run", "--config", self._config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def stop(self) -> float:
        """End it by SIGTERM and return how long that took, in seconds."""
        if self._process is None:
            return 0.0
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process = None
        return time.monotonic() - began

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Ask the control endpoint; 0 when nobody listens."""
        connection = _UnixConnection(str(self._socket))
        try:
            connection.request(
                method,
                path,
                json.dumps(body) if body is not None else None,
                {"Content-Type": "application/json"} if body is not None else {},
            )
            answer = connection.getresponse()
            text = answer.read()
        except OSError:
            return 0, None
        finally:
            connection.close()
        return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text.decode()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until /readyz says yes."""
        self._wait(lambda: self.request("GET", "/readyz")[0] == http.HTTPStatus.OK, "ready", timeout_s)

    def wait_pods_ready(self, count: int, timeout_s: float = 300.0) -> None:
        """Wait until that many pods are Ready."""

        def ready() -> bool:
            status, answer = self.request("GET", "/v1/pods")
            return status == http.HTTPStatus.OK and sum(map(_is_ready, answer["items"])) >= count

        self._wait(ready, f"{count} pods Ready", timeout_s)

    def _wait(self, condition: Any, what: str, timeout_s: float) -> None:
        def so() -> bool:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"podsupd ended; its last words: {self._last_words()}")
            return bool(condition())

        try:
            wait(so, timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"podsupd: {what}: {error}; its last words: {self._last_words()}") from error

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"])
