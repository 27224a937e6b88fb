"""Managers of processes, the real ones, in one pod: each ends its own children as it always does."""

import json
import uuid
from pathlib import Path

import pytest
from e2e.harness import Daemon, podman, until
from e2e.stopped import IDLE, cgroups_of_ours, processes_of

pytestmark = pytest.mark.podman

# Debian's own programs run in the small image too, once they find the machine's libraries.
LIBRARIES = {"/usr": "/usr", "/usr/lib": "/lib", "/usr/lib64": "/lib64"}
W = "/out/worker"
# A worker that needs a moment after SIGTERM, and says each one that it gets.
WORKER = """\
#!/bin/sh
finish() {
  echo term >> /out/$NAME
  sleep 0.3
  # Not before another one has done its work.
  [ -z "$AFTER" ] || until grep -q done "/out/$AFTER"; do sleep 0.1; done
  echo done >> /out/$NAME
  exit 0
}
trap finish TERM
echo up >> /out/$NAME.up
while :; do sleep 0.1; done
"""
S6 = "#!/usr/bin/env sh\nexec env NAME=s6-{0} /out/worker\n"
SUPERVISORD = """\
[supervisord]
nodaemon = true
user = root
logfile = /dev/null
logfile_maxbytes = 0
pidfile = /tmp/supervisord.pid
"""
PROGRAM = """\
[program:{0}]
command = /out/worker
environment = NAME="supervisord-{0}"
"""
# Container -> its command, and the exit code with which it ends on SIGTERM.
MANAGERS = {
    # tini waits for its own child only: the other one is done before it.
    "tini": (["/usr/bin/tini", "-g", "--", "sh", "-c", f"NAME=tini-a {W} & AFTER=tini-a NAME=tini-b exec {W}"], 0),
    "s6": (["/usr/bin/s6-svscan", "/out/services"], 0),
    "supervisord": (["/usr/bin/supervisord", "-c", "/out/supervisord.conf"], 0),
    "shell": (["sh", "-mc", f"trap 'kill %1 %2' TERM; NAME=shell-a {W} & NAME=shell-b {W} & wait; wait; exit 7"], 7),
}
WORKERS = [f"{manager}-{worker}" for manager in MANAGERS for worker in "ab"]


def configure(out: Path) -> None:
    """Write what the managers read."""
    out.mkdir()
    (out / "worker").write_text(WORKER)
    (out / "worker").chmod(0o755)
    (out / "supervisord.conf").write_text(SUPERVISORD + "".join(PROGRAM.format(worker) for worker in "ab"))
    for worker in "ab":
        service = out / "services" / worker
        service.mkdir(parents=True)
        (service / "run").write_text(S6.format(worker))
        (service / "run").chmod(0o755)


def pod(name: str, out: Path) -> str:
    """Return a pod of all of them and a sibling."""
    commands = {manager: command for manager, (command, _) in MANAGERS.items()} | {"other": ["sh", "-c", IDLE]}
    paths = {str(out): "/out"} | LIBRARIES
    volumes = [{"name": f"v{n}", "hostPath": {"path": path}} for n, path in enumerate(paths)]
    mounts = [{"name": f"v{n}", "mountPath": at, "readOnly": at != "/out"} for n, at in enumerate(paths.values())]
    containers = [
        {
            "name": container,
            "image": "docker.io/library/busybox:latest",
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "volumeMounts": mounts,
        }
        for container, command in commands.items()
    ]
    spec = {
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": 120,
        "volumes": volumes,
        "containers": containers,
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def lives(name: str, container: str) -> list[str]:
    """Return id, pid and start time."""
    shown = "{{.Id}} {{.State.Pid}} {{.State.StartedAt}}"
    return podman("inspect", f"{name}-{container}", "--format", shown).split(" ", 2)


def test_managers_end_their_own_children(daemon: Daemon, tmp_path: Path) -> None:
    """tini, s6, supervisord and a shell with jobs: each worker gets one SIGTERM, from its manager, and its time."""
    name, out = f"managers-{uuid.uuid4().hex[:8]}", tmp_path / "out"
    configure(out)
    daemon.write("pod.json", pod(name, out))
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: all((out / f"{worker}.up").exists() for worker in WORKERS), "all workers up", 180)
    began = {container: lives(name, container) for container in [*MANAGERS, "other"]}
    for manager in MANAGERS:
        daemon.post(f"/v1/pods/{name}/containers/{manager}/stop")
    until(lambda: len(daemon.events(name, "Stopped")) == len(MANAGERS), "all managers stopped", 180)
    codes = {m: int(podman("inspect", f"{name}-{m}", "--format", "{{.State.ExitCode}}")) for m in MANAGERS}
    assert codes == {manager: code for manager, (_, code) in MANAGERS.items()}
    assert {worker: (out / worker).read_text() for worker in WORKERS} == dict.fromkeys(WORKERS, "term\ndone\n")
    assert not daemon.events(name, "Killed")
    assert not daemon.events(name, "StopDegraded")
    assert lives(name, "other") == began["other"]
    for manager in MANAGERS:
        assert processes_of(began[manager][0]) == []
        assert cgroups_of_ours(began[manager][0]) == []
    daemon.post(f"/v1/pods/{name}/containers/s6/start")
    until(lambda: (out / "s6-a.up").read_text() == "up\nup\n", "a stopped manager at work again")
