"""Deployments and Jobs, deadlines and rules, on the real Podman."""

import json
from typing import Any

import pytest
from e2e.harness import Daemon, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

HELD = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


def workload(kind: str, name: str, script: str, spec: dict[str, Any], **pod: Any) -> str:
    """Return a workload of one busybox container."""
    container = {
        "name": "main",
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
    }
    fields = pod.pop("container", {})
    template = {"spec": {"terminationGracePeriodSeconds": 2, **pod, "containers": [container | fields]}}
    version = "batch/v1" if kind == "Job" else "apps/v1"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec | {"template": template}}
    return json.dumps(body)


def test_workloads_come_to_their_end_as_in_kubernetes(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """A job is done once over kill -9, one that fails is given up, a deadline ends a pod, rules restart for a code."""
    pods = {
        "done": workload("Job", f"{name}-done", "echo once", {"ttlSecondsAfterFinished": 3}, restartPolicy="Never"),
        "bad": workload("Job", f"{name}-bad", "exit 3", {"backoffLimit": 1}, restartPolicy="OnFailure"),
        "late": workload("Job", f"{name}-late", HELD, {"activeDeadlineSeconds": 10}, restartPolicy="Never"),
        "web": workload("Deployment", f"{name}-web", HELD, {"replicas": 1}),
        "rules": workload(
            "Deployment",
            f"{name}-rules",
            "[ -e /again ] && exit 5; touch /again; exit 4",
            {},
            container={
                "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [4]}}],
            },
        ),
    }
    for file, text in pods.items():
        daemon.write(f"{file}.json", text)
    daemon.start()

    def phase(pod: str) -> str:
        return str(daemon.pod(f"{name}-{pod}")["status"]["phase"])

    until(lambda: phase("done") == "Succeeded", "the job done")
    until(lambda: not witness.pods.list(filters={"name": f"{name}-done"}), "the job removed after its time to live")
    until(lambda: phase("bad") == "Failed", "the job given up")
    assert daemon.events(f"{name}-bad", "BackoffLimitExceeded")
    assert daemon.container(f"{name}-bad", "main")["restartCount"] == 1
    until(lambda: phase("late") == "Failed", "the deadline")
    until(lambda: not witness.containers.get(f"{name}-late-main").attrs["State"]["Running"], "its container stopped")
    assert daemon.condition(f"{name}-late", "DeadlineExceeded") == "True"
    daemon.wait_pod(f"{name}-web")
    until(lambda: daemon.container(f"{name}-rules", "main")["restartCount"] == 1, "the rule's restart")
    until(lambda: phase("rules") == "Failed", "no rule for the second code")
    starts = {pod: len(daemon.events(f"{name}-{pod}", "Started")) for pod in ("done", "bad", "late", "rules")}
    assert starts == {"done": 1, "bad": 2, "late": 1, "rules": 2}
    # A kill costs the history its last second.
    for pod, count in starts.items():
        told = rf"(\d\d:\d\d\.\d+Z){name}-{pod}mainNormalStarted"
        until(lambda told=told, count=count: len(set(daemon.on_disk("history.db", told))) == count, f"{pod} on disk")  # type: ignore[misc]

    daemon.kill()
    daemon.start()
    daemon.wait_pod(f"{name}-web")
    daemon.post("/v1/reload")
    assert {pod: len(daemon.events(f"{name}-{pod}", "Started")) for pod in starts} == starts
    assert [phase(pod) for pod in starts] == ["Succeeded", "Failed", "Failed", "Failed"]
    assert f"{name}-done" not in podman("pod", "ps", "--format", "{{.Name}}").split()
