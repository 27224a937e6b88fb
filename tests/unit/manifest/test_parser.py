"""Text in, specs out: defaults, documents, YAML's traps, and that nothing is ever raised."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.manifest import parse
from podsupd.manifest.documents import MAX_NODES, read
from podsupd.manifest.support import TABLE
from podsupd.model.spec import (
    BackoffSpec,
    ContainerSpec,
    ExecCommand,
    FailureAction,
    FailureStep,
    GrpcCheck,
    HttpExpect,
    HttpGet,
    Ladder,
    PodSpec,
    PortSpec,
    ProbeSpec,
    ProbeType,
    PullPolicy,
    Resources,
    RestartPolicy,
    Source,
    StopScope,
    StopSpec,
    StopStep,
    TcpSocket,
    Vantage,
)
from podsupd.model.volumes import EmptyDir, HostPath, VolumeMount, VolumeSpec

EXAMPLE = Path(__file__).parents[3] / "config" / "pods.d" / "my-shared-pod.yaml"


def only(text: str) -> PodSpec:
    """Return the one pod of a text without errors."""
    parsed = parse(text, "/pods.d/web.yaml")
    assert parsed.errors == ()
    (pod,) = parsed.pods
    return pod


def test_the_example_loads_without_a_warning_as_it_is_meant() -> None:
    """The first manifest that a new user sees is right in every field."""
    parsed = parse(EXAMPLE.read_text(encoding="utf-8"), "/pods.d/my-shared-pod.yaml")
    loop = "while true; do wget -O - http://localhost:80/ || echo 'failed'; sleep 5; done"
    server, client = "nginx-server", "busybox-client"
    page, fetch = HttpGet(80), ExecCommand(("wget", "-q", "-O", "-", "http://localhost:80"))
    curl, liveness, readiness = HttpGet(8080), ProbeType.LIVENESS, ProbeType.READINESS
    assert parsed.errors == ()
    assert parsed.warnings == ()
    assert parsed.pods == (
        PodSpec(
            name="my-shared-pod",
            source=Source("/pods.d/my-shared-pod.yaml", 9),
            labels={"app": "my-shared-pod"},
            share_process_namespace=True,
            grace_s=10.0,
            containers=(
                ContainerSpec(
                    name=server,
                    runtime_name=server,
                    image="docker.io/library/nginx:latest",
                    pull_policy=PullPolicy.IF_NOT_PRESENT,
                    ports=(PortSpec(80, name="http", host_port=8080),),
                    probes=(
                        ProbeSpec(f"{server}/liveness", liveness, Vantage.POD, page, server, period_s=10.0),
                        ProbeSpec(f"{server}/readiness", readiness, Vantage.POD, page, server, period_s=5.0),
                    ),
                ),
                ContainerSpec(
                    name=client,
                    runtime_name=client,
                    image="docker.io/library/busybox:latest",
                    pull_policy=PullPolicy.IF_NOT_PRESENT,
                    command=("sh", "-c", loop),
                    probes=(
                        ProbeSpec(f"{client}/liveness", liveness, Vantage.CONTAINER, fetch, client, 2.0, timeout_s=5.0),
                    ),
                ),
            ),
            probes=(
                ProbeSpec(
                    name="host-curl",
                    type=ProbeType.POLICY,
                    vantage=Vantage.HOST,
                    handler=curl,
                    period_s=5.0,
                    timeout_s=2.0,
                    on_failure=Ladder((FailureStep(FailureAction.RESTART_POD),)),
                ),
            ),
        ),
    )


def test_kubernetes_defaults_are_filled_in() -> None:
    """A manifest of six lines means here what it means in a cluster."""
    assert only(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n"
        "  - {name: a, image: nginx, livenessProbe: {httpGet: {port: 80}}}\n"
    ) == PodSpec(
        name="web",
        source=Source("/pods.d/web.yaml", 1),
        namespace="default",
        restart_policy=RestartPolicy.ALWAYS,
        grace_s=30.0,
        backoff=BackoffSpec(10.0, 300.0, 600.0, 5),
        containers=(
            ContainerSpec(
                name="a",
                runtime_name="web-a",
                image="docker.io/library/nginx:latest",
                pull_policy=PullPolicy.ALWAYS,
                probes=(
                    ProbeSpec("a/liveness", ProbeType.LIVENESS, Vantage.POD, HttpGet(80), "a", 0.0, 10.0, 1.0, 1, 3),
                ),
            ),
        ),
    )


EVERYTHING = """\
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {name: all}
spec:
  probes:
  - {name: by-name, from: Host, tcpSocket: {port: web}, onFailure: {restartContainer: a}, failureThreshold: 1}
  - {name: inside, exec: {container: a, command: [test, -f, /ok]}, onFailure: None}
  - {name: port, httpGet: {port: web, host: 127.0.0.1, path: ok, scheme: HTTPS}}
  - {name: health, grpc: {port: 50051, service: shop.Cart}}
  - {name: curl, from: Host, exec: {command: [curl, -fsS, "http://localhost:8080"]}}
  - name: answer
    httpGet: {port: 80}
    expect: {status: 200-299, bodyContains: ok, bodyMatches: "^o.$", maxBodyBytes: 100, withinSeconds: 0.5}
  - {name: moved, httpGet: {port: 80}, expect: {status: 301}}
  backoff: {initialSeconds: 0.5, maxSeconds: 2, resetSeconds: 60, recreateAfterFailures: 2}
  stop: {scope: All, sequence: [{signal: SIGTERM, seconds: 0}, {signal: SIGRTMIN+3, seconds: 0.0}]}
