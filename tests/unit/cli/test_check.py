"""podsupd check: every fault of every file, without a daemon."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import command

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers:
  - {name: web, image: docker.io/library/nginx:1, ports: [{containerPort: 80, hostPort: 18400}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory with a good manifest and what is none."""
    (tmp_path / "a.yaml").write_text(POD.replace("NAME", "a"))
    (tmp_path / ".hidden.yaml").write_text("{")
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yaml").write_text("{")
    return tmp_path


def test_a_good_directory(folder: Path) -> None:
    """A directory stands for the manifests that the daemon would read in it."""
    done = command("check", str(folder))
    assert (done.code, done.out) == (0, "ok: 1 file, 1 pod\n")


def test_an_error_names_file_line_and_path(folder: Path) -> None:
    """An editor or a CI job can jump to the fault."""
    (folder / "b.yml").write_text(POD.replace("NAME", "b").replace("image:", "imag:").replace("18400", "18401"))
    done = command("check", str(folder))
    assert done.code == 1
    assert done.out.startswith(f"{folder}/b.yml:6: spec.containers[0].imag: ")
    assert "image" in done.out.splitlines()[0].partition("imag: ")[2]


def test_a_warning_is_no_error(folder: Path) -> None:
    """What has no meaning on one host is said, and is not in the way."""
    (folder / "a.yaml").write_text(POD.replace("NAME", "a") + "  nodeSelector: {disk: ssd}\n")
    done = command("check", str(folder / "a.yaml"))
    assert done.code == 0
    assert done.out.startswith(f"warning: {folder}/a.yaml:7: spec.nodeSelector: ")


def test_files_that_want_the_same(folder: Path) -> None:
    """A host port that two files want is found before the daemon finds it."""
    (folder / "b.yaml").write_text(POD.replace("NAME", "b"))
    done = command("check", str(folder))
    assert done.code == 1
    assert "18400" in done.out
    assert f"{folder}/a.yaml" in done.out
    assert f"{folder}/b.yaml" in done.out


def test_what_cannot_be_read(folder: Path) -> None:
    """A missing file and a binary one are errors with their reason."""
    (folder / "b.yaml").write_bytes(b"\xff\xfe")
    done = command("check", str(folder / "none.yaml"), str(folder / "b.yaml"))
    assert done.code == 1
    assert f"{folder}/none.yaml:0: cannot read the file: No such file or directory\n" in done.out
    assert f"{folder}/b.yaml:0: cannot read the file: it is not UTF-8" in done.out


def test_an_empty_directory(tmp_path: Path) -> None:
    """A directory without manifests is allowed, and most likely the wrong one."""
    done = command("check", str(tmp_path))
    assert (done.code, done.out) == (0, "warning: no manifests (*.yaml, *.yml, *.json) there\n")


def test_the_example_is_right() -> None:
    """The manifest that the README starts with has neither errors nor warnings."""
    done = command("check", str(Path(__file__).parents[3] / "config" / "pods.d"))
    assert (done.code, done.out) == (0, "ok: 1 file, 1 pod\n")


def test_machines_read_it_as_json(folder: Path) -> None:
    """A CI job takes file, line, path and message of each fault from fields, as of /v1/config."""
    (folder / "b.yml").write_text(POD.replace("NAME", "b").replace("image:", "imag:").replace("18400", "18401"))
    done = command("check", "-o", "json", str(folder), str(folder / "none.yaml"))
    found = json.loads(done.out)
    assert (done.code, found["valid"]) == (1, False)
    good, wrong, missing = found["files"]
    assert good == {"path": f"{folder}/a.yaml", "pods": ["a"], "objects": [], "errors": [], "warnings": []}
    fault = wrong["errors"][0]
    assert (fault["source"], fault["line"], fault["path"]) == (f"{folder}/b.yml", 6, "spec.containers[0].imag")
    assert missing["errors"][0]["message"] == "cannot read the file: No such file or directory"
    assert json.loads(command("check", "-o", "json", str(folder / "a.yaml")).out)["valid"] is True
