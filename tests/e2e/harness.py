"""The daemon as a subprocess, steered as an operator would, on the real Podman of this machine.

Nothing here sleeps for a time: everything waits for an event or looks again until a deadline says what was missing.
"""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PODSUPD = Path(sys.executable).parent / "podsupd"
PODMAN_URL = "unix:///run/podman/podman.sock"
PATIENCE = float(os.environ.get("PODSUPD_TEST_PATIENCE", "1"))
"""How many times longer all limits are, on a machine that is emulated."""


def until(
    look: Callable[[], T], what: str, seconds: float = 120.0, every: float = 0.05, tail: Callable[[], str] | None = None
) -> T:
    """Look again until the answer is truthy and return it; the failure says what was awaited and what was seen last.

    tail: what is added to the failure, as it is then.
    """
    seconds *= PATIENCE
    every *= PATIENCE  # Who looks takes the time of what is looked at.
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            last = look()
        except (OSError, http.client.HTTPException, KeyError, LookupError, AssertionError) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(every)
    more = f"; log: {tail()}" if tail else ""
    raise AssertionError(f"waited {seconds:g} s for {what}; last: {last!r}{more}")


def free_port() -> int:
    """Return a TCP port of this host that nobody has, and that no other test is given as long as this process lives.

    The kernel gives none of these to a connection (net.ipv4.ip_local_port_range begins above them).
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 12_000):
        with socket.socket(socket.AF_UNIX) as claim, socket.socket() as probe:
            try:
                claim.bind(f"\0podsupd-tests-port-{port}")
                probe.bind(("", port))
            except OSError:
                continue
            claim.detach()  # open until this process ends
            return port
    raise LookupError("no port is free")


def nginx_workers(master: int) -> set[int]:
    """Return the workers of an nginx by their PIDs; none while its image's entrypoint still prepares the start."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    titles = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return {pid for pid, title in titles.items() if title.startswith(b"nginx: worker process")}


