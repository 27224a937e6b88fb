"""A host that loses power, at a quiet moment and in the middle of work: it comes back without anybody's hand."""

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

POD = "my-shared-pod"
SLEEPER = {
    "name": "main",
    "image": "docker.io/library/busybox:latest",
    "imagePullPolicy": "IfNotPresent",
    "command": ["sleep", "1000000"],
}


def manifest(name: str, *, after: str = "", containers: int = 1) -> str:
    """Return a pod of sleepers, to be started after another if so asked, in the form that YAML and JSON share."""
    spec = {
        "terminationGracePeriodSeconds": 1,
        "shareProcessNamespace": True,
        "containers": [{**SLEEPER, "name": f"c{number}"} for number in range(containers)],
    }
    documents: list[Any] = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}]
    if after:
        policy = {"apiVersion": "podsupd.io/v1", "kind": "PodPolicy", "metadata": {"name": name}}
        documents.append({**policy, "spec": {"after": [after]}})
    return "\n---\n".join(json.dumps(document) for document in documents)


def ids(host: Any, *containers: str) -> list[str]:
    """Return the containers' ids."""
    return [each["Id"] for each in host.inspect(*containers)]


def test_pods_come_back_in_their_order(host: Any) -> None:
    """After a power cut the same containers run again, and a pod that is after another waits until that is Ready."""
    host.write("second.yaml", manifest("second", after=POD))
    try:
        host.run("systemctl", "reload", "podsupd.service")
        host.until("the second pod is Ready", lambda: host.ready("second"))
        before, booted = ids(host, "nginx-server", "busybox-client", "second-c0"), host.boot_id()
        host.cut_power()
        host.boot()
        assert host.boot_id() != booted
        host.until("both pods are Ready", lambda: host.ready(POD) and host.ready("second"))
        assert ids(host, "nginx-server", "busybox-client", "second-c0") == before
        assert "Welcome to nginx!" in host.run("curl", "-sS", "http://localhost:8080")
        *first, second = (
            each["State"]["StartedAt"] for each in host.inspect("nginx-server", "busybox-client", "second-c0")
        )
        assert second > max(first)
        assert "BackOff" not in host.run("podsupd", "events", POD)
    finally:
        host.remove("second.yaml")
        host.until("the second pod is gone", lambda: not host.succeeds("podman", "pod", "exists", "second"))


def test_a_cut_in_the_middle_of_creating_is_cleared_up(host: Any) -> None:
    """Whatever half-made things Podman is left with, they are finished or made again, once."""
    names = [f"half-{number}" for number in range(3)]
    for name in names:
        host.write(f"{name}.yaml", manifest(name, containers=3))
    try:
        host.until("the first pod appears", lambda: host.succeeds("podman", "pod", "exists", names[0]))
        host.cut_power()
        host.boot()
        host.until("all pods are Ready", lambda: all(host.ready(name) for name in (POD, *names)), 240)
        listed = host.run("podman", "ps", "-a", "--pod", "--format", "{{.PodName}} {{.Names}}").splitlines()
        made = sorted(line.split()[1] for line in listed if line.startswith("half-") and "infra" not in line)
        assert made == sorted(f"{name}-c{number}" for name in names for number in range(3))
    finally:
        for name in names:
            host.remove(f"{name}.yaml")
        # All of them vanish at once: that is held until somebody says that it is meant.
        host.until("the pods are gone", lambda: gone(host, names))


def gone(host: Any, names: list[str]) -> bool:
    """Confirm the removal, and say whether it is done."""
    host.run("podsupd", "prune", "--confirm", check=False)
    return not any(host.succeeds("podman", "pod", "exists", name) for name in names)
