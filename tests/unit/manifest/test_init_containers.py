"""Init containers as they are written."""

from podsupd.manifest import parse
from podsupd.model.spec import RestartPolicy

TEXT = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  restartPolicy: Never
  initContainers:
  - {name: step, image: busybox, ports: [{name: http, containerPort: 80, hostPort: 8080}]}
  - {name: car, image: busybox, restartPolicy: Always, livenessProbe: {tcpSocket: {port: 1}}}
  containers:
  - {name: main, image: nginx, restartPolicy: OnFailure}
"""


def test_steps_and_sidecars_are_told_apart() -> None:
    """A sidecar is what Kubernetes calls one: an init container with restartPolicy Always."""
    (pod,) = parse(TEXT, "m.yaml").pods
    assert [c.name for c in pod.every] == ["step", "car", "main"]
    assert ([c.name for c in pod.steps], [c.name for c in pod.sidecars]) == (["step"], ["car"])
    assert [c.runtime_name for c in pod.lasting] == ["web-car", "web-main"]
    assert [pod.policy_of(c) for c in pod.every] == [
        RestartPolicy.NEVER,
        RestartPolicy.ALWAYS,
        RestartPolicy.ON_FAILURE,
    ]
    assert [p.name for p in pod.all_probes] == ["car/liveness"]
    assert [p.host_port for p in pod.published_ports] == [8080]


def test_a_step_is_retried_unless_the_pod_tries_nothing_twice() -> None:
    """Always means for a step: until it succeeds."""
    (pod,) = parse(TEXT.replace("restartPolicy: Never", "restartPolicy: Always"), "m.yaml").pods
    assert pod.policy_of(pod.steps[0]) is RestartPolicy.ON_FAILURE


def test_a_port_of_an_init_container_clashes_as_any_other() -> None:
    """The pod publishes it."""
    text = TEXT.replace("image: nginx", "image: nginx, ports: [{containerPort: 80, hostPort: 8080}]")
    (error,) = parse(text, "m.yaml").errors
    assert "8080/TCP is already published on line 7" in error.message