---
apiVersion: v1
kind: Pod
metadata: {name: all, annotations: {a/b: "1"}}
spec:
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: host, hostPath: {path: /srv, type: Directory}}
  - {name: tmp, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: bare}
  containers:
  - name: a
    image: busybox:1.36
    command: [sh]
    args: ["-c", "$(GREETING)"]
    workingDir: /srv
    env: [{name: A, value: "1"}, {name: EMPTY}, {name: A, value: "2"}]
    ports:
    - {name: web, containerPort: 80, hostPort: 8080, hostIP: 127.0.0.1, protocol: TCP}
    - {containerPort: 53, protocol: UDP, hostPort: 0}
    resources: {limits: {cpu: 0.5, memory: 64Mi}, requests: {memory: 32Mi}}
    volumeMounts: [{name: host, mountPath: /srv, readOnly: true}, {name: tmp, mountPath: /tmp}]
    startupProbe: {tcpSocket: {port: web}, failureThreshold: 30, periodSeconds: 0, terminationGracePeriodSeconds: 3}
    readinessProbe: {httpGet: {port: 80, httpHeaders: [{name: X, value: z}]}, successThreshold: 2}
    lifecycle: {stopSignal: SIGRTMAX-2}
    stdin: true
    tty: true
"""


def test_every_supported_field_arrives() -> None:
    """Nothing that the manifest says is lost on the way, wherever the policy stands in the file."""
    pod = only(EVERYTHING)
    (container,) = pod.containers
    startup, readiness = ProbeType.STARTUP, ProbeType.READINESS
    assert (pod.restart_policy, pod.grace_s, pod.annotations) == (RestartPolicy.ON_FAILURE, 0.0, {"a/b": "1"})
    assert pod.volumes == (
        VolumeSpec("host", HostPath("/srv", "Directory")),
        VolumeSpec("tmp", EmptyDir("Memory", 1 << 20)),
        VolumeSpec("bare", EmptyDir()),
    )
    assert pod.backoff == BackoffSpec(0.5, 2.0, 60.0, 2)
    assert pod.stop == StopSpec(StopScope.ALL, (StopStep("SIGTERM", 0.0), StopStep("SIGRTMIN+3", 0.0)))
    assert pod.probes == (
        ProbeSpec(
            name="by-name",
            type=ProbeType.POLICY,
            vantage=Vantage.HOST,
            handler=TcpSocket(8080),
            failure_threshold=1,
            on_failure=Ladder((FailureStep(FailureAction.RESTART_CONTAINER, "a"),)),
        ),
        ProbeSpec("inside", ProbeType.POLICY, Vantage.CONTAINER, ExecCommand(("test", "-f", "/ok")), "a"),
        ProbeSpec("port", ProbeType.POLICY, Vantage.POD, HttpGet(80, "/ok", "HTTPS", "127.0.0.1")),
        ProbeSpec("health", ProbeType.POLICY, Vantage.POD, GrpcCheck(50051, "shop.Cart")),
        ProbeSpec("curl", ProbeType.POLICY, Vantage.HOST, ExecCommand(("curl", "-fsS", "http://localhost:8080")), None),
        ProbeSpec(
            "answer",
            ProbeType.POLICY,
            Vantage.POD,
            HttpGet(80, expect=HttpExpect((200, 299), "ok", "^o.$", 100, 0.5)),
        ),
        ProbeSpec("moved", ProbeType.POLICY, Vantage.POD, HttpGet(80, expect=HttpExpect((301, 301)))),
    )
    assert container == ContainerSpec(
        name="a",
        runtime_name="all-a",
        image="docker.io/library/busybox:1.36",
        pull_policy=PullPolicy.IF_NOT_PRESENT,
        command=("sh",),
        args=("-c", "$(GREETING)"),
        working_dir="/srv",
        env=(("A", "1"), ("EMPTY", ""), ("A", "2")),
        ports=(PortSpec(80, "TCP", "web", 8080, "127.0.0.1"), PortSpec(53, "UDP")),
        mounts=(VolumeMount("host", "/srv", read_only=True), VolumeMount("tmp", "/tmp")),
        resources=Resources(500, 64 << 20, 500, 32 << 20),
        probes=(
            ProbeSpec(
                "a/readiness", readiness, Vantage.POD, HttpGet(80, headers=(("X", "z"),)), "a", success_threshold=2
            ),
            ProbeSpec("a/startup", startup, Vantage.POD, TcpSocket(80), "a", failure_threshold=30, grace_s=3.0),
        ),
        stop_signal="SIGRTMIN+28",
        stdin=True,
        tty=True,
    )


def test_a_variable_set_twice_is_a_warning() -> None:
    """The last value wins as in a cluster, and the slip is said."""
    (warning,) = parse(EVERYTHING, "all.yaml").warnings
    assert str(warning) == (
        'all.yaml:34: spec.containers[0].env[2].name: "A" is already set on line 34: the last value is used'
    )


def test_a_limit_of_zero_is_no_limit() -> None:
    """cpu: 0 does not starve a container."""
    pod = only(EVERYTHING.replace("{limits: {cpu: 0.5, memory: 64Mi}, requests: {memory: 32Mi}}", "{limits: {cpu: 0}}"))
    assert pod.containers[0].resources == Resources()


def test_json_with_tabs_is_taken_and_keeps_its_lines() -> None:
    """A manifest that a program wrote as JSON loads, and its errors have lines too."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "annotations": {"note": "\U0001f600 \\ /"}},
        "spec": {"containers": [{"name": "a", "image": "nginx"}]},
    }
    assert only(json.dumps(pod, indent="\t")).annotations == {"note": "\U0001f600 \\ /"}
    pod["spec"]["containers"][0]["images"] = "x"  # type: ignore[index]
    (error,) = parse(json.dumps(pod, indent="\t"), "web.json").errors
    assert (error.line, error.path) == (15, "spec.containers[0].images")


