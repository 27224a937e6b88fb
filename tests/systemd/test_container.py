"""podsupd in a container: the Containerfile builds, and drives the Podman whose socket it is given."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import free_port

pytestmark = [pytest.mark.hosts, pytest.mark.podman, pytest.mark.timeout(1000)]

REPO = Path(__file__).parents[2]
SOCKET = "/run/podman/podman.sock"
# Names and ports of this run's own, so that two runs on one machine do not meet.
RUN = os.getpid()
BASE = f"localhost/podsupd-test-debian:{RUN}"
IMAGE = f"localhost/podsupd-test:{RUN}"
NAME = f"podsupd-test-{RUN}"
POD = f"podsupd-test-in-{RUN}"
HOST_PORT, METRICS_PORT = free_port(), free_port()
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

MANIFEST = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: {POD}}}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 2
  containers:
  - name: web
    image: docker.io/library/nginx:latest
    imagePullPolicy: IfNotPresent
    ports: [{{containerPort: 80, hostPort: {HOST_PORT}}}]
    livenessProbe: {{httpGet: {{port: 80, path: /}}, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 20}}
    readinessProbe: {{exec: {{command: [nginx, -t]}}, periodSeconds: 1, timeoutSeconds: 20}}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {POD}}}
spec:
  probes:
  - {{name: host, from: Host, httpGet: {{port: {HOST_PORT}, path: /}}, periodSeconds: 1, timeoutSeconds: 20}}
"""


