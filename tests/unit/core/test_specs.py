"""A spec as text and back."""

from dataclasses import replace
from pathlib import Path

import pytest
from core.world import POD

from podsupd.core.references import attached
from podsupd.core.specs import dump, fingerprint, load
from podsupd.manifest import parse
from podsupd.model.spec import Source

RICH = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {a: b}, annotations: {c: d}}
spec:
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 7
  shareProcessNamespace: true
  securityContext: {runAsUser: 5, supplementalGroups: [1, 2], sysctls: [{name: net.core.somaxconn, value: "9"}]}
  initContainers:
  - {name: step, image: busybox}
  - {name: car, image: busybox, restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}}
  volumes:
  - {name: a, hostPath: {path: /srv, type: Directory}}
  - {name: b, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  containers:
  - name: main
    image: nginx:1
    ports: [{name: http, containerPort: 80, hostPort: 8080}]
    env:
    - {name: A, value: "1"}
    - {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: C, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}
    - {name: D, valueFrom: {secretKeyRef: {name: keys, key: token}}}
    resources: {limits: {cpu: 500m, memory: 64Mi}}
    volumeMounts: [{name: a, mountPath: /a, readOnly: true}, {name: b, mountPath: /b}]
    livenessProbe: {httpGet: {port: http, path: /x, httpHeaders: [{name: H, value: v}]}}
    readinessProbe: {exec: {command: ["true"]}}
    lifecycle: {postStart: {sleep: {seconds: 1}}, preStop: {httpGet: {port: 80}}, stopSignal: SIGQUIT}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {token: /wD+}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {name: web}
spec:
  after: [db]
  update: {minHealthySeconds: 3}
  stop: {scope: All, sequence: [{signal: SIGINT, seconds: 2}]}
  probes:
  - {name: host, from: Host, tcpSocket: {port: 8080}, onFailure: RestartPod}
  - {name: in, exec: {container: main, command: ["true"]}, onFailure: {restartContainer: main}}
"""
PARSED = parse(RICH, "/d/web.yaml")
SPEC = attached(PARSED.pods[0], {(o.kind, o.name): o for o in PARSED.objects})


@pytest.mark.parametrize("spec", [SPEC, POD])
def test_a_spec_survives_being_written(spec: object) -> None:
    """What is rolled back to is exactly what ran: every kind of volume, probe and value keeps its kind."""
    assert load(dump(spec)) == spec  # type: ignore[arg-type]


def test_a_spec_of_a_later_release_is_read_as_far_as_it_is_known() -> None:
    """A field that this release does not know is passed over, one that it adds has its default."""
    text = dump(POD).replace('"grace_s":30.0', '"grace_of_tomorrow":1')
    assert load(text) == POD


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"is":"Nothing"}', '{"is":"PodSpec"}', '{"is":"StopSpec"}'])
def test_what_cannot_be_read_is_nothing(text: str) -> None:
    """A damaged memory costs the way back, not the daemon."""
    assert load(text) is None


def test_a_fingerprint_tells_any_change_but_that_of_the_place() -> None:
    """A renamed file or a comment is no new version; a changed probe, secret or label is."""
    assert fingerprint(SPEC) == fingerprint(replace(SPEC, source=Source(str(Path("/other")), 9)))
    (secret,) = SPEC.objects
    changed = [
        replace(SPEC, labels={}),
        replace(SPEC, objects=(replace(secret, data={"token": b"x"}),)),
        replace(SPEC, containers=(replace(SPEC.containers[0], probes=()),)),
    ]
    assert len({fingerprint(s) for s in [SPEC, *changed]}) == 4


def test_a_later_release_gives_a_spec_the_same_fingerprint() -> None:
    """A field that is added with a default runs no job again and tries no failed version again."""
    assert fingerprint(PARSED.pods[0]) == "483c42e803d21559"
