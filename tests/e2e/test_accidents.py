"""kill -9 of the daemon while it works, deaths that nobody tells of, and images that are missing."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import PODMAN_URL, Daemon, pod_manifest, podman, until
from e2e.services import DeafProxy
from podman import PodmanClient

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


def states(witness: PodmanClient, name: str) -> list[str]:
    """List the states of a pod's containers, infra too, in one cheap call; empty without the pod."""
    answer = witness.api.get("/containers/json", params={"all": "true", "filters": f'{{"pod":["{name}"]}}'})
    return [c["State"] for c in answer.json()] if answer.ok else []


def made(count: int) -> Callable[[list[str]], bool]:
    """Say whether at least so many containers exist, the infra container counted."""
    return lambda seen: len(seen) >= count


def running(count: int) -> Callable[[list[str]], bool]:
    """Say whether at least so many containers run."""
    return lambda seen: seen.count("running") >= count


MOMENTS = [made(1), running(1), made(2), made(3), running(2), running(3)]


def test_kill_9_in_the_middle_of_creating_a_pod_converges_without_duplicates(
    daemon: Daemon, witness: PodmanClient, name: str
) -> None:
    """At every step of the creation the next start goes on from what is there, and each thing is there once."""
    for number, moment in enumerate(MOMENTS):
        pod = f"{name}-{number}"
        daemon.write(f"{pod}.yaml", pod_manifest(pod, containers={"a": POLITE, "b": POLITE}, grace=0))
        daemon.start(wait=False)
        until(lambda moment=moment, pod=pod: moment(states(witness, pod)), f"moment {number}", every=0.001)
        daemon.kill()
    daemon.start()
    pods = [f"{name}-{number}" for number in range(len(MOMENTS))]
    for pod in pods:
        daemon.wait_pod(pod)
        found = witness.pods.get(pod).attrs
        assert set(found["SharedNamespaces"]) == {"net", "pid"}
        assert {c["State"] for c in found["Containers"]} == {"running"}
        names = sorted(c["Name"] for c in found["Containers"] if c["Id"] != found["InfraContainerID"])
        assert names == [f"{pod}-a", f"{pod}-b"]
        assert [c["restartCount"] for c in daemon.pod(pod)["status"]["containerStatuses"]] == [0, 0]
    owner = witness.pods.get(pods[0]).attrs["Labels"]["podsupd.io/owner"]
    mine = podman("pod", "ps", "--format", "{{.Name}}", "--filter", f"label=podsupd.io/owner={owner}").split()
    assert sorted(mine) == pods


def test_kill_9_in_the_middle_of_a_removal_is_finished_by_the_next_start(
    daemon: Daemon, witness: PodmanClient, name: str
) -> None:
    """A removal that was begun is no reason to forget the rest of it."""
    waits = "trap '' TERM; until [ -e /go ]; do sleep 0.1; done"
    path = daemon.write("pod.yaml", pod_manifest(name, containers={"a": POLITE, "b": waits}, grace=120))
    daemon.start()
    daemon.wait_pod(name)
    path.unlink()
    until(lambda: "exited" in states(witness, name), "the first container stopped", every=0.005)
    daemon.kill()
    assert witness.pods.exists(name)
    daemon.start()
    podman("exec", f"{name}-b", "touch", "/go")
    until(lambda: not witness.pods.exists(name), "the rest removed")


def test_a_death_is_noticed_without_events_and_without_a_relist(
    make_daemon: Callable[..., Daemon], witness: PodmanClient, name: str, tmp_path: Path
) -> None:
    """The kernel tells it: with Podman's event stream deaf and no relist for an hour a crash is healed all the same."""
    with DeafProxy(tmp_path / "proxy.sock", Path(PODMAN_URL.removeprefix("unix://"))) as proxy:
        daemon = make_daemon(podman_url=proxy.url)
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("relist_interval_s = 1", "relist_interval_s = 3600"))
        daemon.write("pod.yaml", pod_manifest(name, containers={"main": POLITE}))
        daemon.start()
        daemon.wait_pod(name)
        before = witness.containers.get(f"{name}-main").attrs
        relists = daemon.metric("podsupd_relist_duration_seconds_count")
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        until(lambda: daemon.container(name, "main")["restartCount"] == 1, "the restart")
        until(lambda: witness.containers.get(f"{name}-main").attrs["State"]["Running"], "the container running")
        assert proxy.swallowed == 1
        assert daemon.metric("podsupd_events_total") == 0
        assert daemon.metric("podsupd_relist_duration_seconds_count") == relists
        daemon.kill()


@pytest.fixture
def missing_image(name: str) -> Iterator[str]:
    """Name an image that no registry has; what a test made of the name is untagged."""
    reference = f"localhost:1/{name}:latest"
    yield reference
    podman("untag", "docker.io/library/busybox:latest", reference, check=False)


def test_a_missing_image_is_a_status_and_its_import_is_noticed(daemon: Daemon, name: str, missing_image: str) -> None:
    """ImagePullBackOff names the registry's reason; siblings and other pods run; an import ends the wait."""
    text = pod_manifest(name, containers={"good": POLITE, "bad": POLITE})
    head, tail = text.rsplit("docker.io/library/busybox:latest", 1)
    daemon.write("pod.yaml", head + missing_image + tail)
    daemon.write("other.yaml", pod_manifest(f"{name}-other"))
    daemon.start()
    daemon.wait_pod(f"{name}-other")

    def waiting() -> dict[str, Any]:
        found: dict[str, Any] = daemon.container(name, "bad")["state"].get("waiting", {})
        return found

    def backed_off() -> str:
        found = waiting()
        return str(found["message"]) if found.get("reason") == "ImagePullBackOff" else ""

    assert missing_image in until(backed_off, "ImagePullBackOff")
    until(lambda: daemon.container(name, "good")["ready"], "the sibling running")
    assert daemon.condition(name, "Ready") == "False"
    assert daemon.events(name, "Failed")
    podman("tag", "docker.io/library/busybox:latest", missing_image)
    daemon.wait_pod(name)
    assert daemon.container(name, "good")["restartCount"] == 0