def test_a_byte_order_mark_and_windows_line_ends_are_taken() -> None:
    """A file saved by a Windows editor loads."""
    text = "\ufeff" + EXAMPLE.read_text(encoding="utf-8").replace("\n", "\r\n")
    assert only(text).name == "my-shared-pod"


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("yes", True),
        ("Off", False),
        ("y", True),
        ("yEs", "yEs"),
        ("~", None),
        ("", None),
        ("0755", 0o755),
        ("0o17", 0o17),
        ("0x1F", 31),
        ("0b11", 3),
        ("-12", -12),
        ("1_000", 1000),
        ("08", 8),
        ("1e3", 1000),
        ("1.5", 1.5),
        ("1.0", 1),
        (".5", 0.5),
        ("8080:80", "8080:80"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        ("1.2.3", "1.2.3"),
        ("9" * 50, float("9" * 50)),
        ("'yes'", "yes"),
        ("!!str 8080", "8080"),
        ("!!int '12'", 12),
        ("<<", "<<"),
    ],
)
def test_a_scalar_is_what_kubernetes_takes_it_for(plain: str, value: object) -> None:
    """YAML's traps are the same ones as in a cluster, so that a manifest means one thing everywhere."""
    documents, problems = read(f"a: {plain}\n", "x")
    assert problems == []
    found = documents[0].value["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text_as_in_json() -> None:
    """A label key that looks like a number or a boolean is still a key."""
    assert read("1: a\non: b\n0x10: c\n", "x")[0][0].value == {"1": "a", "true": "b", "16": "c"}


def test_anchors_and_merges_are_expanded() -> None:
    """Two containers can share their common part, as in a cluster."""
    text = "a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc: {<<: [{p: 9}, *a]}\n"
    assert read(text, "x")[0][0].value == {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}, "c": {"p": 9, "q": 2}}


