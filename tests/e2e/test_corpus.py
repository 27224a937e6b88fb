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
from e2e.harness import Daemon, until

CORPUS = Path(__file__).parents[1] / "corpus"
FILES = sorted(path.name for path in CORPUS.glob("*.yaml"))
MARK = "-- corpus check --"


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
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
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
        pod = corpus.daemon.wait_pod(metadata["name"], 90)
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
        ("root", "securityContext: {runAsNonRoot: true}", "CreateContainerError", "its image will run as root"),
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
