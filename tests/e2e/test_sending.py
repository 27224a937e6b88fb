"""`podsupd signal` on real Podman: who gets it, what each does with it, what follows, and who is left."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, masked, nginx_workers, pod_manifest, podman, until

pytestmark = pytest.mark.podman

HOST = "/host"
LOADER = next(Path("/usr").glob("lib*/ld-linux-*.so.*")).resolve()
LOOP = "while :; do sleep 0.1; done"
CONTAINERS = {
    # Takes USR1, passes ALRM on to its child, and exits with 3 on TERM. The trap of ALRM is set when the child's is.
    "main": (
        "rm -f /set; trap 'echo got' USR1; trap '' HUP; trap 'exit 3' TERM; "
        f"(trap 'exit 5' USR2; : > /set; {LOOP}) & child=$!; until [ -e /set ]; do sleep 0.1; done; "
        f"trap 'kill -USR2 $child' ALRM; {LOOP}"
    ),
    "deaf": f"trap '' TERM HUP; {LOOP}",
}


def first(container: str) -> int:
    """Ask Podman for a first process."""
    pid: int = json.loads(podman("inspect", container))[0]["State"]["Pid"]
    return pid


class Sent:
    """A pod and the command that signals it."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        self.daemon, self.name = daemon, name

    def ask(self, target: str, *args: str, code: int = 0) -> Any:
        """Run podsupd signal and return its report; code is what it has to exit with."""
        done = self.daemon.cli("signal", f"{self.name}{target}", *args, "-o", "json", check=False)
        assert done.returncode == code, (done.stdout, done.stderr, self.daemon.tail())
        return json.loads(done.stdout)

    def fates(self, report: Any) -> list[tuple[int, str, str, str]]:
        """Return depth, container, signal and fate of each process of a report."""
        return [(p["depth"], p["container"], p["signal"], p["fate"]) for p in report["processes"]]

    def died(self, container: str) -> Any:
        """Return the newest death of a container."""
        return until(
            lambda: [e for e in self.daemon.events(self.name, "Died") if e["container"] == container],
            f"the death of {container}; log: {self.daemon.tail()}",
        )[-1]


