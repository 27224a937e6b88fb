"""The corpus on a real Podman: what each manifest says is true inside its running containers."""

import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.conftest import clean
from e2e.harness import PATIENCE, Daemon, podman, until

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(path.name for path in CORPUS.glob("*.yaml"))
MARK = "-- corpus check --"
LOOP = "trap 'exit 0' TERM; while :; do sleep 1; done"


@dataclass
class Corpus:
    """The daemon over the whole corpus. prefix: of all names; folder: a directory of the host for the pods."""

    daemon: Daemon
    prefix: str
    folder: Path

    def text(self, name: str) -> str:
        """Return a file of the corpus with this run's names."""
        return (CORPUS / name).read_text().replace("corpus-", self.prefix).replace("/corpus/", f"{self.folder}/")

    def documents(self, name: str) -> list[Any]:
        """Return the documents of a file."""
        return list(yaml.safe_load_all(self.text(name)))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """Start everything at once, in one daemon."""
    root = tmp_path_factory.mktemp("corpus")
    prefix = f"c{uuid.uuid4().hex[:6]}-"
    folder = root / "host"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "hello").write_text("hello\n")
    made = Corpus(Daemon(root / "d"), prefix, folder)
    for name in FILES:
        made.daemon.write(name, made.text(name))
    try:
        made.daemon.start()
        yield made
    finally:
        clean([made.daemon])
        shutil.rmtree(folder, ignore_errors=True)


def checks(text: str) -> list[tuple[str, str, str]]:
    """Return (command, ``=>`` or ``=~``, expected) for each line of an annotation."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"(.*?) (=>|=~) ?(.*)", line)
        assert match, line
        found.append((match[1], match[2], match[3]))
    return found


def run_in(container: str, commands: list[str]) -> list[str]:
    """Run the commands in one exec; return what each printed."""
    script = f"\necho '{MARK}'\n".join(f"( {command}\n) 2>&1" for command in commands)
    done = subprocess.run(
        ["podman", "exec", container, "sh", "-c", script],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60 * PATIENCE,
    )  # fmt: skip
    printed = done.stdout.split(f"{MARK}\n")
    assert len(printed) == len(commands), f"{container}: {done.stdout}{done.stderr}"
    return [text.strip() for text in printed]


@pytest.mark.parametrize("name", FILES)
def test_what_a_manifest_says_is_true_inside(corpus: Corpus, name: str) -> None:
    """Each field of the corpus does in the container what Kubernetes' page of it says."""
    for document in corpus.documents(name):
        metadata = document["metadata"]
        asked = {
            key.removeprefix("check/"): checks(value)
            for key, value in (metadata.get("annotations") or {}).items()
            if key.startswith("check/")
        }
        if document["kind"] != "Pod" or not asked:
            continue
        pod = corpus.daemon.wait_pod(metadata["name"])
        names = {c["name"]: c["runtimeName"] for c in pod["podsupd"]["containers"]}
        wrong = []
        for container, lines in asked.items():
            printed = run_in(names[container], [command for command, _, _ in lines])
            for (command, how, expected), got in zip(lines, printed, strict=True):
                fits = re.fullmatch(expected, got) if how == "=~" else got == expected.strip()
                if not fits:
                    wrong.append(f"{container}: {command}: wanted {expected!r}, got {got!r}")
        assert not wrong, "\n".join([metadata["name"], *wrong])


def refused(corpus: Corpus, name: str, spec: str) -> tuple[str, str]:
    """Declare a pod that cannot be as it says, and return reason and message of what its container waits for."""
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: corpus-{name}}}\nspec:\n"
    text += "  containers:\n  - name: main\n    image: docker.io/library/busybox:latest\n"
    text += "    imagePullPolicy: IfNotPresent\n    command: [sleep, '1000']\n"
    text = (text + "".join(f"    {line}\n" for line in spec.splitlines())).replace("corpus-", corpus.prefix)
    corpus.daemon.write(f"{name}.yaml", text)

    def waits() -> Any:
        state = corpus.daemon.container(f"{corpus.prefix}{name}", "main")["state"]
        return state if state.get("waiting", {}).get("message", "").startswith(("cannot", "config")) else None

    waiting = until(waits, f"{name} refused; log {corpus.daemon.tail()}")["waiting"]
    return waiting["reason"], waiting["message"]


@pytest.mark.parametrize(
    ("name", "spec", "reason", "message"),
    [
        ("root", "securityContext: {runAsNonRoot: true}", "CreateContainerConfigError", "its image will run as root"),
        ("nocap", "securityContext: {capabilities: {add: [NOPE]}}", "CreateContainerError", "unknown capability"),
        ("nomap", "envFrom: [{configMapRef: {name: corpus-no}}]", "CreateContainerConfigError", "not found"),
    ],
)
def test_what_cannot_be_is_said_and_tried_again(
    corpus: Corpus, name: str, spec: str, reason: str, message: str
) -> None:
    """A container that cannot be made as its manifest says is not made otherwise, and its status says why."""
    told = refused(corpus, name, spec)
    assert told[0] == reason
    assert message in told[1]


