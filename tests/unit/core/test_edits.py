"""Edits of a pod that runs, and the smallest action that each takes: what had to stay untouched did."""

import json
from typing import Any

import pytest
import yaml
from core.world import World

from podsupd.core.references import attached
from podsupd.manifest import parse
from podsupd.model.observed import Incarnation
from podsupd.model.plan import CreateContainer, CreatePod, ImageFact, ImageState, UpdateContainer
from podsupd.model.spec import PodSpec

BASE = """
- apiVersion: v1
  kind: Pod
  metadata: {name: p, labels: {app: a}, annotations: {note: n}}
  spec:
    shareProcessNamespace: true
    terminationGracePeriodSeconds: 20
    initContainers:
    - {name: step, image: "busybox:1", command: [prepare]}
    - {name: car, image: "busybox:1", restartPolicy: Always, command: [proxy]}
    volumes:
    - {name: data, hostPath: {path: /srv/data, type: Directory}}
    - {name: scratch, emptyDir: {}}
    containers:
    - name: web
      image: nginx:1
      command: [serve]
      args: [-v]
      workingDir: /www
      env: [{name: A, value: "1"}, {name: B, valueFrom: {configMapKeyRef: {name: conf, key: b}}}]
      ports: [{name: http, containerPort: 80, hostPort: 8080}]
      resources: {limits: {cpu: 500m, memory: 64Mi}}
      volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]
      livenessProbe: {httpGet: {port: http}}
      readinessProbe: {tcpSocket: {port: 80}}
      lifecycle: {preStop: {sleep: {seconds: 1}}}
    - {name: client, image: "busybox:1", command: [ask]}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: conf}
  data: {b: "2", unused: x}
- apiVersion: podsupd.io/v1
  kind: PodPolicy
  metadata: {name: p}
  spec: {backoff: {initialSeconds: 5}}
"""
SPEC, META, CONF, POLICY = "0.spec", "0.metadata", "1", "2.spec"
WEB, CLIENT, STEP, CAR = (
    f"{SPEC}.containers.0",
    f"{SPEC}.containers.1",
    f"{SPEC}.initContainers.0",
    f"{SPEC}.initContainers.1",
)
GONE = object()

