"""Probes of every kind on a pod that does as the test says: gates, readiness, and what a failure brings about."""

from typing import Any

import pytest
from e2e.harness import Daemon, free_port, pod_manifest, podman, until

pytestmark = pytest.mark.podman

# /flags is what the test steers by; a restart begins without a failure.
SERVER = "mkdir -p /www; rm -f /fail; echo ok > /www/index.html; exec httpd -f -p 80 -h /www"
FAST = "periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1"
# Not started before it serves: the liveness probe fails at the first refusal.
STARTED = "test -e /started && wget -q -O /dev/null http://localhost/"


def manifest(name: str, port: int) -> str:
    """Return a pod whose readiness, startup and policy probes the test decides by files in the container."""
    probes = f"""\
    startupProbe: {{exec: {{command: [sh, -c, "{STARTED}"]}}, {FAST.replace("Threshold: 1", "Threshold: 1000")}}}
    readinessProbe: {{httpGet: {{port: 80, path: /ready}}, {FAST}}}
    livenessProbe: {{tcpSocket: {{port: 80}}, {FAST}}}
"""
    policy = f"""\
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  probes:
  - {{name: host-tcp, from: Host, tcpSocket: {{port: {port}}}, {FAST}}}
  - {{name: pod-tcp, from: Pod, tcpSocket: {{port: 80}}, {FAST}}}
  - {{name: host-http, from: Host, httpGet: {{port: {port}, path: /}}, {FAST}}}
  - name: flag
    from: Pod
    exec: {{container: web, command: [test, '!', -e, /fail]}}
    periodSeconds: 1
    timeoutSeconds: 20
    failureThreshold: 1
    onFailure: {{restartContainer: web}}
"""
    return pod_manifest(name, containers={"web": SERVER}, port=port, grace=0) + probes + policy


def test_probes_gate_show_and_act(daemon: Daemon, name: str) -> None:
    """Nothing is asked before startup passed, readiness shows and restarts nothing, a policy probe does as declared."""
    daemon.write("pod.yaml", manifest(name, free_port()))
    daemon.start()
    labels = f'{{container="web",pod="{name}"}}'
    policies = {"host-tcp", "pod-tcp", "host-http", "flag"}
    everything = policies | {"web/startup", "web/readiness", "web/liveness"}

    def probes() -> dict[str, Any]:
        return {p["name"]: p for p in daemon.pod(name)["podsupd"]["probes"]}

    def web() -> Any:
        return daemon.container(name, "web")

    until(lambda: probes()["web/startup"]["history"], "a first attempt of the startup probe")
    assert (web()["started"], web()["ready"]) == (False, False)
    now = probes()
    assert set(now) == everything
    assert {p: now[p]["history"] for p in everything - {"web/startup"}} == dict.fromkeys(
        everything - {"web/startup"}, ""
    )
    podman("exec", f"{name}-web", "touch", "/started")
    until(lambda: web()["started"], "started")
    until(lambda: probes()["web/readiness"]["result"] == "failed", "readiness refused with 404")
    assert "404" in probes()["web/readiness"]["message"]
    until(lambda: {p for p, v in probes().items() if v["passing"]} >= policies | {"web/liveness"}, "the others passing")
    assert daemon.condition(name, "PolicyProbesPassing") == "True"
    assert daemon.metric(f"podsupd_container_ready{labels}") == 0
    assert daemon.metric(f'podsupd_pod_ready{{pod="{name}"}}') == 0

    podman("exec", f"{name}-web", "touch", "/www/ready")
    daemon.wait_pod(name)
    assert daemon.metric(f"podsupd_container_ready{labels}") == 1
    assert daemon.metric(f'podsupd_pod_ready{{pod="{name}"}}') == 1
    podman("exec", f"{name}-web", "rm", "/www/ready")
    until(lambda: not daemon.ready(name), "readiness withdrawn")
    assert web()["restartCount"] == 0
    podman("exec", f"{name}-web", "touch", "/www/ready")

    podman("exec", f"{name}-web", "touch", "/fail")
    # At least: the first attempt of the new life may come before that has removed the file.
    until(lambda: web()["restartCount"] >= 1, "the restart that the policy probe asks for")
    daemon.wait_pod(name)
    told = daemon.events(name, "Unhealthy")
    assert any("web will be restarted: probe flag failed" in e["message"] for e in told)
    attempts = (
        'podsupd_probe_total{container="web",'
        f'pod="{name}",probe="web/readiness",probe_type="Readiness",result="failed",vantage="Pod"}}'
    )
    assert daemon.metric(attempts) >= 2


def test_a_failed_liveness_probe_restarts_its_container_only(daemon: Daemon, name: str) -> None:
    """A server that stops answering is restarted with the probe's own words as the reason; its sibling is not."""
    idle = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
    probe = f"    livenessProbe: {{exec: {{command: [test, '!', -e, /hung]}}, {FAST}}}\n"
    script = f"rm -f /hung; {idle}"
    daemon.write("pod.yaml", pod_manifest(name, containers={"idle": idle, "main": script}) + probe)
    daemon.start()
    daemon.wait_pod(name)
    podman("exec", f"{name}-main", "touch", "/hung")
    # At least: the first attempt of the new life may come before that has removed the file.
    until(lambda: daemon.container(name, "main")["restartCount"] >= 1, "the restart")
    daemon.wait_pod(name)
    died = daemon.container(name, "main")["lastState"]["terminated"]
    assert "liveness probe failed".lower() in died["message"].lower()
    assert daemon.container(name, "idle")["restartCount"] == 0
