"""The table of edits: a pod, one change of its file at a time, and the smallest action that takes it there.

Shown in memory for every row (test_edits.py), and on real Podman (tests/e2e/test_edit_table.py): so the commands are
real ones. Images, host paths and host ports are replaced there by what the host has.
"""

from typing import Any

import yaml

BASE = """
- apiVersion: v1
  kind: Pod
  metadata: {name: p, labels: {app: a}, annotations: {note: n}}
  spec:
    shareProcessNamespace: true
    terminationGracePeriodSeconds: 3
    initContainers:
    - {name: step, image: "busybox:1", command: ["true"]}
    - name: car
      image: "busybox:1"
      restartPolicy: Always
      command: &idle [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    volumes:
    - {name: data, hostPath: {path: /srv/data, type: Directory}}
    - {name: scratch, emptyDir: {}}
    containers:
    - name: web
      image: "busybox:1"
      command: [sh, -c, "exec httpd -f -p 80 -h /etc"]
      args: [-v]
      workingDir: /tmp
      env: [{name: A, value: "1"}, {name: B, valueFrom: {configMapKeyRef: {name: conf, key: b}}}]
      ports: [{name: http, containerPort: 80, hostPort: 8080}]
      resources: {limits: {cpu: 500m, memory: 64Mi}}
      volumeMounts: [{name: data, mountPath: /data}, {name: scratch, mountPath: /scratch}]
      livenessProbe: {httpGet: {path: /hostname, port: http}}
      readinessProbe: {tcpSocket: {port: 80}}
      lifecycle: {preStop: {exec: {command: ["true"]}}}
    - {name: client, image: "busybox:1", command: *idle}
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
    (f"{SPEC}.terminationGracePeriodSeconds", 2, NONE),
    (f"{SPEC}.restartPolicy", "OnFailure", NONE),
    (f"{WEB}.livenessProbe.periodSeconds", 3, NONE),
    (f"{WEB}.livenessProbe.httpGet.path", "/hosts", NONE),
    (f"{WEB}.livenessProbe", GONE, NONE),
    (f"{WEB}.readinessProbe.tcpSocket.port", 81, NONE),
    (f"{WEB}.startupProbe", {"exec": {"command": ["true"]}}, NONE),
    (f"{WEB}.lifecycle.preStop", {"exec": {"command": ["sync"]}}, NONE),
    (f"{WEB}.lifecycle.postStart", {"exec": {"command": ["sync"]}}, NONE),
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
    (f"{WEB}.image", "busybox:2", "replace web"),
    (f"{WEB}.command", ["sh", "-c", "exec httpd -fv -p 80 -h /etc"], "replace web"),
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
    (f"{CLIENT}.command", ["sleep", "100000"], "replace client"),
    (f"{CAR}.image", "busybox:2", "replace car"),
    (f"{CAR}.env", [{"name": "X", "value": "1"}], "replace car"),
    (f"{SPEC}.containers.2", {"name": "third", "image": "busybox:1", "command": ["sleep", "100000"]}, "add third"),
    (f"{SPEC}.containers.1", GONE, "remove client"),
    (f"{SPEC}.initContainers.1", GONE, "remove car"),
    # What all of them share, or what has to be prepared again.
    (f"{WEB}.ports.0.hostPort", 9090, POD),
    (f"{WEB}.ports.0.hostPort", GONE, POD),
    (f"{CLIENT}.ports", [{"containerPort": 99, "hostPort": 99}], POD),
    (f"{SPEC}.shareProcessNamespace", False, POD),
    (f"{SPEC}.hostname", "other", POD),
    (f"{SPEC}.hostAliases", [{"ip": "10.0.0.1", "hostnames": ["db"]}], POD),
    (f"{STEP}.command", ["true", "more"], POD),
    (f"{STEP}.image", "busybox:2", POD),
    (f"{SPEC}.initContainers.0", GONE, POD),
]


def documents(path: str = "", value: Any = None) -> list[Any]:
    """Return the file's documents, after an edit of one field if there is one."""
    made: list[Any] = yaml.safe_load(BASE)
    if not path:
        return made
    holder: Any = made
    *way, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    for step in way:
        holder = holder[step]
    if value is GONE:
        del holder[last]
    elif isinstance(holder, list) and last == len(holder):
        holder.append(value)
    else:
        holder[last] = value
    return made
