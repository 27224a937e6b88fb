"""Init containers and sidecars on the real Podman."""

import json

import pytest
from e2e.harness import Daemon, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

TOLD = (
    "echo start $NAME >> /shared/order; trap 'echo stop $NAME >> /shared/order; exit 0' TERM;"
    " while :; do sleep 0.2; done"
)


def container(name: str, script: str, **fields: object) -> dict[str, object]:
    """Return a busybox container of a manifest that shares a volume with the others."""
    return {
        "name": name,
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "env": [{"name": "NAME", "value": name}],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        **fields,
    }


def manifest(name: str, path: str, inits: list[dict[str, object]], main: dict[str, object]) -> str:
    """Return a pod of these containers with a directory of the host as their volume."""
    spec = {
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": 20,
        "initContainers": inits,
        "containers": [main],
        "volumes": [{"name": "shared", "hostPath": {"path": path}}],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_a_pod_is_prepared_step_by_step_and_its_sidecar_ends_last(
    daemon: Daemon, witness: PodmanClient, name: str
) -> None:
    """Steps in order and retried, a sidecar that gates, nothing twice over kill -9, and the reverse at the end."""
    shared = daemon.root / "shared"
    shared.mkdir()
    order = shared / "order"
    startup = {"exec": {"command": ["cat", "/shared/go"]}, "periodSeconds": 1, "failureThreshold": 600}
    inits = [
        container("first", "echo run first >> /shared/order; [ -e /shared/tried ] || { touch /shared/tried; exit 1; }"),
        container("car", TOLD, restartPolicy="Always", startupProbe=startup | {"timeoutSeconds": 20}),
        container("last", "echo run last >> /shared/order"),
    ]
    text = manifest(name, str(shared), inits, container("main", TOLD))
    daemon.write("pod.json", text)
    daemon.start()

    def word() -> str:
        return daemon.cli("status").stdout

    until(lambda: "Init:1/3" in word(), "the sidecar gating the rest")
    until(lambda: order.read_text().split("\n")[:-1] == ["run first", "run first", "start car"], "the sidecar's start")
    shown = daemon.pod(name)["status"]
    assert shown["phase"] == "Pending"
    assert daemon.condition(name, "Initialized") == "False"
    assert shown["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    assert [c["restartCount"] for c in shown["initContainerStatuses"]] == [1, 0, 0]
    (shared / "go").touch()
    daemon.wait_pod(name)
    # It is Ready as soon as it runs: what it says first may come a moment later.
    until(lambda: order.read_text().split("\n")[3:-1] == ["run last", "start main"], "the rest in its order")
    assert daemon.condition(name, "Initialized") == "True"

    daemon.kill()
    daemon.start()
    daemon.wait_pod(name)
    assert order.read_text().split("\n")[4:-1] == ["start main"]

    podman("kill", f"{name}-car")
    until(lambda: order.read_text().count("start car") == 2, "the sidecar back")
    assert order.read_text().count("start main") == 1

    (daemon.manifests / "pod.json").unlink()
    until(lambda: not witness.pods.list(filters={"name": name}), "the pod removed")
    assert order.read_text().split("\n")[-3:-1] == ["stop main", "stop car"]
