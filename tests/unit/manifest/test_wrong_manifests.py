"""Wrong manifests, each with the messages that it must give, word for word (``wrong_manifests.yaml``)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from podsupd.manifest import parse

HEAD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - name: web
    image: nginx
"""
POLICY = """\
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {name: web}
spec:
"""


def indent(text: str, by: int) -> str:
    """Return the lines moved to the right."""
    return "".join(f"{' ' * by}{line}\n" for line in text.splitlines())


def container(text: str) -> str:
    """Return a good pod with these lines, from line 8, in its container."""
    return HEAD + indent(text, 4)


def spec(text: str) -> str:
    """Return a good pod with these lines, from line 8, in its spec."""
    return HEAD + indent(text, 2)


def policy(text: str) -> str:
    """Return a good pod and a PodPolicy with these lines, from line 13, in its spec."""
    return HEAD + POLICY + indent(text, 2)


IN = {"container": container, "spec": spec, "policy": policy, "file": str}
WRONG = yaml.safe_load(Path(__file__).with_name("wrong_manifests.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", WRONG, ids=[case["name"] for case in WRONG])
def test_each_wrong_manifest_gives_exactly_its_messages(case: dict[str, Any]) -> None:
    """Whoever writes a wrong manifest is told the line, the field and the way out, and nothing beside the point."""
    (text,) = (make(case[where]) for where, make in IN.items() if where in case)
    parsed = parse(text, "m.yaml")
    assert [str(problem).removeprefix("m.yaml:") for problem in parsed.errors] == case["errors"]
    assert parsed.pods == ()


def test_all_errors_of_a_file_are_reported_together() -> None:
    """Nobody has to run the check five times to find five mistakes in two documents."""
    text = (
        HEAD.replace("nginx", "Nginx").replace("{name: web}", "{name: Web}")
        + indent(
            "colour: blue\nports: [{containerPort: 0}]\nlivenessProbe: {}\nvolumeMounts: [{name: a, mountPath: b}]", 4
        )
        + POLICY
        + indent("containerNames: No\nupdate: {rollback: 1}", 2)
    )
    parsed = parse(text, "m.yaml")
    assert [(problem.line, problem.path) for problem in parsed.errors] == [
        (3, "metadata.name"),
        (7, "spec.containers[0].image"),
        (8, "spec.containers[0].colour"),
        (9, "spec.containers[0].ports[0].containerPort"),
        (10, "spec.containers[0].livenessProbe"),
        (11, "spec.containers[0].volumeMounts[0].name"),
        (11, "spec.containers[0].volumeMounts[0].mountPath"),
        (15, "metadata.name"),
        (17, "spec.containerNames"),
        (18, "spec.update.rollback"),
    ]


def test_a_later_document_is_checked_when_an_earlier_one_cannot_be_taken() -> None:
    """A bad tag in the first document does not hide the typing error in the second."""
    parsed = parse("kind: !Pod x\n---\n" + container("colour: blue"), "m.yaml")
    assert [problem.line for problem in parsed.errors] == [1, 10]


def test_a_message_stays_on_one_line() -> None:
    """A line break in a value cannot forge a second line in the output of podsupd check."""
    parsed = parse(HEAD.replace("nginx", '"a\\nb"'), "m.yaml")
    assert len(parsed.errors) == 1
    assert "\n" not in str(parsed.errors[0])
    assert '"a\\nb"' in str(parsed.errors[0])
