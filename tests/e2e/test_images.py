"""Images from a real registry: pulled when missing, with a word about it, and never at the cost of what runs."""

import json

import pytest
from e2e.harness import Daemon, podman, until
from e2e.registry import Registry
from podman import PodmanClient
from podman.errors import NotFound

pytestmark = pytest.mark.podman

POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {image}
    imagePullPolicy: {policy}
    command: [sleep, "1000000"]
"""


def marker(witness: PodmanClient, container: str) -> str:
    """Return the label of the image that a container runs; empty while it is being replaced."""
    try:
        image = witness.containers.get(container).attrs["Image"]
    except NotFound:
        return ""
    label: str = witness.images.get(image).labels["marker"]
    return label


def test_a_missing_image_is_pulled_and_told(
    registry: Registry, supervised: Daemon, witness: PodmanClient, name: str
) -> None:
    """The pod comes up from a registry, and its events say what took how long."""
    image = registry.push(f"{name}:1", "first")
    supervised.write("p.yaml", POD.format(name=name, image=image, policy="IfNotPresent"))
    supervised.wait_pod(name)
    assert marker(witness, f"{name}-main") == "first"
    assert [e["message"] for e in supervised.events(name, "Pulling")] == [f"pulling image {image}"]
    assert supervised.events(name, "Pulled")[0]["message"].startswith(f"pulled image {image} in ")


def test_an_edit_to_an_image_that_cannot_be_had_stops_nothing(
    registry: Registry, supervised: Daemon, witness: PodmanClient, name: str
) -> None:
    """With the registry away the old container goes on; when it is back the new image takes its place."""
    first = registry.push(f"{name}:1", "first")
    second = registry.push(f"{name}:2", "second")
    supervised.write("p.yaml", POD.format(name=name, image=first, policy="IfNotPresent"))
    supervised.wait_pod(name)
    before = witness.containers.get(f"{name}-main").attrs
    registry.stop()
    supervised.write("p.yaml", POD.format(name=name, image=second, policy="IfNotPresent"))
    until(lambda: supervised.events(name, "BackOff"), "ImagePullBackOff told")
    after = witness.containers.get(f"{name}-main").attrs
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert supervised.container(name, "main")["state"]["running"]
    registry.start()
    until(lambda: marker(witness, f"{name}-main") == "second", "the new image in place")
    supervised.wait_pod(name)


def test_pull_policy_always_takes_what_the_registry_has_now(
    registry: Registry, supervised: Daemon, witness: PodmanClient, name: str
) -> None:
    """A tag that moved is fetched again when the container is made anew, although an image of that name is here."""
    image = registry.push(f"{name}:1", "first")
    supervised.write("p.yaml", POD.format(name=name, image=image, policy="Always"))
    supervised.wait_pod(name)
    registry.push(f"{name}:1", "moved")
    podman("pull", "-q", "--tls-verify=false", image)
    registry.push(f"{name}:1", "newest")
    podman("rm", "-f", "-t", "0", f"{name}-main")
    until(lambda: marker(witness, f"{name}-main") == "newest", "the newest image in place")


@pytest.mark.parametrize("registry", [True], indirect=True)
def test_a_pull_secret_opens_a_closed_registry(
    registry: Registry, supervised: Daemon, witness: PodmanClient, name: str
) -> None:
    """A Secret of the directory that a pod names under imagePullSecrets is its login, as on a cluster."""
    image = registry.push(f"{name}:1", "private")
    text = POD.format(name=name, image=image, policy="IfNotPresent")
    supervised.write("p.yaml", text.replace("spec:", "spec:\n  imagePullSecrets: [{name: pull}]", 1))
    until(lambda: supervised.events(name, "Failed"), "the refusal told")
    auths = {"auths": {registry.host: {"username": "team", "password": "secret"}}}
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: pull}\ntype: kubernetes.io/dockerconfigjson\nstringData:\n"
    supervised.write("s.yaml", f"{secret}  .dockerconfigjson: '{json.dumps(auths)}'\n")
    supervised.wait_pod(name)
    assert marker(witness, f"{name}-main") == "private"
