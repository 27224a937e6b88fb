"""PodPolicy's rules on signals, on real Podman: sent on, checked whenever they happen, and tried on purpose."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, masked, pod_manifest, podman, until

pytestmark = pytest.mark.podman

LOOP = "while :; do sleep 0.1; done"
CONTAINERS = {
    "web": f"trap 'echo hup' HUP; trap 'exit 0' QUIT; trap 'exit 7' USR2; echo $$$$ > /up; {LOOP}",
    "log": f"trap 'echo rotated' USR1; {LOOP}",
}
# Ready with its traps set, in each life: a drill signals whatever is ready. ($$$$ is $$ to Kubernetes.)
READY = "readinessProbe: {exec: {command: [sh, -c, '[ -d /proc/$(cat /up) ]']}, periodSeconds: 1, timeoutSeconds: 20}"
POLICY = """---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  signals:
    forward:
    - {{container: web, signal: SIGHUP, to: [{{container: log, signal: SIGUSR1}}]}}
    expect:
    - {{container: web, signal: SIGQUIT, withinSeconds: 20, exitCode: 0}}
    - {{container: web, signal: SIGUSR2, withinSeconds: 20, exitCode: 0}}
    - {{container: log, signal: SIGUSR1, exits: false, withinSeconds: 0.5}}
"""


class Ruled:
    """A pod with rules on signals, traced."""

    def __init__(self, daemon: Daemon, name: str, *, traced: bool = True) -> None:
        self.daemon, self.name = daemon, name
        text = pod_manifest(name, containers=CONTAINERS).replace("    command:", f"    {READY}\n    command:", 1)
        daemon.write("pod.yaml", text + POLICY.format(name=name))
        daemon.start()
        self.up()
        until(lambda: daemon.metric("podsupd_signal_tracer_up") == traced, "the tracer")

    def pid(self, container: str) -> int:
        """Ask Podman for a first process."""
        pid: int = json.loads(podman("inspect", f"{self.name}-{container}"))[0]["State"]["Pid"]
        return pid

    def up(self) -> None:
        """Wait until the pod is Ready and its shells have set their traps."""
        self.daemon.wait_pod(self.name)
        for container, number in (("web", signal.SIGUSR2), ("log", signal.SIGUSR1)):
            until(lambda c=container, n=number: masked(self.pid(c), "SigCgt", n), f"the traps of {container}")  # type: ignore[misc]

    def event(self, reason: str, said: str) -> Any:
        """Wait for an event of that reason that says so."""
        return until(
            lambda: [e for e in self.daemon.events(self.name, reason) if said in e["message"]],
            f"{reason} ({said}); log: {self.daemon.tail()}",
        )[0]

    def count(self, number: str, outcome: str, container: str = "web") -> float:
        """Return how often an expectation came to this."""
        labels = f'container="{container}",outcome="{outcome}",pod="{self.name}",signal="{number}"'
        return self.daemon.metric(f"podsupd_signal_expectations_total{{{labels}}}")

    def records(self, name: str, least: int) -> list[Any]:
        """Return the ledger's records of a signal, nothing while there are fewer."""
        items = self.daemon.get(f"/v1/pods/{self.name}/signals?limit=100").json["items"]
        found = [r for r in items if r["signal"] == name]
        return found if len(found) >= least else []

    def condition(self) -> str:
        """Return the condition on the expectations."""
        return self.daemon.condition(self.name, "SignalExpectationsMet")


@pytest.fixture
def ruled(daemon: Daemon, name: str) -> Ruled:
    """Return such a pod."""
    return Ruled(daemon, name)


def test_a_signal_is_sent_on_and_stands_in_the_chain(ruled: Ruled) -> None:
    """HUP to one container is USR1 to another, once, with its cause in the ledger and in the report."""
    done = ruled.daemon.cli("signal", f"{ruled.name}/web", "HUP", "-o", "json")
    reached = json.loads(done.stdout)["processes"]
    assert [(p["depth"], p["container"], p["signal"], p["fate"], p["message"]) for p in reached] == [
        (0, "web", "SIGHUP", "handled", ""),
        (1, "log", "SIGUSR1", "handled", "forwarded by podsupd"),
    ]
    os.kill(ruled.pid("web"), signal.SIGHUP)
    forwards = until(lambda: ruled.records("SIGUSR1", 2), f"two forwards; log: {ruled.daemon.tail()}")
    items = {r["id"]: r for r in ruled.records("SIGHUP", 2)}
    for forward in forwards:
        cause = items[forward["cause"]]
        assert (forward["purpose"], forward["sender"]["origin"], cause["signal"]) == ("forward", "podsupd", "SIGHUP")
        assert forward["id"] in {c.get("id") for c in cause["led_to"]}
    assert [e["container"] for e in ruled.daemon.events(ruled.name, "SignalForwarded")] == ["log", "log"]
    assert ruled.daemon.condition(ruled.name, "SignalsForwarded") == "True"
    # What the forward did is checked too.
    assert "it runs on" in ruled.event("SignalExpectationMet", "SIGUSR1 to log")["message"]
    assert until(lambda: ruled.count("SIGUSR1", "met", "log"), "the count") >= 1


