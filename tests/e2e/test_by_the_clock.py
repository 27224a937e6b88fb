"""What happens by the clock: images that move in a real registry are found and proved, unused ones go, jobs run."""

from datetime import datetime

import pytest
from e2e.harness import Daemon, until
from e2e.registry import Registry
from podman import PodmanClient

pytestmark = [pytest.mark.podman, pytest.mark.timeout(1200)]

POD = """apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - name: proxy
    image: {image}
    imagePullPolicy: Always
    restartPolicy: Always
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
  - name: step
    image: {step}
    imagePullPolicy: Always
    command: [sh, -c, "echo $MARKER"]
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
    """An init container's image too; a bad one is rolled back offline, old ones go; a CronJob runs on the minute."""

    def image(container: str = "main") -> str:
        found: str = witness.containers.get(f"{name}-{container}").attrs["Image"]
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
    step = registry.push(f"{name}-step:1", "prepares")
    registry.push(f"{name}-step:second", "prepares-anew")
    text = POD.replace("{image}", reference).replace("{step}", step)
    supervised.write("p.yaml", text.format(name=name, deadline=600))
    supervised.wait_pod(name)
    until(lambda: reason() == "Updated", "the first version proved")
    first, prepared = image(), image("step")
    registry.move(name, "second")
    registry.move(f"{name}-step", "second")
    until(lambda: first not in {image(), image("proxy")} and image("step") != prepared, "the second versions")
    # One look finds both, or the next one the other.
    until(lambda: reason() == "Updated" and updates("UpdateSucceeded") == updates("Updating"), "them proved")
    second, step_id, tried = image(), image("step"), updates("Updating")
    assert image("proxy") == second
    assert supervised.cli("logs", f"{name}/step").stdout.strip() == "prepares-anew"
    until(lambda: here() == {second, step_id, theirs}, "the first images removed")
    told = until(lambda: supervised.events("", "ImageRemoved")[1:] and supervised.events("", "ImageRemoved"), "words")
    assert any(e["message"].startswith(f"removed image {reference} ({first[:12]}, ") for e in told)
    until(lambda: supervised.metric('podsupd_images_removed_total{reason="age"}') == 2, "its metric")
    life = witness.containers.get(f"{name}-step").attrs["Id"]

    supervised.write("p.yaml", text.format(name=name, deadline=6))
    registry.move(name, "bad")
    until(lambda: updates("Updating") == tried + 1, "the bad version tried")
    registry.stop()
    until(lambda: updates("RolledBack") == 1, "the bad version rolled back")
    supervised.wait_pod(name)
    until(lambda: image() == second, "the good version in place")
    until(lambda: supervised.condition(name, "ImagesChecked") == "False", "the registry away")
    until(lambda: updates("ImageCheckFailed"), "a word about it")
    assert (image(), image("proxy"), updates("Updating")) == (second, second, tried + 1)
    assert witness.containers.get(f"{name}-step").attrs["Id"] == life, "what was prepared is not prepared again"

    (supervised.manifests / "p.yaml").unlink()
    until(lambda: here() == {theirs}, "the images of a pod that is gone removed")
    cron = f"{name}-cron"
    until(lambda: supervised.pod(cron)["status"]["phase"] == "Succeeded", "a run of the CronJob")
    until(lambda: supervised.cli("logs", cron).stdout.strip() == "ran", "what it said")
    for run in supervised.events(cron, "JobStarted"):
        assert datetime.fromisoformat(run["time"]) >= datetime.fromisoformat(run["message"].split()[3])