def test_a_changed_config_map_reaches_files_in_place_and_variables_by_a_new_container(corpus: Corpus) -> None:
    """An edit of a ConfigMap is in the files of a running container a moment later; what has it in env is made anew."""
    daemon, prefix = corpus.daemon, corpus.prefix
    texts = {
        "live-map.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: corpus-live}\ndata: {word: one}\n",
        "live.yaml": f"""
apiVersion: v1
kind: Pod
metadata: {{name: corpus-live}}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{{name: v, configMap: {{name: corpus-live}}}}]
  containers:
  - name: files
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "{LOOP}"]
    volumeMounts: [{{name: v, mountPath: /v}}]
  - name: variables
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "{LOOP}"]
    envFrom: [{{configMapRef: {{name: corpus-live}}}}]
""",
    }
    for name, text in texts.items():
        daemon.write(name, text.replace("corpus-", prefix))
    pod = f"{prefix}live"
    daemon.wait_pod(pod)
    before = daemon.container(pod, "files")["containerID"]
    assert run_in(f"{pod}-files", ["cat /v/word"]) == ["one"]
    daemon.write("live-map.yaml", texts["live-map.yaml"].replace("corpus-", prefix).replace("one", "two"))
    until(lambda: run_in(f"{pod}-files", ["cat /v/word"]) == ["two"], "the new file")
    until(lambda: run_in(f"{pod}-variables", ["echo $word"]) == ["two"], "the new variable")
    assert daemon.container(pod, "files")["containerID"] == before
    assert daemon.container(pod, "files")["restartCount"] == 0
    daemon.wait_pod(pod)
    (daemon.manifests / "live-map.yaml").unlink()
    until(lambda: any("not found" in w["message"] for w in warnings(corpus, "live.yaml")), "the warning")
    assert run_in(f"{pod}-files", ["cat /v/word"]) == ["two"]
    assert daemon.ready(pod)


def warnings(corpus: Corpus, name: str) -> list[Any]:
    """Return the warnings on a file."""
    files = corpus.daemon.get("/v1/config").json["files"]
    return next(list(f["warnings"]) for f in files if f["path"].endswith(f"/{name}"))


def test_last_words_are_the_message_of_a_death(corpus: Corpus) -> None:
    """What a program leaves at terminationMessagePath is in its status, and else, if so asked, the end of its log."""
    text = """
apiVersion: v1
kind: Pod
metadata: {name: corpus-words}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: file
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    terminationMessagePath: /tmp/why
    command: [sh, -c, "echo -n 'no more work' > /tmp/why"]
  - name: log
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    terminationMessagePolicy: FallbackToLogsOnError
    command: [sh, -c, "echo first; echo last; exit 3"]
  - name: default
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo -n gone > /dev/termination-log; exit 4"]
""".replace("corpus-", corpus.prefix)
    corpus.daemon.write("words.yaml", text)

    def message(container: str) -> str:
        state = corpus.daemon.container(f"{corpus.prefix}words", container)["state"]
        return str(state["terminated"]["message"])

    until(lambda: message("file") == "no more work", "the words of file")
    until(lambda: message("log") == "first\nlast", "the end of the log")
    until(lambda: message("default") == "gone", "the words at the default path")


def test_secrets_stay_where_they_belong(corpus: Corpus) -> None:
    """Neither the API, nor the log, nor history or a label has a Secret's value, and its files are root's alone."""
    pod = corpus.daemon.wait_pod(f"{corpus.prefix}files")
    folder = corpus.daemon.root / "volumes"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{corpus.prefix}files" / "secret" / "hidden").read_text() == "hunter2-hidden"
    corpus.daemon.wait_pod(f"{corpus.prefix}envfrom")
    assert run_in(f"{corpus.prefix}envfrom-main", ["echo $HIDDEN"]) == ["hunter2-hidden"]
    shown = [corpus.daemon.get(path).text for path in ("/v1/pods", "/v1/config", "/v1/events", "/v1/plan")]
    labels = podman("inspect", "--format", "{{.Config.Labels}}", f"{corpus.prefix}envfrom-main")
    history = b"".join(path.read_bytes() for path in corpus.daemon.state.glob("history.db*")).decode("latin-1")
    for secret in ("hunter2-hidden", "aHVudGVyMi1oaWRkZW4"):
        assert not any(secret in text for text in [*shown, labels, history, corpus.daemon.log.read_text()])
    assert pod["spec"]["volumes"][2] == {
        "name": "secret", "secret": {"secretName": f"{corpus.prefix}login", "defaultMode": 0o600},
    }  # fmt: skip


def test_a_claim_outlives_its_pod_and_files_do_not(corpus: Corpus) -> None:
    """A removed pod leaves the data of its claims, and nothing of its Secrets."""
    name = f"{corpus.prefix}keeper"
    text = f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 1
  volumes:
  - {{name: claim, persistentVolumeClaim: {{claimName: {name}}}}}
  - {{name: secret, secret: {{secretName: {corpus.prefix}login}}}}
  containers:
  - name: main
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "echo kept > /claim/x; {LOOP}"]
    volumeMounts: [{{name: claim, mountPath: /claim}}, {{name: secret, mountPath: /secret}}]
"""
    path = corpus.daemon.write("keeper.yaml", text)
    corpus.daemon.wait_pod(name)
    folder = corpus.daemon.root / "volumes" / name
    assert folder.exists()
    path.unlink()
    until(lambda: not podman("pod", "ps", "-q", "--filter", f"name={name}"), "the pod gone")
    assert not folder.exists()
    mountpoint = podman("volume", "inspect", "--format", "{{.Mountpoint}}", name)
    assert (Path(mountpoint) / "x").read_text() == "kept\n"


def test_files_are_there_again_after_a_reboot(corpus: Corpus) -> None:
    """A reboot empties /run: the files are written before a container that mounts them is started again."""
    daemon, pod = corpus.daemon, f"{corpus.prefix}fsgroup"
    daemon.wait_pod(pod)
    before = daemon.container(pod, "main")["containerID"]
    daemon.stop()
    podman("kill", f"{pod}-main")
    podman("wait", f"{pod}-main")
    shutil.rmtree(daemon.root / "volumes" / pod)
    daemon.start()
    until(lambda: daemon.ready(pod) and run_in(f"{pod}-main", ["cat /secret/password"]) == ["s3cret"], "it again")
    assert daemon.container(pod, "main")["containerID"] == before