NONE, POD = "none", "replace the pod"
ROWS: list[tuple[str, Any, str]] = [
    # What is only said, or only ours to do: nothing is touched.
    (f"{META}.labels.app", "b", NONE),
    (f"{META}.labels.new", "x", NONE),
    (f"{META}.annotations.note", "m", NONE),
    (f"{META}.annotations.note", GONE, NONE),
    (f"{SPEC}.terminationGracePeriodSeconds", 5, NONE),
    (f"{SPEC}.restartPolicy", "OnFailure", NONE),
    (f"{WEB}.livenessProbe.periodSeconds", 3, NONE),
    (f"{WEB}.livenessProbe.httpGet.path", "/health", NONE),
    (f"{WEB}.livenessProbe", GONE, NONE),
    (f"{WEB}.readinessProbe.tcpSocket.port", 81, NONE),
    (f"{WEB}.startupProbe", {"exec": {"command": ["true"]}}, NONE),
    (f"{WEB}.lifecycle.preStop", {"exec": {"command": ["quit"]}}, NONE),
    (f"{WEB}.lifecycle.postStart", {"exec": {"command": ["hello"]}}, NONE),
    (f"{WEB}.lifecycle.stopSignal", "SIGQUIT", NONE),
    (f"{WEB}.lifecycle", GONE, NONE),
    (f"{WEB}.imagePullPolicy", "Never", NONE),
    (f"{WEB}.restartPolicy", "OnFailure", NONE),
    (f"{CLIENT}.ports", [{"containerPort": 99}], NONE),
    (f"{CONF}.data.unused", "y", NONE),
    (f"{SPEC}.volumes.2", {"name": "spare", "emptyDir": {}}, NONE),
    (f"{POLICY}.backoff.initialSeconds", 7, NONE),
    (f"{POLICY}.backoff", GONE, NONE),
    (f"{POLICY}.stop", {"scope": "All"}, NONE),
    (f"{POLICY}.after", ["other"], NONE),
    (f"{POLICY}.update", {}, NONE),
    (f"{POLICY}.probes", [{"name": "host", "from": "Host", "tcpSocket": {"port": 8080}}], NONE),
    # What the kernel takes while a container runs.
    (f"{WEB}.resources.limits.memory", "128Mi", "update web"),
    (f"{WEB}.resources.limits.cpu", "1", "update web"),
    (f"{WEB}.resources.requests", {"cpu": "100m"}, "update web"),
    (f"{WEB}.resources", GONE, "update web"),
    (f"{CLIENT}.resources", {"limits": {"memory": "32Mi"}}, "update client"),
    (f"{CAR}.resources", {"limits": {"memory": "32Mi"}}, "update car"),
    # What one container is made of: that one is replaced, its neighbours and its namespaces stay.
    (f"{WEB}.image", "nginx:2", "replace web"),
    (f"{WEB}.command", ["serve", "better"], "replace web"),
    (f"{WEB}.args", GONE, "replace web"),
    (f"{WEB}.workingDir", "/", "replace web"),
    (f"{WEB}.env.0.value", "2", "replace web"),
    (f"{WEB}.env.2", {"name": "C", "value": "3"}, "replace web"),
    (f"{CONF}.data.b", "3", "replace web"),
    (f"{WEB}.volumeMounts.0.mountPath", "/other", "replace web"),
    (f"{WEB}.volumeMounts.0.readOnly", True, "replace web"),
    (f"{WEB}.volumeMounts.1", GONE, "replace web"),
    (f"{SPEC}.volumes.0.hostPath.path", "/srv/other", "replace web"),
    (f"{SPEC}.volumes.1.emptyDir", {"medium": "Memory"}, "replace web"),
    (f"{WEB}.tty", True, "replace web"),
    (f"{WEB}.stdin", True, "replace web"),
    (f"{WEB}.securityContext", {"readOnlyRootFilesystem": True}, "replace web"),
    (f"{CLIENT}.command", ["ask", "again"], "replace client"),
    (f"{CAR}.image", "busybox:2", "replace car"),
    (f"{CAR}.env", [{"name": "X", "value": "1"}], "replace car"),
    (f"{SPEC}.containers.2", {"name": "third", "image": "busybox:1"}, "add third"),
    (f"{SPEC}.containers.1", GONE, "remove client"),
    (f"{SPEC}.initContainers.1", GONE, "remove car"),
    # What all of them share, or what has to be prepared again.
    (f"{WEB}.ports.0.hostPort", 9090, POD),
    (f"{WEB}.ports.0.hostPort", GONE, POD),
    (f"{CLIENT}.ports", [{"containerPort": 99, "hostPort": 99}], POD),
    (f"{SPEC}.shareProcessNamespace", False, POD),
    (f"{SPEC}.hostname", "other", POD),
    (f"{SPEC}.hostAliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}], POD),
    (f"{STEP}.command", ["prepare", "more"], POD),
    (f"{STEP}.image", "busybox:2", POD),
    (f"{SPEC}.initContainers.0", GONE, POD),
]


def edited(path: str, value: Any) -> PodSpec:
    """Return the pod after an edit of one field, read as the daemon would read it."""
    documents = yaml.safe_load(BASE)
    holder: Any = documents
    *way, last = [int(s) if s.isdigit() else s for s in path.split(".")] if path else [0]
    for step in way:
        holder = holder[step]
    if value is GONE:
        del holder[last]
    elif isinstance(holder, list) and last == len(holder):
        holder.append(value)
    elif path:
        holder[last] = value
    parsed = parse("\n---\n".join(map(json.dumps, documents)), "/d/p.yaml")
    assert not parsed.errors
    return attached(parsed.pods[0], {(o.kind, o.name): o for o in parsed.objects})


def lives(world: World) -> dict[str, Incarnation]:
    """Map containers, infra as the empty name, to their lives."""
    assert world.seen is not None
    assert world.seen.infra is not None
    return {"": world.seen.infra.incarnation} | {
        c.label("podsupd.io/container"): c.incarnation for c in world.seen.containers
    }


def running() -> World:
    """Return a world whose pod runs as the base says."""
    images = {
        name: ImageFact(ImageState.PRESENT, f"id-{name}", pulled_at=1.0)
        for name in (f"docker.io/library/{n}" for n in ("nginx:1", "nginx:2", "busybox:1", "busybox:2"))
    }
    world = World(want=edited("", None), images=images, codes={"step": 0})
    world.settle()
    world.done.clear()
    return world


@pytest.mark.parametrize(("path", "value", "action"), ROWS, ids=[f"{p}-{n}" for n, (p, _, _) in enumerate(ROWS)])
def test_an_edit_takes_the_smallest_action(path: str, value: Any, action: str) -> None:
    """Planned and taken are the same; whatever the edit did not mean kept its id and its start time."""
    world = running()
    before = lives(world)
    world.facts = type(world.facts)("me", after={"other": ""})
    world.want = edited(path, value)
    why = world.plan().why
    world.settle()
    after = lives(world)
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    made = [a.container.name for a in world.done if isinstance(a, CreateContainer)]
    updated = [a.container for a in world.done if isinstance(a, UpdateContainer)]
    pods = [a for a in world.done if isinstance(a, CreatePod)]
    verb, _, name = action.partition(" ")
    if action == POD:
        assert pods
        assert touched >= set(before)
        assert why.startswith(("changed: ", "it shares"))
        return
    assert not pods
    assert touched == ({name} if verb in {"replace", "add", "remove"} else set())
    assert made == ([name] if verb in {"replace", "add"} else [])
    assert updated == ([name] if verb == "update" else [])
    assert ("changed: " in why) == (verb in {"replace", "update"})
    assert world.settle().settled


def test_the_table_is_long_enough() -> None:
    """Fifty edits and more, of every kind."""
    assert len(ROWS) >= 50
    assert {action.split(" ")[0] for _, _, action in ROWS} == {"none", "update", "replace", "add", "remove"}


def test_limits_are_set_again_after_every_start() -> None:
    """Podman starts a container with the limits of its creation: a crash does not lose what was edited since."""
    world = running()
    world.want = edited(f"{WEB}.resources.limits.memory", "128Mi")
    world.settle()
    world.done.clear()
    world.crash("web")
    world.settle()
    assert [type(a).__name__ for a in world.done] == ["StartContainer", "UpdateContainer"]
    world.want = edited("", None)
    world.settle()
    assert [type(a).__name__ for a in world.done][2:] == ["UpdateContainer"]
    world.crash("web")
    world.settle()
    assert [type(a).__name__ for a in world.done][3:] == ["StartContainer"]


def test_limits_that_the_kernel_refuses_are_tried_again_and_shown() -> None:
    """A memory limit below what is used is not there at once; the container goes on."""
    world = running()
    world.want = edited(f"{WEB}.resources.limits.memory", "1Mi")
    (action,) = world.turn(limit=0).actions
    world.refuse(action, "device or resource busy")
    made = world.turn()
    assert made.waiting["web"] == ("UpdateContainerError", "device or resource busy")
    assert made.wake_at is not None
    world.now = made.wake_at
    world.settle()
    assert world.settle().settled
