"""Updates that have to prove themselves, with a real registry that goes away."""

import pytest
from e2e.harness import Daemon, until
from e2e.registry import Registry
from podman import PodmanClient

pytestmark = pytest.mark.podman

POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {image}
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "{script}; trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    readinessProbe: {{exec: {{command: [cat, /ready]}}, periodSeconds: 1, timeoutSeconds: 20}}
  - name: other
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  update: {{minHealthySeconds: 1, progressDeadlineSeconds: {deadline}}}
"""


def test_an_update_that_does_not_get_ready_goes_back_offline(
    registry: Registry, supervised: Daemon, witness: PodmanClient, name: str
) -> None:
    """The image that ran is back without a registry, the neighbour never stopped, and the next edit is a new try."""
    first, second = registry.push(f"{name}:1", "first"), registry.push(f"{name}:2", "second")

    def write(image: str, script: str, deadline: int) -> None:
        supervised.write("p.yaml", POD.format(name=name, image=image, script=script, deadline=deadline))

    def reason() -> str:
        conditions = supervised.pod(name)["status"]["conditions"]
        return next((str(c.get("reason", "")) for c in conditions if c["type"] == "Progressing"), "")

    write(first, "touch /ready", 60)
    supervised.wait_pod(name)
    until(lambda: reason() == "Updated", "the first version proved")
    image = witness.containers.get(f"{name}-main").attrs["Image"]
    neighbour = witness.containers.get(f"{name}-other").attrs["State"]["StartedAt"]

    write(second, "true", 10)
    until(lambda: reason() == "Updating", "the update begun")
    until(lambda: witness.containers.get(f"{name}-main").attrs["Image"] != image, "the new image in place")
    registry.stop()
    until(lambda: reason() == "RolledBack", "the way back")
    supervised.wait_pod(name)
    assert witness.containers.get(f"{name}-main").attrs["Image"] == image
    told = supervised.events(name, "RolledBack")
    assert "not Ready for 1 s within 10 s: containers with unready status: [main]" in told[0]["message"]
    assert "the last good version" in supervised.pod(name)["podsupd"]["why"]
    assert supervised.metric(f'podsupd_updates_total{{outcome="rolled_back",pod="{name}"}}') == 1

    supervised.kill()
    supervised.start()
    supervised.wait_pod(name)
    assert reason() == "RolledBack"
    assert len(supervised.events(name, "Updating")) == 1
    write(second, "touch /ready", 60)
    until(lambda: supervised.events(name, "UpdateSucceeded"), "the next version proved", 60)
    assert witness.containers.get(f"{name}-main").attrs["Image"] != image
    assert witness.containers.get(f"{name}-other").attrs["State"]["StartedAt"] == neighbour
    assert supervised.condition(name, "Progressing") == "True"