def masked(pid: int, mask: str, number: int) -> bool:
    """Say whether a signal is in SigCgt, SigIgn or SigBlk of a process; a shell may set its traps after Ready."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return bool(int(next(x for x in lines if x.startswith(mask)).split()[1], 16) >> (number - 1) & 1)


def podman(*args: str, check: bool = True) -> str:
    """Run the podman command and return what it printed."""
    done = subprocess.run(["podman", *args], capture_output=True, text=True, check=False, timeout=120 * PATIENCE)
    if check and done.returncode != 0:
        raise AssertionError(f"podman {' '.join(args)}: {done.stderr}")
    return done.stdout.strip()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("podsupd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.text)


class Daemon:
    """One podsupd with a state, a manifest directory, a socket and a metrics port of its own under ``root``.

    user: what is put before its command, to run it as somebody else. environment: None: that of the tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: str = "",
        podman_url: str = PODMAN_URL,
        user: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root
        self._user_command = user
        self._environment = environment
        self.manifests = root / "pods.d"
        self.state = root / "state"
        self.socket = root / "podsupd.sock"
        self.log = root / "log"
        self.metrics_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.manifests.mkdir(exist_ok=True, parents=True)
        self.config = root / "podsupd.toml"
        self.config.write_text(
            f"""
[manifests]
dir = "{self.manifests}"
rescan_interval_s = 1
[podman]
url = "{podman_url}"
relist_interval_s = 1
[api]
socket = "{self.socket}"
socket_group = ""
[metrics]
listen = "127.0.0.1:{self.metrics_port}"
[state]
dir = "{self.state}"
[log]
format = "json"
level = "debug"
{settings}
"""
        )

    # -- its process

    def start(self, *, wait: bool = True) -> "Daemon":
        """Start it; with wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                # It ends with the tests, however those are ended: a CronJob's pods would come back every minute.
                ["setpriv", "--pdeathsig", "KILL", *self._user_command, PODSUPD, "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
            )  # fmt: skip
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = 180.0) -> None:
        """Wait for /readyz."""
        until(lambda: self.alive() and self.get("/readyz").status == 200, "readiness", seconds, tail=self.tail)

    def alive(self) -> bool:
        """Say whether the process runs; fails the wait at once when it ended by itself."""
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"podsupd ended: {self.tail()}")
        return True

    @property
    def pid(self) -> int:
        """Return the pid of the daemon."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Signal the daemon."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with SIGKILL and reap it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait(60 * PATIENCE)
        self.process = None

    def stop(self) -> None:
        """End it as systemd would, within half a minute."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30 * PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(60 * PATIENCE)
            self.process = None

    def on_disk(self, database: str, pattern: str) -> list[bytes]:
        """Return what matches in a database (``state.db``), which the daemon has locked; events take it a second."""
        files = self.state.glob(f"{database}*")
        return [found for path in files for found in re.findall(pattern.encode(), path.read_bytes(), re.DOTALL)]

    def tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""

    # -- its API

    def request(self, method: str, path: str, body: object = None, timeout: float = 90.0) -> Answer:
        """Make one request on the control socket."""
        connection = _Unix(str(self.socket), timeout * PATIENCE)
        try:
            data = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """GET on the control socket."""
        return self.request("GET", path)

    def post(self, path: str, body: object = None) -> Answer:
        """POST on the control socket."""
        return self.request("POST", path, body)

    def metrics(self) -> str:
        """Scrape the metrics listener as Prometheus would."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=60 * PATIENCE)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def metric(self, line: str) -> float:
        """Return the value of the sample whose name and labels are exactly ``line``; LookupError if missing."""
        for sample in self.metrics().splitlines():
            if sample.startswith(line + " "):
                return float(sample.rsplit(" ", 1)[1])
        raise LookupError(f"no sample {line}")

    def cli(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the podsupd command against this daemon."""
        environment = {**os.environ, "PODSUPD_SOCKET": str(self.socket), "NO_COLOR": "1"}
        done = subprocess.run(
            [PODSUPD, *args],
            capture_output=True, text=True, check=False, timeout=180 * PATIENCE, env=environment,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise AssertionError(f"podsupd {' '.join(args)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done

    # -- what it says

    def pod(self, name: str) -> Any:
        """Return /v1/pods/NAME."""
        answer = self.get(f"/v1/pods/{urllib.parse.quote(name)}")
        if answer.status != 200:
            raise LookupError(answer.text)
        return answer.json

    def ready(self, name: str) -> bool:
        """Say whether a pod's Ready condition is True."""
        return self.condition(name, "Ready") == "True"

    def condition(self, name: str, kind: str) -> str:
        """Return the status of a condition, empty when it is not there."""
        conditions = self.pod(name)["status"]["conditions"]
        return next((c["status"] for c in conditions if c["type"] == kind), "")

    def wait_pod(self, name: str, seconds: float = 180.0) -> Any:
        """Wait until a pod is Ready and return it."""
        until(lambda: self.ready(name), f"pod {name} Ready", seconds, tail=self.tail)
        return self.pod(name)

    def container(self, pod: str, name: str) -> Any:
        """Return a container's status; LookupError while there is none."""
        found = [c for c in self.pod(pod)["status"]["containerStatuses"] if c["name"] == name]
        return found[0]

    def events(self, pod: str, reason: str) -> list[Any]:
        """Return a pod's events of that reason, oldest first."""
        items = self.get(f"/v1/events?pod={pod}&limit=500").json["items"]
        return [e for e in items if e["reason"] == reason]

    # -- its manifests

    def write(self, name: str, text: str) -> Path:
        """Put a manifest in place as a careful operator does: another name first, then a rename."""
        path = self.manifests / name
        scratch = self.manifests / f".{name}.tmp"
        scratch.write_text(text)
        scratch.rename(path)
        return path


def pod_manifest(
    name: str,
    *,
    containers: dict[str, str] | None = None,
    grace: int = 2,
    port: int | None = None,
    extra: str = "",
    share_pid: bool = True,
) -> str:
    """Return a pod of busybox containers (name -> shell script); port publishes 80 of the first on the host."""
    scripts = containers or {"main": "trap 'exit 0' TERM; while :; do sleep 1; done"}
    lines = [
        "apiVersion: v1",
        "kind: Pod",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  shareProcessNamespace: {str(share_pid).lower()}",
        f"  terminationGracePeriodSeconds: {grace}",
        *([f"  {extra}"] if extra else []),
        "  containers:",
    ]
    for number, (container, script) in enumerate(scripts.items()):
        lines += [
            f"  - name: {container}",
            "    image: docker.io/library/busybox:latest",
            "    imagePullPolicy: IfNotPresent",
            f"    command: [sh, -c, {json.dumps(script)}]",
        ]
        if port is not None and number == 0:
            lines.append(f"    ports: [{{containerPort: 80, hostPort: {port}}}]")
    return "\n".join(lines) + "\n"