def test_what_follows_a_signal_is_checked_whoever_sends_it(ruled: Ruled) -> None:
    """A met expectation and a breached one are events, a condition and a metric, without anybody asking."""
    assert (ruled.condition(), ruled.count("SIGQUIT", "met"), ruled.count("SIGQUIT", "breached")) == ("Unknown", 0, 0)
    os.kill(ruled.pid("web"), signal.SIGQUIT)
    met = ruled.event("SignalExpectationMet", "SIGQUIT to web: exits with code 0 within 20 s: it exited with code 0")
    assert (met["type"], ruled.condition(), ruled.count("SIGQUIT", "met")) == ("Normal", "True", 1)
    until(lambda: ruled.daemon.container(ruled.name, "web")["restartCount"] == 1, "the restart")
    ruled.up()
    os.kill(ruled.pid("web"), signal.SIGUSR2)
    breach = ruled.event(
        "SignalExpectationBreached", "SIGUSR2 to web: exits with code 0 within 20 s: it exited with code 7"
    )
    assert (breach["type"], ruled.condition(), ruled.count("SIGUSR2", "breached")) == ("Warning", "False", 1)


def test_a_drill_tries_them_all(ruled: Ruled) -> None:
    """Each is met or breached, the deaths are the drill's and no failures, and nobody is drilled without a yes."""
    assert ruled.daemon.cli("drill", ruled.name, check=False).returncode == 2
    done = ruled.daemon.cli("drill", ruled.name, "--yes", "-o", "json", check=False)
    report = json.loads(done.stdout)
    assert [(r["signal"], r["outcome"]) for r in report["results"]] == [
        ("SIGQUIT", "met"),
        ("SIGUSR2", "breached"),
        ("SIGUSR1", "met"),
    ], report
    assert (done.returncode, report["met"], report["ready"]) == (1, False, True)
    assert report["verdict"] == "2 of 3 expectations met"
    assert "it exited with code 7" in report["results"][1]["message"]
    died = ruled.daemon.events(ruled.name, "Died")
    assert [("from podsupd drill" in e["message"], e["type"]) for e in died] == [(True, "Normal")] * 2
    # Both deaths were within a second of a start: as failures they would have been waited out.
    assert not ruled.daemon.events(ruled.name, "BackOff")
    assert ruled.count("SIGQUIT", "met") == 1
    assert ruled.daemon.post(f"/v1/pods/{ruled.name}/drill", {"x": 1}).status == 400


def test_a_forward_that_comes_back_is_refused(daemon: Daemon, name: str) -> None:
    """A loop between two containers is an error with its line, and nothing of the file is begun."""
    back = "    - {container: log, signal: SIGUSR1, to: [{container: web, signal: SIGHUP}]}\n"
    text = pod_manifest(name, containers=CONTAINERS) + POLICY.format(name=name).replace(
        "    expect:", f"{back}    expect:"
    )
    path = daemon.write("pod.yaml", text)
    line = text.splitlines().index(back.rstrip()) + 1
    done = daemon.cli("check", str(path), check=False)
    said = (
        f"{path}:{line}: spec.signals.forward[1].to[0]: comes back to itself: SIGUSR1 log -> SIGHUP web -> SIGUSR1 log"
    )
    assert (done.returncode, said in done.stdout) == (1, True), done.stdout


def test_a_drill_needs_no_trace(make_daemon: Callable[..., Daemon], name: str) -> None:
    """Where nobody traces, a drill still tells what was met, and the pod says that nothing is sent on."""
    daemon = make_daemon(settings='[signals]\ntracer = "off"\n')
    ruled = Ruled(daemon, name, traced=False)
    assert (daemon.condition(name, "SignalsForwarded"), ruled.condition()) == ("False", "Unknown")
    report = json.loads(daemon.cli("drill", name, "--yes", "-o", "json", check=False).stdout)
    assert [(r["signal"], r["outcome"]) for r in report["results"]] == [
        ("SIGQUIT", "met"),
        ("SIGUSR2", "breached"),
        ("SIGUSR1", "met"),
    ], report
    assert "after SIGQUIT from podsupd drill" in daemon.events(name, "Died")[0]["message"]


def test_what_follows_while_podsupd_is_away_is_judged_when_it_is_back(ruled: Ruled) -> None:
    """An upgrade between a signal and what follows loses no verdict, and sends nothing on twice."""
    daemon, pid = ruled.daemon, ruled.pid("web")
    # Stopped, it takes the signal later: when nobody looks.
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGQUIT)
    begun = re.escape(f'"waiting":[{{"pod":"{ruled.name}","rule":{{"container":"web","signal":"SIGQUIT"')
    until(lambda: daemon.on_disk("state.db", begun), f"the signal on disk; log: {daemon.tail()}")
    daemon.kill()
    os.kill(pid, signal.SIGCONT)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the process")
    daemon.start()
    assert "it exited with code 0" in ruled.event("SignalExpectationMet", "SIGQUIT to web")["message"]
    ruled.up()
    os.kill(ruled.pid("web"), signal.SIGHUP)
    ruled.event("SignalForwarded", "SIGUSR1 to log")
    assert len(daemon.events(ruled.name, "SignalForwarded")) == 1
