"""``podsupd probe`` and the probes from the host's side, on a pod whose port is published where nobody looks."""

import json

import pytest
from e2e.harness import Daemon, free_port, pod_manifest, until

pytestmark = pytest.mark.podman

SERVER = "mkdir -p /www; echo all well > /www/index.html; exec httpd -f -p 80 -h /www"


def manifest(name: str, port: int) -> str:
    """Return a pod that is published on 127.0.0.2 alone, while localhost is 127.0.0.1."""
    text = pod_manifest(name, containers={"web": SERVER}, port=port, grace=0)
    return (
        text.replace(f"hostPort: {port}}}", f"hostPort: {port}, hostIP: 127.0.0.2}}")
        + f"""\
    readinessProbe: {{exec: {{command: [cat, /www/index.html]}}, timeoutSeconds: 10, periodSeconds: 1}}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  probes:
  - {{name: outside, from: Host, httpGet: {{port: {port}}}, timeoutSeconds: 10, periodSeconds: 1}}
  - {{name: elsewhere, from: Host, httpGet: {{port: {port}, host: 127.0.0.2}}, timeoutSeconds: 10}}
  - {{name: inside, httpGet: {{port: 80}}, expect: {{status: 200, bodyMatches: "^all [a-z]+$"}}, timeoutSeconds: 10}}
  - {{name: grpc, grpc: {{port: 80}}, timeoutSeconds: 10}}
  - {{name: command, from: Host, exec: {{command: [sh, -c, "echo $PODSUPD_POD"]}}, timeoutSeconds: 10}}
"""
    )


def test_a_probe_is_run_and_explained(daemon: Daemon, name: str) -> None:
    """An operator sees what a probe goes through, whose fault a failure is, and what the host does not allow."""
    port = free_port()
    daemon.write("pod.yaml", manifest(name, port))
    daemon.start()
    daemon.wait_pod(name)

    fault = "the port mapping or a firewall is at fault, not the application"

    def outside_fails() -> bool:
        (probe,) = (p for p in daemon.pod(name)["podsupd"]["probes"] if p["name"] == "outside")
        return probe["passing"] is False and fault in probe["message"]

    until(outside_fails, "the failing probe from the host")
    assert daemon.condition(name, "PolicyProbesPassing") == "False"

    inside = daemon.cli("probe", name, "inside")
    assert inside.stdout.startswith("inside: Policy, httpGet from the pod\n  address     127.0.0.1:80\n")
    assert "\n  answer      HTTP/1.1 200 OK\n" in inside.stdout
    assert "\n  verdict     successful: GET http://localhost/ answered 200\n" in inside.stdout
    assert "connected   after " in inside.stdout
    assert "first byte  after " in inside.stdout

    def outside() -> bool:
        done = daemon.cli("probe", name, "outside", "-o", "json", check=False)
        run = json.loads(done.stdout)
        assert (done.returncode, run["result"], run["address"]) == (1, "failed", f"127.0.0.1:{port}, [::1]:{port}")
        assert run["message"].startswith(f"cannot GET http://localhost:{port}/: connection refused; inside the pod ")
        return fault in run["message"]

    # Inside the pod it is asked for no longer than a second, which a busy machine may take.
    until(outside, "the fault told by the command")
    assert daemon.cli("probe", name, "elsewhere").returncode == 0

    command = daemon.cli("probe", name, "web/readiness")
    assert "web/readiness: Readiness, exec from container web\n" in command.stdout
    assert "\n  output      all well\n" in command.stdout
    grpc = daemon.cli("probe", name, "grpc", check=False)
    assert (grpc.returncode, "does not speak HTTP/2" in grpc.stdout) == (1, True), grpc.stdout
    refused = daemon.cli("probe", name, "command", check=False)
    assert refused.returncode == 1
    assert "verdict     unknown: cannot run `sh -c 'echo $PODSUPD_POD'` on the host: not allowed here" in refused.stdout
    unrunnable = until(
        lambda: [c for c in daemon.pod(name)["status"]["conditions"] if c["type"] == "ProbesRunnable"],
        "the prober has tried it itself",
    )[0]
    assert (unrunnable["status"], "command: cannot run" in unrunnable["message"]) == ("False", True)
    missing = daemon.cli("probe", name, "nothing", check=False)
    assert (missing.returncode, missing.stdout) == (1, "")

    # What a person tried ten times has moved nothing: the readiness probe goes on, and nothing was restarted.
    everything = daemon.cli("probe", name, check=False)
    assert (everything.returncode, everything.stdout.count("verdict")) == (1, 6)
    assert daemon.container(name, "web")["restartCount"] == 0

    daemon.stop()
    daemon.config.write_text(daemon.config.read_text() + "[probes]\nallow_host_exec = true\n")
    daemon.start()
    daemon.wait_pod(name)
    assert f"\n  output      {name}\n" in daemon.cli("probe", name, "command").stdout
    until(lambda: daemon.condition(name, "ProbesRunnable") == "", "every probe to be runnable")
