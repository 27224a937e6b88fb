"""What a failed pod-level probe brings about step by step, and the grace period of a probe's own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from e2e.harness import Daemon, pod_manifest, podman, until

pytestmark = pytest.mark.podman

FAST = "periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1"
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


class Receiver(BaseHTTPRequestHandler):
    """Takes alerts."""

    alerts: list[dict[str, Any]]

    def do_POST(self) -> None:
        """Keep one."""
        self.alerts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a webhook's URL and the alerts that came."""
    alerts: list[dict[str, Any]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (Receiver,), {"alerts": alerts}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/s3cret", alerts
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_ladder_is_climbed_over_a_kill_of_the_daemon(
    daemon: Daemon, name: str, receiver: tuple[str, list[dict[str, Any]]]
) -> None:
    """The container is restarted once, then somebody is told, then it is only reported, also with kill -9 between."""
    url, alerts = receiver
    policy = f"""\
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  probes:
  - name: flag
    exec: {{container: web, command: [test, '!', -e, /fail]}}
    {FAST.replace(", ", f"{chr(10)}    ")}
    onFailure:
      ladder: [{{restartContainer: web}}, {{webhook: {{url: "{url}"}}}}, None]
      cooldownSeconds: 5
"""
    daemon.write("pod.yaml", pod_manifest(name, containers={"web": IDLE, "idle": IDLE}) + policy)
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.condition(name, "PolicyProbesPassing") == "True", "the probe passes")
    podman("exec", f"{name}-web", "touch", "/fail")
    until(lambda: daemon.container(name, "web")["restartCount"] == 1, "the first step")
    assert any("step 1 of 3" in e["message"] for e in daemon.events(name, "Unhealthy"))
    daemon.kill()
    daemon.start(wait=False)
    until(lambda: alerts, "the second step")
    until(lambda: any("step 3 of 3" in e["message"] for e in daemon.events(name, "Unhealthy")), "the third step")
    daemon.wait_pod(name)
    assert [daemon.container(name, c)["restartCount"] for c in ("web", "idle")] == [1, 0]
    (alert,) = alerts
    assert (alert["kind"], alert["pod"], alert["probe"], alert["step"]) == ("ProbeFailure", name, "flag", 2)
    steps = [e["message"] for e in daemon.events(name, "Unhealthy") if "step " in e["message"]]
    # The history is written once a second: the first step may be lost to the kill.
    assert [next(n for n in "123" if f"step {n} of 3" in m) for m in steps][-2:] == ["2", "3"]
    assert len(daemon.events(name, "WebhookCalled")) == 1
    (condition,) = (c for c in daemon.pod(name)["status"]["conditions"] if c["type"] == "PolicyProbesPassing")
    assert condition["status"] == "False"
    assert "step 3 of 3: report only" in condition["message"]
    assert "s3cret" not in daemon.cli("status", name).stdout + daemon.tail(1000)
    podman("exec", f"{name}-web", "rm", "/fail")
    until(lambda: daemon.condition(name, "PolicyProbesPassing") == "True", "the probe passes again")
    assert daemon.events(name, "Healthy")[-1]["message"].startswith("probe flag succeeded")


def test_a_probes_own_grace_period(daemon: Daemon, name: str) -> None:
    """A hung container that has ten minutes for a proper stop is ended at once when its probe says it is lost."""
    deaf = "rm -f /hung; trap '' TERM; while :; do sleep 0.2; done"
    probe = f"""\
    livenessProbe:
      exec: {{command: [test, '!', -e, /hung]}}
      {FAST.replace(", ", f"{chr(10)}      ")}
      terminationGracePeriodSeconds: 1
"""
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": deaf}, grace=600) + probe)
    daemon.start()
    daemon.wait_pod(name)
    podman("exec", f"{name}-main", "touch", "/hung")
    until(lambda: daemon.container(name, "main")["restartCount"] == 1, "the restart")
    assert daemon.container(name, "main")["lastState"]["terminated"]["exitCode"] == 137
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": deaf}, grace=0) + probe)
    daemon.wait_pod(name)
