"""postStart and preStop on the real Podman."""

import json

import pytest
from e2e.harness import Daemon, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

SERVER = (
    "trap 'echo term >> /shared/log; exit 0' TERM;"
    " mkdir -p /www; echo ok > /www/index.html; httpd -p 8080 -h /www; while :; do sleep 0.2; done"
)


def manifest(name: str, path: str, script: str, lifecycle: object, **spec: object) -> str:
    """Return a pod of one container with these hooks, which shares a directory with the host."""
    container = {
        "name": "main",
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "lifecycle": lifecycle,
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    volume = {"name": "shared", "hostPath": {"path": path}}
    body = {"shareProcessNamespace": True, "terminationGracePeriodSeconds": 30, **spec}
    body |= {"containers": [container], "volumes": [volume]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body})


def shell(text: str) -> dict[str, object]:
    """Return a hook that runs a script."""
    return {"exec": {"command": ["sh", "-c", text]}}


def test_hooks_run_at_the_start_and_before_the_signal(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Not Ready before postStart has ended, over kill -9 too; TERM only after preStop, also when the pod is removed."""
    shared = daemon.root / "shared"
    shared.mkdir()
    log = shared / "log"
    hooks = {
        "postStart": shell("echo post >> /shared/log; until [ -e /shared/go ]; do sleep 0.1; done"),
        "preStop": shell(
            "echo pre >> /shared/log; until [ -e /shared/end ]; do sleep 0.1; done; echo over >> /shared/log"
        ),
    }
    daemon.write("pod.json", manifest(name, str(shared), SERVER, hooks))
    daemon.start()
    until(lambda: log.read_text() == "post\n", "the postStart hook begun")
    until(lambda: "its postStart hook runs" in daemon.pod(name)["podsupd"]["why"], "the wait shown")
    assert not daemon.ready(name)
    daemon.kill()
    daemon.start()
    until(lambda: log.read_text() == "post\npost\n", "the postStart hook begun again")
    (shared / "go").touch()
    daemon.wait_pod(name)
    daemon.kill()
    daemon.start()
    daemon.wait_pod(name)
    assert log.read_text() == "post\npost\n"

    (daemon.manifests / "pod.json").unlink()
    until(lambda: log.read_text() == "post\npost\npre\n", "the preStop hook begun")
    assert witness.containers.get(f"{name}-main").attrs["State"]["Running"]
    (shared / "end").touch()
    until(lambda: not witness.pods.list(filters={"name": name}), "the pod removed")
    assert log.read_text() == "post\npost\npre\nover\nterm\n"


def test_a_failed_hook_is_told_and_one_over_http_is_a_request(daemon: Daemon, name: str) -> None:
    """A failed postStart restarts its container with a growing pause; any answer to a request will do."""
    shared = daemon.root / "shared"
    shared.mkdir()
    bad, good = f"{name}-bad", f"{name}-good"
    failing = {"postStart": shell("echo reason; exit 3"), "preStop": shell("exit 4")}
    daemon.write("bad.json", manifest(bad, str(shared), SERVER, failing))
    serving = shell("until wget -q -O /dev/null http://localhost:8080/; do sleep 0.1; done")
    asking = {"postStart": serving, "preStop": {"httpGet": {"port": 8080, "path": "/not-there"}}}
    daemon.write("good.json", manifest(good, str(shared), SERVER, asking))
    daemon.start()
    until(lambda: daemon.events(bad, "FailedPostStartHook"), "the failure told")
    assert "exited with 3: reason" in daemon.events(bad, "FailedPostStartHook")[0]["message"]
    until(
        lambda: daemon.container(bad, "main")["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff",
        "back-off",
    )
    assert "exited with 4" in daemon.events(bad, "FailedPreStopHook")[0]["message"]
    daemon.wait_pod(good)
    daemon.cli("stop", good)
    assert daemon.events(good, "FailedPreStopHook") == []
    assert podman("inspect", "-f", "{{.State.ExitCode}}", f"{good}-main") == "0"