@pytest.fixture
def sent(daemon: Daemon, name: str) -> Sent:
    """Return a pod of a shell that traps, one that ignores and one that blocks, with the tracer up."""
    bring_up(daemon, name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    return Sent(daemon, name)


def bring_up(daemon: Daemon, name: str) -> None:
    """Start the pod, and wait until its shells have set their traps."""
    libraries = f"--library-path {HOST}{LOADER.parent}"
    blocking = f"exec {HOST}{LOADER} {libraries} {HOST}/usr/bin/env --block-signal=TERM sh -c '{LOOP}'"
    text = pod_manifest(name, containers={**CONTAINERS, "blocks": blocking})
    # The host's env, which can block a signal, over the host's own loader and libraries.
    text = text.replace("  containers:\n", "  volumes: [{name: host, hostPath: {path: /usr}}]\n  containers:\n")
    text += f"    volumeMounts: [{{name: host, mountPath: {HOST}/usr, readOnly: true}}]\n"
    daemon.write("pod.yaml", text)
    daemon.start()
    daemon.wait_pod(name)
    for container, mask, number in (("main", "SigCgt", signal.SIGALRM), ("deaf", "SigIgn", signal.SIGTERM)):
        until(lambda c=container, m=mask, n=number: masked(first(f"{name}-{c}"), m, n), f"{container}'s traps")  # type: ignore[misc]
    until(lambda: masked(first(f"{name}-blocks"), "SigBlk", signal.SIGTERM), "the blocked signal")


def test_each_process_does_something_else_with_a_signal(sent: Sent) -> None:
    """Handled, ignored, blocked, relayed, ended: the report says which, and the exit code whether anybody got it."""
    report = sent.ask("/main", "USR1")
    assert sent.fates(report) == [(0, "main", "SIGUSR1", "handled")]
    (process,) = report["processes"]
    assert (process["hostPID"], process["command"], process["ended"]) == (first(f"{sent.name}-main"), "sh", None)
    assert 0 < process["takenAfterSeconds"] < 30
    assert report["traced"]
    assert process["pid"] in {p["pid"] for p in report["left"] if not p["new"]}
    records = sent.daemon.get(f"/v1/pods/{sent.name}/signals").json["items"]
    (record,) = [r for r in records if r["signal"] == "SIGUSR1"]
    assert (record["id"], record["sender"]["origin"], record["purpose"]) == (process["id"], "podsupd", "signal")

    assert sent.fates(sent.ask("/main", "hup", code=1)) == [(0, "main", "SIGHUP", "ignored")]
    assert sent.fates(sent.ask("/blocks", "15", code=1)) == [(0, "blocks", "SIGTERM", "blocked")]
    report = sent.ask("/main", "ALRM", "--wait", "30")
    assert sent.fates(report) == [(0, "main", "SIGALRM", "handled"), (1, "main", "SIGUSR2", "handled")]
    assert report["processes"][1]["ended"]["signal"] is None
    assert "1 sent on from it" in report["verdict"]

    report = sent.ask("/main", "TERM", "--wait", "30")
    assert sent.fates(report) == [(0, "main", "SIGTERM", "handled")]
    assert report["processes"][0]["ended"]["exitCode"] == 3
    assert "exited with code 3" in report["verdict"]
    died = sent.died("main")
    assert (died["type"], "exited with code 3 after SIGTERM from podsupd signal" in died["message"]) == ("Normal", True)
    sent.daemon.wait_pod(sent.name)

    report = sent.ask("/blocks", "KILL", "--wait", "30")
    assert sent.fates(report) == [(0, "blocks", "SIGKILL", "terminated")]
    assert report["processes"][0]["ended"]["signal"] == "SIGKILL"
    assert "SIGKILL from podsupd signal" in sent.died("blocks")["message"]


def test_whom_it_is_for(sent: Sent) -> None:
    """Each first process, with --all all of them, with --pid the one that has it; infra only by its PID."""
    report = sent.ask("", "WINCH", code=1)
    assert sent.fates(report) == [(0, c, "SIGWINCH", "ignored") for c in ("main", "deaf", "blocks")]
    report = sent.ask("/main", "WINCH", "--all", code=1)
    pids = [p["pid"] for p in report["processes"]]
    assert len(set(pids)) == len(pids) > 1
    assert {p["container"] for p in report["processes"]} == {"main"}
    assert "infra container is left out" in report["note"]

    rows = sent.daemon.get(f"/v1/pods/{sent.name}/processes").json["processes"]
    child = next(p for p in rows if p["container"] == "main" and "SIGUSR2" in p["signals"]["caught"])
    report = sent.ask("", "USR2", "--pid", str(child["pid"]))
    assert [(p["pid"], p["fate"]) for p in report["processes"]] == [(child["pid"], "handled")]
    until(lambda: not Path(f"/proc/{child['hostPID']}").exists(), "the child's end")

    infra = next(p for p in rows if p["origin"] == "infra")
    report = sent.daemon.post(f"/v1/pods/{sent.name}/signal", {"signal": "CONT", "pid": infra["pid"]}).json
    assert [(p["container"], p["hostPID"]) for p in report["processes"]] == [(None, infra["hostPID"])]
    assert not sent.daemon.events(sent.name, "Died")


def test_without_the_trace_masks_and_pidfds_tell(make_daemon: Callable[..., Daemon], name: str) -> None:
    """Where nobody traces, the report still says who handles, ignores, blocks and ends, and who ended it is told."""
    daemon = make_daemon(settings='[signals]\ntracer = "off"\n')
    bring_up(daemon, name)
    sent = Sent(daemon, name)
    report = sent.ask("/main", "USR1")
    assert (sent.fates(report), report["traced"]) == ([(0, "main", "SIGUSR1", "handled")], False)
    assert "not traced" in report["note"]
    assert sent.fates(sent.ask("", "TERM", "--wait", "30")) == [
        (0, "main", "SIGTERM", "handled"),
        (0, "deaf", "SIGTERM", "ignored"),
        (0, "blocks", "SIGTERM", "blocked"),
    ]
    died = sent.died("main")
    assert (died["type"], "exited with code 3 after SIGTERM from podsupd signal" in died["message"]) == ("Normal", True)
    report = sent.ask("/blocks", "KILL", "--wait", "30")
    assert (sent.fates(report), report["processes"][0]["ended"]["signal"]) == (
        [(0, "blocks", "SIGKILL", "terminated")],
        "SIGKILL",
    )
    assert "SIGKILL from podsupd signal" in sent.died("blocks")["message"]


def test_a_table_for_a_person_and_an_answer_for_a_mistake(sent: Sent) -> None:
    """The tree is readable, and a wrong PID, container or signal is told with a way out and signals nobody."""
    shown = sent.daemon.cli("signal", f"{sent.name}/main", "ALRM", "--wait", "30").stdout
    rows = [line.split() for line in shown.splitlines()]
    assert rows[0] == ["PROCESS", "PID", "SIGNAL", "FATE", "AFTER", "THEN"]
    assert (rows[1][0], rows[1][2:4]) == ("main/sh", ["SIGALRM", "handled"])
    assert (rows[2][:2], rows[2][3:5]) == (["└", "main/sh"], ["SIGUSR2", "handled"])
    for args, code, words in (
        ((sent.name, "TREM"), 2, "did you mean SIGTERM"),
        ((sent.name, "TERM", "--pid", "99999"), 1, "has the PID 99999; podsupd ps"),
        ((f"{sent.name}/deaf", "TERM", "--pid", rows[1][1]), 1, "it is of main"),
        ((f"{sent.name}/none", "TERM"), 1, "has no container none"),
        (("nobody", "TERM"), 1, "cannot find pod nobody"),
    ):
        done = sent.daemon.cli("signal", *args, check=False)
        said = " ".join(done.stderr.replace("│", " ").split())
        assert (done.returncode, words in said) == (code, True), said
    answer = sent.daemon.post(f"/v1/pods/{sent.name}/signal", {"signal": "TERM", "pid": True})
    assert (answer.status, answer.json["detail"]) == (400, "cannot read the body: pid must be a number")
    assert not sent.daemon.events(sent.name, "Died")


NGINX = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 5
  containers:
  - {{name: web, image: docker.io/library/nginx:latest, imagePullPolicy: IfNotPresent}}
"""


def test_nginx_does_what_its_manual_says(daemon: Daemon, name: str) -> None:
    """HUP gives new workers, USR1 goes to all, WINCH does nothing in the foreground, QUIT ends the master with 0."""
    daemon.write("pod.yaml", NGINX.format(name=name))
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    sent = Sent(daemon, name)
    master = first(f"{name}-web")

    def workers() -> set[int]:
        return nginx_workers(master)

    old = until(workers, "nginx's workers")
    report = sent.ask("/web", "HUP")
    assert sent.fates(report)[0] == (0, "web", "SIGHUP", "handled")
    until(lambda: workers() and not old & workers(), "new workers")
    report = sent.ask("/web", "USR1", "--all")
    assert {(p["command"], p["fate"]) for p in report["processes"]} == {("nginx", "handled")}
    assert len(report["processes"]) >= 1 + len(workers())
    now = workers()
    report = sent.ask("/web", "WINCH")
    assert sent.fates(report) == [(0, "web", "SIGWINCH", "handled")]
    # In the foreground, as in every container, nginx handles it and does nothing.
    assert workers() == now
    assert not any(p["new"] for p in report["left"])
    report = sent.ask("/web", "QUIT", "--wait", "30")
    assert sent.fates(report)[0] == (0, "web", "SIGQUIT", "handled")
    assert report["processes"][0]["ended"]["exitCode"] == 0
    assert "exited with code 0 after SIGQUIT from podsupd signal" in sent.died("web")["message"]