def podman(*command: str | Path, check: bool = True, timeout: float = 60) -> str:
    """Run podman on this machine and return what it printed."""
    done = subprocess.run(["podman", *command], check=False, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        pytest.fail(f"podman {' '.join(map(str, command))} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built from the Containerfile on a Debian of our own (there may be no registry to get one from)."""
    made = subprocess.run([REPO / "tests/hosts/make-rootfs"], check=True, stdout=subprocess.PIPE, text=True)
    tar = subprocess.Popen(["tar", "-C", made.stdout.strip(), "-c", "."], stdout=subprocess.PIPE)
    with tar:
        subprocess.run(["podman", "import", "-q", "-", BASE], check=True, stdin=tar.stdout, capture_output=True)
    # pip in the build trusts the certificates that this machine trusts.
    pip = tmp_path_factory.mktemp("pip") / "pip.conf"
    pip.write_text("[global]\ncert = /run/certificates.crt\n")
    try:
        podman(
            "build", "--layers=false", "--network=host", f"--build-arg=BASE={BASE}", "-t", IMAGE,
            "-v", f"{CERTIFICATES}:/run/certificates.crt:ro", "-v", f"{pip}:/etc/pip.conf:ro", REPO,
            timeout=800,
        )  # fmt: skip
        yield IMAGE
    finally:
        podman("rmi", "-f", IMAGE, BASE, check=False)


@pytest.fixture
def start(image: str, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """A function that starts podsupd in a container with the given flags, on a directory with one pod."""
    for name in ("pods.d", "state", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "pods.d/pod.yaml").write_text(MANIFEST)

    run = tmp_path / "run"

    def begin(*flags: str) -> None:
        podman(
            "run", "-d", "--name", NAME, "--network=host", *flags,
            "-e", f"PODSUPD_METRICS__LISTEN=127.0.0.1:{METRICS_PORT}",
            "-v", f"{SOCKET}:{SOCKET}", "-v", f"{tmp_path}/pods.d:/etc/podsupd/pods.d:ro",
            # As documented the path is the same inside and on the host: Podman mounts files from beside the socket.
            "-e", f"PODSUPD_API__SOCKET={run}/podsupd.sock", "-e", f"PODSUPD_SOCKET={run}/podsupd.sock",
            "-v", f"{tmp_path}/state:/var/lib/podsupd", "-v", f"{run}:{run}", image,
        )  # fmt: skip

    yield begin
    podman("rm", "-f", "-t", "5", NAME, check=False)
    until("the pod's end", removed)


def removed() -> bool:
    """Remove the pod, with whatever the daemon had asked Podman for when it was killed; say whether it is gone."""
    podman("pod", "rm", "-f", "-i", "-t", "2", POD, check=False)
    return not podman("pod", "ps", "-q", "--filter", f"name={POD}").strip()


def probes() -> dict[str, dict[str, Any]]:
    """Return the probes of the pod, by name, as the daemon in the container shows them."""
    out = podman("exec", NAME, "podsupd", "status", POD, "-o", "json", check=False)
    shown = json.loads(out)["podsupd"].get("probes", []) if out.strip() else []
    return {each["name"]: each for each in shown}


def said(probe: str) -> str:
    """Return what came of a probe's last attempt; empty before the first."""
    return probes().get(probe, {}).get("message") or ""


def until(what: str, holds: Callable[[], bool]) -> None:
    """Look until something holds inside the container, where no event reaches us."""
    deadline = time.monotonic() + 180
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within three minutes: {what}\n{probes()}\n{logs()}")
        time.sleep(0.2)


def test_it_supervises_with_the_documented_flags(start: Callable[..., None]) -> None:
    """A user who follows the Containerfile gets pods, probes of every vantage, and pods that outlive the container."""
    flags = re.findall(r"--cap-add (\S+)", (REPO / "Containerfile").read_text())
    start("--pid=host", "--cap-add", flags[0])
    until("all probes pass", lambda: [each["passing"] for each in probes().values()] == [True] * 3)
    assert web_processes() >= 2
    before = podman("container", "inspect", f"{POD}-web", "-f", "{{.Id}} {{.State.StartedAt}}")
    podman("stop", "-t", "60", NAME, timeout=300)
    assert podman("container", "inspect", NAME, "-f", "{{.State.ExitCode}}").strip() == "0"
    podman("start", NAME)
    until("all probes pass again", lambda: [each["passing"] for each in probes().values()] == [True] * 3)
    assert podman("container", "inspect", f"{POD}-web", "-f", "{{.Id}} {{.State.StartedAt}}") == before


def test_without_capabilities_it_says_what_is_missing(start: Callable[..., None]) -> None:
    """A user who leaves the capabilities out is told which ones pod-local probes need, and keeps the other probes."""
    start("--pid=host")
    until("the host's probe passes", lambda: bool(probes().get("host", {}).get("passing")))
    until("the pod-local probe says why", lambda: "CAP_SYS_ADMIN" in said("web/liveness"))
    assert web_processes() >= 2  # by their cgroup, which anybody may read


def test_without_the_hosts_pids_it_goes_by_podmans_word(start: Callable[..., None]) -> None:
    """A user who forgets --pid=host is told, gets pods that run and restart, and no process is mistaken for another."""
    start("--cap-add", "SYS_ADMIN,SYS_PTRACE")
    until("the host's probe passes", lambda: bool(probes().get("host", {}).get("passing")))
    until("it says what is missing", lambda: "--pid=host" in logs())
    assert probes()["web/liveness"]["passing"] is not False
    refused = subprocess.run(["podman", "exec", NAME, "podsupd", "ps", POD], check=False, capture_output=True)
    assert refused.returncode == 1
    assert b"--pid=host" in refused.stderr
    podman("kill", f"{POD}-web")
    until("it is restarted", lambda: "restartCount" in shown() and restarts() >= 1)


def logs() -> str:
    """Return what the daemon in the container logged, which is on its standard error."""
    done = subprocess.run(["podman", "logs", NAME], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode()


def shown() -> str:
    """Return the pod as the daemon in the container shows it."""
    return podman("exec", NAME, "podsupd", "status", POD, "-o", "json", check=False)


def web_processes() -> int:
    """Return how many processes of the web container the daemon in the container sees: nginx and its workers."""
    body = json.loads(podman("exec", NAME, "podsupd", "ps", POD, "-o", "json"))
    return sum(1 for p in body["processes"] if p["container"] == "web" and p["origin"] == "container")


def restarts() -> int:
    """Return how often the web container was restarted."""
    statuses = json.loads(shown())["status"]["containerStatuses"]
    return int(next(s["restartCount"] for s in statuses if s["name"] == "web"))
