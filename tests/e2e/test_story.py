"""The mission's story, literally: one pod, two containers, shared net and pid, probed and healed."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from e2e.harness import Daemon, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

EXAMPLE = Path(__file__).parents[2] / "config" / "pods.d" / "my-shared-pod.yaml"


@pytest.fixture
def story(daemon: Daemon) -> Daemon:
    """Run the example pod as it stands in the repository."""
    shutil.copy(EXAMPLE, daemon.manifests)
    daemon.start()
    daemon.wait_pod("my-shared-pod")
    return daemon


def curl(url: str) -> str:
    """Run the real curl on the host."""
    return subprocess.run(["curl", "-fsS", url], capture_output=True, text=True, check=True, timeout=10).stdout


@pytest.mark.usefixtures("story")
def test_the_story_as_a_user_types_it(witness: PodmanClient) -> None:
    """Curl answers on the host, wget answers in the client, and ps shows nginx's processes to its sibling."""
    assert "Welcome to nginx!" in curl("http://localhost:8080")
    assert "Welcome to nginx!" in podman("exec", "busybox-client", "wget", "-O", "-", "http://localhost:80")
    processes = podman("exec", "busybox-client", "ps", "aux")
    assert "nginx: master process" in processes
    assert "nginx: worker process" in processes
    assert "/catatonit -P" in processes
    pod = witness.pods.get("my-shared-pod")
    assert set(pod.attrs["SharedNamespaces"]) == {"net", "pid"}
    assert {c["Name"] for c in pod.attrs["Containers"]} >= {"nginx-server", "busybox-client"}
    for name in ("nginx-server", "busybox-client"):
        attrs = witness.containers.get(name).attrs
        assert attrs["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"}
        assert attrs["Config"]["Labels"]["podsupd.io/pod"] == "my-shared-pod"
    until(lambda: "Welcome to nginx!" in podman("logs", "busybox-client"), "the client's own fetches in its log")


def test_every_probe_of_the_story_passes_from_its_vantage(story: Daemon) -> None:
    """An exec in the client, HTTP from inside the pod's namespace, and curl's way from the host."""

    def probes() -> dict[str, str]:
        return {p["name"]: p["result"] for p in story.pod("my-shared-pod")["podsupd"]["probes"]}

    expected = {"nginx-server/liveness", "nginx-server/readiness", "busybox-client/liveness", "host-curl"}
    until(lambda: set(probes()) == expected and set(probes().values()) == {"successful"}, "all probes successful")
    assert story.condition("my-shared-pod", "PolicyProbesPassing") == "True"


def test_kill_9_of_nginx_is_healed(story: Daemon, witness: PodmanClient) -> None:
    """The container is started again in place; its sibling is not touched."""
    before = witness.containers.get("nginx-server").attrs
    sibling = witness.containers.get("busybox-client").attrs
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    until(lambda: story.container("my-shared-pod", "nginx-server")["restartCount"] == 1, "one restart")
    story.wait_pod("my-shared-pod")
    after = witness.containers.get("nginx-server").attrs
    assert after["Id"] == before["Id"]
    assert after["State"]["Pid"] != before["State"]["Pid"]
    now = witness.containers.get("busybox-client").attrs
    assert (now["Id"], now["State"]["StartedAt"]) == (sibling["Id"], sibling["State"]["StartedAt"])
    assert "Welcome" in curl("http://localhost:8080")
    assert story.metric('podsupd_container_restarts_total{container="nginx-server",pod="my-shared-pod"}') == 1
    died = story.events("my-shared-pod", "Died")
    assert "SIGKILL" in died[-1]["message"]


def test_the_infra_container_killed_is_healed(story: Daemon, witness: PodmanClient) -> None:
    """The whole pod lives in it: it comes back with its port, its namespaces and every container, without back-off."""
    infra = witness.pods.get("my-shared-pod").attrs["InfraContainerID"]
    os.kill(witness.containers.get(infra).attrs["State"]["Pid"], signal.SIGKILL)
    until(lambda: story.events("my-shared-pod", "SandboxDied"), "the death of infra told")
    story.wait_pod("my-shared-pod")
    assert "Welcome" in curl("http://localhost:8080")
    assert "Welcome" in podman("exec", "busybox-client", "wget", "-O", "-", "http://localhost:80")
    assert story.events("my-shared-pod", "BackOff") == []


def test_a_pod_without_an_answer_is_restarted_by_its_liveness_probe(story: Daemon) -> None:
    """Nginx that hangs (SIGSTOP to all of it) is noticed from inside and restarted."""
    # By their names in one look: what else is in the pod may be gone at the next.
    words = [line.split() for line in podman("top", "nginx-server", "hpid", "comm").splitlines()]
    nginx = [int(found[0]) for found in words if found[0].isdigit() and found[1:] == ["nginx"]]
    assert nginx
    for pid in nginx:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: story.events("my-shared-pod", "Unhealthy"), "the failed probe told", 60)
    until(lambda: story.container("my-shared-pod", "nginx-server")["restartCount"] >= 1, "the restart", 60)
    story.wait_pod("my-shared-pod", 60)
    assert "Welcome" in curl("http://localhost:8080")


def test_the_command_line_tells_the_story(story: Daemon) -> None:
    """Status, events and logs read as kubectl's and podman's would."""
    status = story.cli("status").stdout
    assert "my-shared-pod" in status
    assert "2/2" in status
    assert "Running" in status
    assert "nginx-server" in story.cli("status", "my-shared-pod").stdout
    assert "Started" in story.cli("events", "my-shared-pod").stdout
    # The client's first fetch may have been before nginx served.
    logs = ("logs", "my-shared-pod/busybox-client", "--tail", "40")
    until(lambda: "Welcome to nginx!" in story.cli(*logs).stdout, "a fetch in the client's log")
    assert story.cli("restart", "my-shared-pod/nginx-server").returncode == 0
    assert story.cli("stop", "my-shared-pod").returncode == 0
    with pytest.raises(subprocess.CalledProcessError):
        curl("http://localhost:8080")
    assert story.cli("start", "my-shared-pod").returncode == 0
    story.wait_pod("my-shared-pod")
    assert "Welcome" in curl("http://localhost:8080")
