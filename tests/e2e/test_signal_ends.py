"""The ledger's hard cases on real Podman: cores, blocked signals, processes that left their parents."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, podman, until

from tests.fakes.connector import ends_are_told

pytestmark = pytest.mark.podman

WAIT = "while :; do sleep 0.1; done"
ORPHAN = f"while [ ! -e /go ]; do sleep 0.1; done; kill -USR1 '$$$$'; trap \"exit 6\" TERM; {WAIT}"
SCRIPTS = {
    "cores": ["sh", "-c", f"ulimit -c unlimited; cd /tmp; {WAIT}"],
    # Debian's env can block a signal; the small image has nothing that can.
    "blocks": ["/usr/bin/env", "--block-signal=USR1", "sh", "-c", WAIT],
    # Forked twice, as daemons are: its parent is gone, and infra's PID 1 has it. ($$$$ is $$ to Kubernetes.)
    "forks": ["sh", "-c", f"trap 'echo got' USR1; (sh -c '{ORPHAN}' &); {WAIT}"],
}
UNTOLD = "SignalTracer: True (Tracing): exit codes of processes that are no first ones stay unknown"
LIBRARIES = {"/usr": "/usr", "/usr/lib": "/lib", "/usr/lib64": "/lib64"}


def manifest(name: str) -> str:
    """Return a pod of all of them; in each the machine's own programs can run."""
    volumes = [{"name": f"v{n}", "hostPath": {"path": path}} for n, path in enumerate(LIBRARIES)]
    mounts = [{"name": f"v{n}", "mountPath": at, "readOnly": True} for n, at in enumerate(LIBRARIES.values())]
    containers = [
        {
            "name": container,
            "image": "docker.io/library/busybox:latest",
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "volumeMounts": mounts,
        }
        for container, command in SCRIPTS.items()
    ]
    spec: dict[str, Any] = {
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": 1,
        "volumes": volumes,
        "containers": containers,
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_cores_blocked_signals_and_orphans_are_told_as_they_are(daemon: Daemon, name: str) -> None:
    """What is hardest to see from outside: a core, a signal that waits behind a mask, a sender whose parent is gone."""
    daemon.write("pod.json", manifest(name))
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    pids = {c: json.loads(podman("inspect", f"{name}-{c}"))[0]["State"]["Pid"] for c in SCRIPTS}

    def fields(pid: int) -> dict[str, str]:
        text = Path(f"/proc/{pid}/status").read_text()
        return dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)

    def status(container: str) -> dict[str, str]:
        return fields(pids[container])

    def target(container: str) -> dict[str, object]:
        number = int(status(container)["NSpid"].split()[-1])
        return {"container": container, "pid": number, "host_pid": pids[container], "command": "sh"}

    def record(wanted: Callable[[Any], bool]) -> Any:
        items = daemon.get(f"/v1/pods/{name}/signals?limit=1000").json["items"]
        return next((r for r in items if wanted(r)), None)

    # A signal behind a mask is blocked, neither ignored nor lost.
    until(lambda: int(status("blocks")["SigBlk"], 16) >> (signal.SIGUSR1 - 1) & 1, "the mask")
    os.kill(pids["blocks"], signal.SIGUSR1)
    blocked = until(lambda: record(lambda r: r["target"]["host_pid"] == pids["blocks"]), "the blocked signal")
    assert (blocked["signal"], blocked["result"], blocked["disposition"]) == ("SIGUSR1", "blocked", None)
    assert (blocked["latency_us"], blocked["led_to"], blocked["target"]) == (None, [], target("blocks"))
    os.kill(pids["blocks"], signal.SIGUSR1)
    until(
        lambda: record(lambda r: r["target"]["host_pid"] == pids["blocks"] and r["result"] == "already pending"),
        "the second one, which the kernel merges with the first",
    )

    # An orphan is still its container's.
    podman("exec", f"{name}-forks", "touch", "/go")
    # A loaded machine may not have let it be taken when it is told first.
    sent = until(
        lambda: record(lambda r: r["target"]["host_pid"] == pids["forks"] and r["disposition"]), "the orphan's signal"
    )
    assert (sent["sender"]["container"], sent["sender"]["origin"]) == ("forks", "container")
    assert (sent["sender"]["command"], sent["target"]) == ("sh", target("forks"))
    assert sent["sender"]["host_pid"] != pids["forks"]
    parent = Path(f"/proc/{sent['sender']['host_pid']}/stat").read_text().rpartition(")")[2].split()[1]
    infra = podman("pod", "inspect", name, "--format", "{{.InfraContainerID}}")
    assert int(parent) == json.loads(podman("inspect", infra))[0]["State"]["Pid"]
    assert (sent["result"], sent["disposition"]) == ("delivered", "handler")

    # It is no first process, and how it ends is known all the same.
    orphan = sent["sender"]["host_pid"]
    until(lambda: int(fields(orphan)["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1, "the orphan's trap")
    os.kill(orphan, signal.SIGTERM)
    last = until(
        lambda: record(lambda r: r["target"]["host_pid"] == orphan and r["led_to"]), "the orphan's end in the record"
    )
    (end,) = last["led_to"]
    assert [end["kind"], end["exit_code"], end["signal"], end["pid"]] == [
        "exit", 6 if ends_are_told() else None, None, sent["sender"]["pid"]
    ]  # fmt: skip
    assert (UNTOLD in daemon.get("/healthz?verbose").text) == (not ends_are_told())

    # A core is told with the signal, in the record and where the death is told.
    cored = target("cores")
    os.kill(pids["cores"], signal.SIGABRT)
    (died,) = until(lambda: daemon.events(name, "Died"), "the death")
    core = " (core dumped)" if ends_are_told() and Path("/proc/sys/kernel/core_pattern").read_text().strip() else ""
    assert "ended by SIGABRT (exit code 134): SIGABRT from host process 'python" in died["message"]
    assert f"(root){core}" in died["message"]
    fatal = until(lambda: record(lambda r: r["signal"] == "SIGABRT" and r["led_to"]), "the record")
    assert (fatal["target"], fatal["disposition"], fatal["sender"]["host_pid"]) == (cored, "default", os.getpid())
    (end,) = fatal["led_to"]
    assert (end["kind"], end["signal"], end["exit_code"], end["pid"]) == ("exit", "SIGABRT", None, cored["pid"])
    assert end.get("core_dumped", False) == bool(core)
    until(lambda: daemon.container(name, "cores")["restartCount"] == 1, "the restart")
    ended = daemon.container(name, "cores")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (134, signal.SIGABRT)