def test_an_alias_bomb_is_refused_at_once() -> None:
    """Nine lines of aliases cannot eat the memory of the box."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    (problem,) = read(bomb, "x")[1]
    assert problem.message == f"more than {MAX_NODES} values with its aliases expanded: split the file"


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000 + "a"])
def test_deep_nesting_is_refused(text: str) -> None:
    """A hostile file is an error in the file, not a crash of the daemon."""
    (problem,) = read(text, "x")[1]
    assert problem.message == "the values are nested too deeply: no Pod needs that"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a: "x\\0"', "a string contains a NUL character, which no process can be given: remove it"),
        ("? [a]\n: b", "a key must be a plain word: quote it"),
        ("~: b", "a key is missing before the colon: write it"),
        ("a: {<<: 1}", "<< merges mappings only: write the keys out"),
        ("a: !!int x", "the value 'x' does not fit its tag: remove the tag"),
        ("a: !!binary eA==", "the tag !!binary is not supported: remove the tag"),
        ("a: !!set {x}", "the tag !!set is not supported: remove the tag"),
    ],
)
def test_what_json_has_no_word_for_is_refused(text: str, message: str) -> None:
    """YAML's odd corners are named instead of guessed at."""
    (problem,) = read(text, "x")[1]
    assert problem.message == message


names = st.sampled_from(sorted({field for rows in TABLE.values() for field in rows} | set(TABLE)))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | names
values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(names | st.text(), v, max_size=5))
pods = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from(["v1", "podsupd.io/v1"]) | scalars,
        "kind": st.sampled_from(["Pod", "PodPolicy"]) | scalars,
        "metadata": st.fixed_dictionaries({"name": st.just("web") | values}) | values,
        "spec": st.dictionaries(st.sampled_from([*TABLE["PodSpec"], *TABLE["PodPolicySpec"]]), values) | values,
    }
)


@given(st.text() | st.text(alphabet="{}[]:-#&*!|>'\"%@`?, \n\tab\\0U~<"))
def test_parse_never_raises_on_any_text(text: str) -> None:
    """Whatever bytes end up in the directory, the daemon goes on and says what is wrong."""
    parsed = parse(text, "x.yaml")
    assert parsed.errors
    assert parsed.pods == ()


@given(st.lists(pods, max_size=3))
def test_parse_never_raises_on_any_document(documents: list[object]) -> None:
    """A document of the right outline with anything inside is an error or a pod, never a crash."""
    parsed = parse("\n---\n".join(json.dumps(document) for document in documents), "x.yaml")
    assert bool(parsed.errors) != bool(parsed.pods)


@given(st.data())
def test_parse_never_raises_on_a_damaged_manifest(data: st.DataObject) -> None:
    """A manifest cut off or overwritten in the middle is an error or another valid manifest, never a crash."""
    start = data.draw(st.integers(0, len(EVERYTHING)))
    end = data.draw(st.integers(start, min(len(EVERYTHING), start + 40)))
    parsed = parse(EVERYTHING[:start] + data.draw(st.text(max_size=5)) + EVERYTHING[end:], "x.yaml")
    assert bool(parsed.errors) != bool(parsed.pods)


@pytest.mark.parametrize(
    ("shared", "stop", "says"),
    [
        (True, "{sequence: [{signal: SIGTERM, seconds: 20}, {signal: SIGINT, seconds: 11}]}", "takes 31 s"),
        (True, "{sequence: [{signal: SIGTERM, seconds: 20}, {signal: SIGINT, seconds: 10}]}", ""),
        (False, "{scope: Container}", "use All"),
        (False, "{scope: All}", ""),
        (True, "{scope: Container}", ""),
    ],
)
def test_a_stop_that_the_pod_overrules_is_a_warning(*, shared: bool, stop: str, says: str) -> None:
    """Whoever stages a stop learns beforehand which part of it can never happen."""
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
        f"spec: {{shareProcessNamespace: {str(shared).lower()}, containers: [{{name: c, image: i}}]}}\n"
        f"---\napiVersion: podsupd.io/v1\nkind: PodPolicy\nmetadata: {{name: p}}\nspec: {{stop: {stop}}}\n"
    )
    parsed = parse(text, "p.yaml")
    assert parsed.errors == ()
    assert len(parsed.warnings) == (1 if says else 0)
    assert all(says in str(warning) for warning in parsed.warnings)
