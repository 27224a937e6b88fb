"""What happens by the clock: images that move in a real registry are found and proved, unused ones go, jobs run."""

from datetime import datetime

import pytest
from e2e.harness import Daemon, until
from e2e.registry import Registry
from podman import PodmanClient

pytestmark = [pytest.mark.podman, pytest.mark.timeout(300)]

POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {image}
    imagePullPolicy: Always
    command: [sh, -c, "[ $MARKER = bad ] || touch /ready; trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    readinessProbe: {{exec: {{command: [cat, /ready]}}, periodSeconds: 1, timeoutSeconds: 20}}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  update: {{minHealthySeconds: 1, progressDeadlineSeconds: {deadline}}}
  autoUpdate: {{intervalSeconds: 10}}
"""


CRON = """apiVersion: batch/v1
kind: CronJob
metadata: {{name: {name}-cron}}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
          - name: main
            image: docker.io/library/busybox:latest
            imagePullPolicy: IfNotPresent
            command: [echo, ran]
"""
GC = """
[images]
gc = true
gc_interval_s = 0.5
minimum_age_s = 0
maximum_age_s = 1
"""


@pytest.mark.parametrize("supervised", [GC], indirect=True, ids=["gc"])
def test_a_push_updates_a_pod_if_the_image_proves_itself(
    registry: Registry, supervised: Daemon, witness: PodmanClient, name: str
) -> None:
    """A bad push is rolled back offline, old images go, nobody else's do; beside it a CronJob runs on the minute."""

    def image() -> str:
        found: str = witness.containers.get(f"{name}-main").attrs["Image"]
        return found

    def updates(reason: str) -> int:
        return len(supervised.events(name, reason))

    def here() -> set[str]:
        return {str(one.id).removeprefix("sha256:") for one in witness.images.list(filters={"label": registry.label})}

    def reason() -> str:
        conditions = supervised.pod(name)["status"]["conditions"]
        return next(str(c.get("reason", "")) for c in conditions if c["type"] == "Progressing")

    theirs = registry.build(f"localhost/theirs-{name}", "theirs")
    supervised.write("c.yaml", CRON.format(name=name))
    reference = registry.push(f"{name}:1", "first")
    for tag in ("second", "bad"):
        registry.push(f"{name}:{tag}", tag)
    supervised.write("p.yaml", POD.format(name=name, image=reference, deadline=60))
    supervised.wait_pod(name)
    until(lambda: reason() == "Updated", "the first version proved")
    first = image()
    registry.move(name, "second")
    until(lambda: updates("UpdateSucceeded") == 1, "the second version proved", 90)
    second = image()
    until(lambda: here() == {second, theirs}, "the first image removed", 60)
    (told,) = supervised.events("", "ImageRemoved")
    assert told["message"].startswith(f"removed image {reference} ({first[:12]}, ")
    assert supervised.metric('podsupd_images_removed_total{reason="age"}') == 1

    supervised.write("p.yaml", POD.format(name=name, image=reference, deadline=6))
    registry.move(name, "bad")
    until(lambda: updates("Updating") == 2, "the bad version tried", 60)
    registry.stop()
    until(lambda: updates("RolledBack") == 1, "the bad version rolled back", 60)
    supervised.wait_pod(name, 60)
    assert image() == second
    until(lambda: supervised.condition(name, "ImagesChecked") == "False", "the registry away", 60)
    assert updates("ImageCheckFailed")
    assert (image(), updates("Updating")) == (second, 2)

    (supervised.manifests / "p.yaml").unlink()
    until(lambda: here() == {theirs}, "the images of a pod that is gone removed", 90)
    cron = f"{name}-cron"
    until(lambda: supervised.pod(cron)["status"]["phase"] == "Succeeded", "a run of the CronJob", 90)
    until(lambda: supervised.cli("logs", cron).stdout.strip() == "ran", "what it said")
    for run in supervised.events(cron, "JobStarted"):
        assert datetime.fromisoformat(run["time"]) >= datetime.fromisoformat(run["message"].split()[3])
