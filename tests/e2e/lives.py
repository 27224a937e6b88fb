"""What podman-py, which knows nothing of podsupd, says of a pod: the proof that it was left alone or made anew."""

from collections.abc import Iterable

from e2e.harness import Daemon, pod_manifest
from podman import PodmanClient
from podman.errors import NotFound

IDLE = "exec sleep 3600"
"""A container that does nothing and ends at once on a TERM (it is not PID 1 in a shared PID namespace)."""

Life = tuple[str, str]


def lives(witness: PodmanClient, *pods: str) -> dict[str, Life]:
    """Return every container of the pods, infra too: name -> (id, StartedAt); the pod itself: name -> (id, Created)."""
    found: dict[str, Life] = {}
    for pod in pods:
        attrs = witness.pods.get(pod).attrs
        found[pod] = (attrs["Id"], attrs["Created"])
        for line in attrs["Containers"]:
            state = witness.containers.get(line["Id"]).attrs["State"]
            found[line["Name"]] = (line["Id"], state["StartedAt"])
    return found


def exists(witness: PodmanClient, pod: str) -> bool:
    """Say whether there is a pod of that name, whoever made it."""
    try:
        witness.pods.get(pod)
    except NotFound:
        return False
    return True


def idle_pod(name: str, containers: Iterable[str] = ("main",), **options: object) -> str:
    """Return the manifest of a pod whose containers do nothing."""
    return pod_manifest(name, containers=dict.fromkeys(containers, IDLE), **options)


def bring_up(daemon: Daemon, **manifests: str) -> None:
    """Start the daemon over files (stem -> text), each with one pod, and wait until all are Ready."""
    for stem, text in manifests.items():
        daemon.write(f"{stem}.yaml", text)
    daemon.start()
    for text in manifests.values():
        daemon.wait_pod(text.split("metadata: {name: ")[1].split("}")[0])
