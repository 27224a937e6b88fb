"""Edits of a pod that runs, on the real Podman: what the edit did not mean is not touched."""

import json
from typing import Any

import pytest
from e2e.harness import Daemon, podman, until
from podman import PodmanClient

from bench.process import cgroup_number

pytestmark = pytest.mark.podman

HELD = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


def manifest(name: str, resources: object, env: str = "1") -> str:
    """Return a pod of two containers, the first with these limits and a variable."""
    base: dict[str, Any] = {
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", HELD],
    }
    web = base | {"name": "web", "resources": resources, "env": [{"name": "A", "value": env}]}
    spec = {"terminationGracePeriodSeconds": 2, "containers": [web, base | {"name": "other"}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def limits(witness: PodmanClient, container: str) -> tuple[int, int]:
    """Return a container's memory limit and CPU quota as the kernel has them."""
    pid = witness.containers.get(container).attrs["State"]["Pid"]
    return (
        cgroup_number(pid, "memory", "memory.limit_in_bytes", "memory.max"),
        cgroup_number(pid, "cpu", "cpu.cfs_quota_us", "cpu.max"),
    )


def lives(witness: PodmanClient, name: str) -> dict[str, tuple[str, str]]:
    """Map web, other and infra to their ids and start times."""
    found = {}
    for one in witness.pods.get(name).attrs["Containers"]:
        attrs = witness.containers.get(one["Id"]).attrs
        key = attrs["Name"].removeprefix(f"{name}-") if attrs["Name"].startswith(f"{name}-") else "infra"
        found[key] = (attrs["Id"], attrs["State"]["StartedAt"])
    return found


def test_each_edit_takes_the_smallest_action(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Limits in place and again after a crash, one container for its environment, nothing for the rest."""
    mega = 1024 * 1024
    daemon.write("p.json", manifest(name, {"limits": {"cpu": "500m", "memory": "64Mi"}}))
    daemon.start()
    daemon.wait_pod(name)
    first = lives(witness, name)
    assert limits(witness, f"{name}-web") == (64 * mega, 50_000)

    daemon.write("p.json", manifest(name, {"limits": {"cpu": "200m", "memory": "128Mi"}}))
    until(lambda: limits(witness, f"{name}-web") == (128 * mega, 20_000), "new limits")
    until(lambda: daemon.events(name, "Updated"), "the update told")
    assert lives(witness, name) == first

    podman("update", "--memory", "100m", f"{name}-web")
    told = "by hand: memory is"
    until(lambda: any(told in e["message"] for e in daemon.events(name, "Updated")), "what was done by hand seen")
    until(lambda: limits(witness, f"{name}-web") == (128 * mega, 20_000), "the limits put right")
    assert lives(witness, name) == first

    podman("kill", f"{name}-web")
    until(lambda: daemon.container(name, "web")["restartCount"] == 1, "the restart")
    until(lambda: limits(witness, f"{name}-web") == (128 * mega, 20_000), "the limits set again")
    second = lives(witness, name)
    assert (second["other"], second["infra"]) == (first["other"], first["infra"])

    daemon.write("p.json", manifest(name, {}))
    until(lambda: limits(witness, f"{name}-web") == (-1, -1), "no limits")
    assert lives(witness, name) == second
    daemon.kill()
    daemon.start()
    daemon.wait_pod(name)
    assert lives(witness, name) == second

    daemon.write("p.json", manifest(name, {}, env="2"))
    until(lambda: lives(witness, name).get("web", second["web"])[0] != second["web"][0], "one container replaced")
    daemon.wait_pod(name)
    third = lives(witness, name)
    assert (third["other"], third["infra"]) == (first["other"], first["infra"])
    assert limits(witness, f"{name}-web") == (-1, -1)
    (stopped,) = daemon.events(name, "Stopped")
    assert "changed: env" in stopped["message"]
