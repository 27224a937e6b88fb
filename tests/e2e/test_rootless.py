"""podsupd as an unprivileged user: a Podman of the user's own, no right of root's, and no kernel trace."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.harness import Daemon, free_port, podman, until
from e2e.rootless import User, UserDaemon
from e2e.stopped import manifest

from bench.podman_service import PodmanService

pytestmark = pytest.mark.podman

BUSYBOX = "docker.io/library/busybox:latest"
# Its server is a child, which a Podman without cgroups leaves behind when the first process is killed.
SERVER = "mkdir -p /www; echo hello > /www/index.html; httpd -f -p 80 -h /www & wait $!"
# The child needs a second after SIGTERM; the first process waits for nobody. Its trap is set before there is a child.
LEAVES = (
    "trap 'exit 7' TERM; "
    "sh -c 'trap \"sleep 1; echo done > /out/child; exit 0\" TERM; echo up > /out/up; while :; do sleep 0.1; done' & "
    "while :; do sleep 0.1; done"
)


def probed(name: str, out: Path, port: int) -> str:
    """Return a pod that is probed from inside, by a command and from the host."""
    often = "periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 30"
    fields = (
        f"ports: [{{containerPort: 80, hostPort: {port}}}]\n"
        f"    livenessProbe: {{exec: {{command: [cat, /www/index.html]}}, {often}}}\n"
        f"    readinessProbe: {{httpGet: {{port: 80, path: /}}, {often}}}\n"
    )
    text = manifest(name, out, {"web": SERVER, "leaves": LEAVES}, grace=30, fields=fields)
    host = f"{{name: host-get, from: Host, httpGet: {{port: {port}, path: /}}, {often}}}"
    policy = f"apiVersion: podsupd.io/v1\nkind: PodPolicy\nmetadata: {{name: {name}}}\nspec: {{probes: [{host}]}}\n"
    return f"{text}---\n{policy}"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Make a user with an image of its own; nothing of it is left."""
    image = tmp_path_factory.mktemp("image") / "image.tar"
    subprocess.run(["podman", "save", "--quiet", "--output", str(image), BUSYBOX], check=True)
    with User(f"podsupd-e{os.getpid()}") as made:
        made.load(image)
        yield made


@pytest.fixture
def users_daemon(user: User) -> Iterator[Daemon]:
    """Return the user's daemon, not started, beside the user's Podman."""
    socket = user.directory(user.run_dir / "podman") / "podman.sock"
    with PodmanService(socket, user=user.command(), **user.environment):
        daemon = UserDaemon(user)
        yield daemon
        daemon.kill()


@pytest.fixture
def roots_twin(name: str) -> Iterator[str]:
    """Return what identifies a pod of root's that has the same name."""
    podman("pod", "create", "--name", name, "--share", "net,pid")
    try:
        podman("run", "-d", "--pod", name, "--name", f"{name}-web", BUSYBOX, "sleep", "1000000")
        yield twin(name)
    finally:
        podman("pod", "rm", "--force", "--time=0", name)


def twin(name: str) -> str:
    """Return id, state and start of root's container."""
    return podman("container", "inspect", f"{name}-web", "--format", "{{.Id}} {{.State.Status}} {{.State.StartedAt}}")


def first(user: User, container: str) -> int:
    """Ask the user's Podman for a first process."""
    pid: int = json.loads(user.run("podman", "container", "inspect", container))[0]["State"]["Pid"]
    return pid


def httpds(daemon: Daemon, name: str) -> dict[int, str]:
    """Return the servers of a pod: host PID and container."""
    processes = json.loads(daemon.cli("ps", name, "-o", "json").stdout)["processes"]
    return {p["hostPID"]: p["container"] for p in processes if p["commandLine"][:1] == ["httpd"]}


def vantages(daemon: Daemon) -> set[str]:
    """Return from where probes succeeded."""
    counted = [line for line in daemon.metrics().splitlines() if line.startswith("podsupd_probe_total{")]
    good = [line for line in counted if 'result="successful"' in line]
    return {line.partition('vantage="')[2].partition('"')[0] for line in good}


def test_an_unprivileged_users_pod_is_kept(user: User, users_daemon: Daemon, name: str, roots_twin: str) -> None:
    """Without any right of root's a pod is brought up, probed, healed, signalled, stopped for everyone and removed."""
    daemon, port = users_daemon, free_port()
    out = user.directory(user.run_dir / "out")
    path = daemon.write("pod.yaml", probed(name, out, port))
    daemon.start()
    daemon.wait_pod(name, 90)
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    assert f"\nUid:\t{user.uid}\t{user.uid}\t{user.uid}\t{user.uid}\n" in status
    assert "\nCapEff:\t0000000000000000\n" in status
    until(lambda: vantages(daemon) == {"Pod", "Container", "Host"}, f"probes from everywhere; {daemon.tail()}", 60)
    with urllib.request.urlopen(f"http://localhost:{port}", timeout=30) as answer:
        assert answer.read() == b"hello\n"
    # What is missing without the trace is said, and what explains itself without it is there.
    assert daemon.metric("podsupd_signal_tracer_up") == 0
    assert "SignalTracer: False (Unavailable): cannot " in daemon.get("/readyz?verbose").text
    servers = httpds(daemon, name)
    assert set(servers.values()) == {"web"}
    report = json.loads(daemon.cli("signal", f"{name}/web", "WINCH", "-o", "json", check=False).stdout)
    assert [p["fate"] for p in report["processes"]] == ["ignored"]

    os.kill(first(user, f"{name}-web"), signal.SIGKILL)
    until(lambda: daemon.container(name, "web")["restartCount"] == 1, f"the restart; log: {daemon.tail()}", 60)
    daemon.wait_pod(name, 60)
    (died,) = daemon.events(name, "Died")
    assert died["message"].startswith("container web ended by SIGKILL")
    # What it left behind was ended before: the new server could not have had the port.
    assert servers.keys() & httpds(daemon, name).keys() == set()

    until((out / "up").exists, "the child up")
    daemon.cli("stop", f"{name}/leaves")
    assert (out / "child").read_text() == "done\n"
    ended = daemon.container(name, "leaves")["state"]["terminated"]
    assert (ended["exitCode"], daemon.events(name, "StopDegraded"), daemon.events(name, "Killed")) == (7, [], [])

    path.unlink()
    until(lambda: not user.run("podman", "pod", "ps", "--quiet"), f"the pod removed; log: {daemon.tail()}", 60)
    assert twin(name) == roots_twin
