"""The order of starts: pods that wait for other pods."""

import json

import pytest
from e2e.harness import Daemon, pod_manifest, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

HELD = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
READY_WHEN_ASKED = "    readinessProbe: {exec: {command: [cat, /go]}, periodSeconds: 1, timeoutSeconds: 20}\n"


def after(name: str, *others: str) -> str:
    """Return a PodPolicy that has a pod wait for others."""
    rule = json.dumps(list(others))
    return f"---\napiVersion: podsupd.io/v1\nkind: PodPolicy\nmetadata: {{name: {name}}}\nspec: {{after: {rule}}}\n"


def test_pods_start_when_what_they_need_is_ready(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """A pod waits until the other is Ready and says so, is not stopped when that fails, and a circle is refused."""
    base, late = f"{name}-base", f"{name}-late"
    daemon.write("late.yaml", pod_manifest(late, containers={"main": HELD}) + after(late, base))
    daemon.start()
    until(lambda: daemon.condition(late, "DependenciesReady") == "False", "the wait shown")
    assert f"waits for {base} (no manifest declares it)" in daemon.pod(late)["podsupd"]["why"]
    (file,) = daemon.get("/v1/config").json["files"]
    assert f'no manifest declares the pod "{base}"' in file["warnings"][0]["message"]

    daemon.write("base.yaml", pod_manifest(base, containers={"main": HELD}) + READY_WHEN_ASKED)
    until(lambda: f"{base} (containers with unready status: [main])" in daemon.pod(late)["podsupd"]["why"], "why")
    assert daemon.container(late, "main")["state"]["waiting"]["reason"] == "WaitingForPods"
    assert late not in podman("pod", "ps", "--format", "{{.Name}}").split()
    until(lambda: "running" in daemon.container(base, "main")["state"], "the container that is not Ready yet")
    podman("exec", f"{base}-main", "touch", "/go")
    daemon.wait_pod(base)
    daemon.wait_pod(late)
    assert daemon.condition(late, "DependenciesReady") == "True"

    life = witness.containers.get(f"{late}-main").attrs["State"]["StartedAt"]
    podman("exec", f"{base}-main", "rm", "/go")
    until(lambda: not daemon.ready(base), "the other pod unready")
    assert daemon.ready(late)
    assert witness.containers.get(f"{late}-main").attrs["State"]["StartedAt"] == life

    closes = pod_manifest(base, containers={"main": HELD}) + READY_WHEN_ASKED + after(base, late)
    daemon.write("base.yaml", closes)
    until(lambda: f"{base} -> {late} -> {base}" in daemon.get("/v1/config").text, "the circle told")
    assert witness.containers.get(f"{late}-main").attrs["State"]["StartedAt"] == life
    assert f"{base} -> {late} -> {base}" in daemon.cli("check", str(daemon.manifests), check=False).stdout
