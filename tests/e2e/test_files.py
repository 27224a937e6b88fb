"""Manifests that break, move and vanish, on real Podman: nothing is lost or torn down by mistake, and it is said."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, until
from e2e.lives import bring_up, exists, idle_pod, lives
from podman import PodmanClient

pytestmark = pytest.mark.podman


def files(daemon: Daemon) -> dict[str, Any]:
    """Return /v1/config's files by their base name."""
    return {Path(f["path"]).name: f for f in daemon.get("/v1/config").json["files"]}


def wait_state(daemon: Daemon, file: str, state: str) -> Any:
    """Wait until a file is in that state and return it."""
    until(lambda: files(daemon)[file]["state"] == state, f"{file} {state}; log: {daemon.tail()}")
    return files(daemon)[file]


def held(daemon: Daemon) -> dict[str, str]:
    """Return the removals that are held, by pod."""
    reasons: dict[str, str] = daemon.get("/v1/config").json["held"]
    return reasons


# -- files that break


def _append(text: str) -> Callable[[Path], None]:
    return lambda path: Path(path).write_text(path.read_text() + text)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


# What is done to a file -> the line and the words that the fault must be shown with. The manifest has eleven lines.
FAULTS: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "syntax": (_append("  volumes: [\n"), 13, "cannot read the YAML"),
    "field": (_append("  restartPolice: Always\n"), 12, "restartPolicy"),
    "empty": (lambda path: path.write_text(""), 0, "declares no pod"),
    "binary": (lambda path: path.write_bytes(b"\x7fELF\n\xff\xfe\x00"), 0, "UTF-8"),
    "directory": (_directory, 0, "not a regular file"),
    "dangling": (_dangling, 0, "symbolic link to nothing"),
}


def test_a_broken_file_stops_nothing(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """However a file breaks, its pod goes on, is healed and comes through a restart; file and line are shown."""
    good = {fault: idle_pod(f"{name}-{fault}") for fault in FAULTS}
    pods = [f"{name}-{fault}" for fault in FAULTS]
    bring_up(daemon, **good)
    before = lives(witness, *pods)
    for fault, (spoil, _, _) in FAULTS.items():
        spoil(daemon.manifests / f"{fault}.yaml")
    assert_shown(daemon, name)
    assert lives(witness, *pods) == before

    daemon.stop()
    daemon.start()
    assert_shown(daemon, name)
    assert lives(witness, *pods) == before
    for pod in pods:
        assert witness.containers.get(f"{pod}-main").kill("SIGKILL") is None
    for pod in pods:
        until(lambda pod=pod: daemon.container(pod, "main")["restartCount"] == 1, f"{pod} healed from its last good")
        daemon.wait_pod(pod)

    healed = lives(witness, *pods)
    assert {n: life[0] for n, life in healed.items()} == {n: life[0] for n, life in before.items()}
    shutil.rmtree(daemon.manifests / "directory.yaml")
    for fault, text in good.items():
        daemon.write(f"{fault}.yaml", text)
    for fault in FAULTS:
        wait_state(daemon, f"{fault}.yaml", "Loaded")
        # A file is shown as read before what it says is in force: that is saved in between.
        until(lambda fault=fault: daemon.condition(f"{name}-{fault}", "ManifestCurrent") == "", "the condition gone")
    assert lives(witness, *pods) == healed


def assert_shown(daemon: Daemon, name: str) -> None:
    """Wait until each fault is in /v1/config, and find it in the status, the pod's conditions and the log as well."""
    for fault, (_, line, words) in FAULTS.items():
        shown = wait_state(daemon, f"{fault}.yaml", "Invalid")
        path = str(daemon.manifests.resolve() / f"{fault}.yaml")
        assert (shown["path"], shown["lastGoodUsed"], shown["pods"]) == (path, True, [f"{name}-{fault}"])
        error = shown["errors"][0]
        assert (error["source"], error["line"]) == (path, line), error
        assert words in error["message"]
    status, log = daemon.cli("status").stdout, daemon.log.read_text()
    for fault, (_, line, words) in FAULTS.items():
        said = re.escape(f"{daemon.manifests}/{fault}.yaml:{line}: ") + ".*" + re.escape(words)
        assert re.search(said, status), f"{said} in {status}"
        assert re.search(said, log), f"{said} in the log"
        until(lambda fault=fault: daemon.condition(f"{name}-{fault}", "ManifestCurrent") == "False", "the condition")


# Writers that are not careful, as programs of their own: one keeps the file open, one opens it for every piece. Each
# comes to its end when both were seen.
BYTE_BY_BYTE = """
import os, sys, time
data = open(sys.argv[2], "rb").read()
with open(sys.argv[1], "wb", buffering=0) as file:
    for byte in data[:-1]:
        file.write(bytes([byte]))
        time.sleep(0.008)
    while not os.path.exists(sys.argv[3]):
        time.sleep(0.01)
    file.write(data[-1:])
"""
IN_BURSTS = """
import os, sys, time
data = open(sys.argv[2], "rb").read()
cut = data.index(b"  - name: second")
open(sys.argv[1], "wb").close()
for start in range(0, cut, 80):
    time.sleep(0.3)
    with open(sys.argv[1], "ab") as file:
        file.write(data[start:min(start + 80, cut)])
while not os.path.exists(sys.argv[3]):
    time.sleep(0.3)
    with open(sys.argv[1], "ab") as file:
        file.write(b"#\\n")
time.sleep(1.2)  # quiet for longer than a second, and a valid manifest with a container less; not for two scans
with open(sys.argv[1], "ab") as file:
    file.write(data[cut:])
"""


def test_a_slow_copy_is_read_when_it_is_whole(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """No prefix of a file, valid or not, ever reaches a pod, and the whole of it does, however it is written."""
    writers = {f"{name}-bytes": BYTE_BY_BYTE, f"{name}-bursts": IN_BURSTS}
    texts = {pod: idle_pod(pod, ["first", "second"]) for pod in writers}
    bring_up(daemon, **texts)
    before = lives(witness, *writers)
    go = daemon.root / "go"
    with ExitStack() as stack:
        writing = {}
        for pod, writer in writers.items():
            whole = daemon.root / f"{pod}.whole"
            whole.write_text(texts[pod].replace(f"{{name: {pod}}}", f"{{name: {pod}, labels: {{copied: whole}}}}"))
            command = [sys.executable, "-c", writer, daemon.manifests / f"{pod}.yaml", whole, go]
            writing[pod] = stack.enter_context(subprocess.Popen(command))
        stack.callback(go.touch)
        for pod, process in writing.items():
            wait_state(daemon, f"{pod}.yaml", "Pending")
            assert process.poll() is None, "the file was seen while it was written"
    for pod, process in writing.items():
        assert process.returncode == 0
        until(lambda pod=pod: daemon.pod(pod)["metadata"].get("labels") == {"copied": "whole"}, "the whole in force")
        assert files(daemon)[f"{pod}.yaml"]["state"] == "Loaded"
    assert lives(witness, *writers) == before


# -- files that move


def test_a_pod_is_its_name_wherever_it_is_declared(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """A renamed file touches nothing; a second declaration is refused with both places until the first one goes."""
    text = idle_pod(name)
    bring_up(daemon, first=text)
    before = lives(witness, name)
    first, renamed = daemon.manifests / "first.yaml", daemon.manifests / "renamed.yaml"
    first.rename(renamed)
    until(lambda: set(files(daemon)) == {"renamed.yaml"}, "the renamed file alone")
    source = str(renamed.resolve())
    until(lambda: daemon.pod(name)["podsupd"]["source"]["path"] == source, "the pod of the renamed file")

    # Sorted before the incumbent, so that the order of names decides nothing.
    daemon.write("again.yaml", text)
    error = wait_state(daemon, "again.yaml", "Invalid")["errors"][0]
    assert (Path(error["source"]).name, error["line"], error["path"]) == ("again.yaml", 1, "metadata.name")
    assert "renamed.yaml:1 declares it already" in error["message"]
    assert "again.yaml:1: metadata.name:" in daemon.cli("status").stdout
    assert daemon.cli("reload", check=False).returncode == 1
    daemon.stop()
    daemon.start()
    wait_state(daemon, "again.yaml", "Invalid")
    wait_state(daemon, "renamed.yaml", "Loaded")

    renamed.unlink()
    wait_state(daemon, "again.yaml", "Loaded")
    until(lambda: set(files(daemon)) == {"again.yaml"}, "the newcomer alone")
    assert lives(witness, name) == before


def test_a_directory_that_goes_and_comes_changes_nothing(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Moved away and back, or replaced by a copy or by an empty one: the pods go on, and what is missing is held."""
    pods = [f"{name}-a", f"{name}-b"]
    bring_up(daemon, a=idle_pod(pods[0]), b=idle_pod(pods[1]))
    before = lives(witness, *pods)
    away = daemon.root / "away"
    daemon.manifests.rename(away)
    until(lambda: daemon.get("/v1/config").json["error"], "the missing directory said")
    assert set(held(daemon)) == set(pods)
    assert f"cannot read the manifest directory {daemon.manifests}" in daemon.cli("status").stdout
    assert "cannot read the manifests" in daemon.log.read_text()
    assert witness.containers.get(f"{pods[0]}-main").kill("SIGKILL") is None
    until(lambda: daemon.container(pods[0], "main")["restartCount"] == 1, "healing without a directory")
    daemon.wait_pod(pods[0])
    before |= lives(witness, pods[0])
    away.rename(daemon.manifests)
    until(lambda: not held(daemon) and not daemon.get("/v1/config").json["error"], "the directory back")
    assert {f["state"] for f in files(daemon).values()} == {"Loaded"}
    assert lives(witness, *pods) == before

    daemon.manifests.rename(away)
    shutil.copytree(away, daemon.manifests)
    daemon.write("a.yaml", idle_pod(pods[0]).replace("}", ", labels: {in: copy}}", 1))
    until(lambda: daemon.pod(pods[0])["metadata"].get("labels") == {"in": "copy"}, "an edit in the new directory")
    assert held(daemon) == {}
    assert lives(witness, *pods) == before

    shutil.rmtree(daemon.manifests)
    daemon.manifests.mkdir()
    # A scan may come between: then it is held because the directory is missing, and only then because it is another.
    until(lambda: all("is not the directory that it was" in held(daemon)[pod] for pod in pods), "both held")
    assert set(held(daemon)) == set(pods)
    daemon.write("b.yaml", idle_pod(pods[1]))
    until(lambda: set(held(daemon)) == {pods[0]}, "only what is missing held")
    assert lives(witness, *pods) == before


# -- files that go


VOLUME = """
  volumes: [{name: scratch, emptyDir: {}}]
"""


def with_volume(pod: str) -> str:
    """Return a pod with an emptyDir."""
    return idle_pod(pod) + "    volumeMounts: [{name: scratch, mountPath: /scratch}]" + VOLUME


def test_a_removed_file_removes_its_pod_and_no_other(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Pod, containers and emptyDir go with the file; the neighbour stays, and an emptyDir outlives a container."""
    gone, stays = f"{name}-gone", f"{name}-stays"
    bring_up(daemon, gone=with_volume(gone), stays=with_volume(stays))
    before = lives(witness, stays)
    volumes = {v.name for v in witness.volumes.list()}
    assert {f"{gone}-scratch", f"{stays}-scratch"} <= volumes
    (daemon.manifests / "gone.yaml").unlink()
    until(lambda: not exists(witness, gone), "the pod removed")
    until(lambda: daemon.get(f"/v1/pods/{gone}").status == 404, "the pod forgotten")
    assert not [c for c in witness.containers.list(all=True) if c.name.startswith(gone)]
    assert f"{gone}-scratch" not in {v.name for v in witness.volumes.list()}
    assert f"{stays}-scratch" in {v.name for v in witness.volumes.list()}
    assert lives(witness, stays) == before
    assert daemon.events(gone, "Removed")
    # The last one of all is no mass removal: an operator who removes the only file means it.
    (daemon.manifests / "stays.yaml").unlink()
    until(lambda: not exists(witness, stays), "the last pod removed")


def test_a_removal_of_everything_waits_for_a_person(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """When all of several files vanish at once their pods stay, also over a restart, until prune --confirm."""
    pods = [f"{name}-a", f"{name}-b"]
    bring_up(daemon, a=with_volume(pods[0]), b=with_volume(pods[1]))
    before = lives(witness, *pods)
    for file in daemon.manifests.glob("*.yaml"):
        file.unlink()
    until(lambda: set(held(daemon)) == set(pods), "the removal held")
    shown = daemon.cli("prune").stdout
    assert "all 2 manifests vanished" in shown
    assert all(pod in shown for pod in pods)
    assert f"removal of {pods[0]} is held" in daemon.cli("status").stdout
    assert "removal held" in daemon.log.read_text()

    daemon.stop()
    daemon.start()
    until(lambda: set(held(daemon)) == set(pods), "the removal still held after a restart")
    assert witness.containers.get(f"{pods[1]}-main").kill("SIGKILL") is None
    until(lambda: daemon.container(pods[1], "main")["restartCount"] == 1, "a held pod healed")
    assert lives(witness, pods[0]).items() <= before.items()

    assert "Released" in daemon.cli("prune", "--confirm").stdout
    until(lambda: not any(exists(witness, pod) for pod in pods), "both pods removed")
    until(lambda: daemon.get("/v1/pods").json["items"] == [], "both pods forgotten")
    assert not {f"{pod}-scratch" for pod in pods} & {v.name for v in witness.volumes.list()}
    assert daemon.cli("prune").stdout == "No removal is held.\n"


# -- state that goes


def test_a_lost_state_and_a_broken_file_shield_the_pod(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Without any memory of the last good spec, a pod whose file cannot be read is left as it is, and adopted later."""
    bring_up(daemon, made=idle_pod(name))
    before = lives(witness, name)
    database = daemon.state / "state.db"
    for file, reason in (("made.yaml", "is invalid: mend"), ("renamed.yaml", "which may declare it")):
        daemon.stop()
        if file == "made.yaml":
            database.unlink()
        else:
            # The pod's label still names the file as it was called when the pod was made.
            (daemon.manifests / "made.yaml").unlink()
            database.write_bytes(b"not a database" * 512)
        daemon.write(file, idle_pod(name) + "  nonsense: true\n")
        daemon.start()
        wait_state(daemon, file, "Invalid")
        until(lambda reason=reason: reason in held(daemon).get(name, ""), "the pod shielded")
        # A scan later it is still so: a second look at what is missing does not remove it either.
        assert daemon.cli("reload", check=False).returncode == 1
        assert name in held(daemon)
        assert lives(witness, name) == before
        daemon.write(file, idle_pod(name))
        until(lambda: held(daemon) == {}, "the pod taken up")
        daemon.wait_pod(name)
    assert re.search(r"state\.db.*damaged|damaged.*state\.db|not a database", daemon.log.read_text())
    assert lives(witness, name) == before


def test_a_lost_state_and_an_empty_directory_keep_all_pods(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Pods of two files, with no file and no memory left, are kept and said until an operator confirms."""
    pods = [f"{name}-a", f"{name}-b"]
    bring_up(daemon, a=idle_pod(pods[0]), b=idle_pod(pods[1]))
    before = lives(witness, *pods)
    daemon.stop()
    for file in [*daemon.manifests.glob("*.yaml"), *daemon.state.glob("state.db*")]:
        file.unlink()
    daemon.start()
    until(lambda: set(held(daemon)) == set(pods), "both pods kept")
    daemon.cli("reload")
    assert "prune --confirm" in daemon.cli("status").stdout
    assert daemon.events(pods[0], "Kept")
    assert lives(witness, *pods) == before
    assert "Released" in daemon.cli("prune", "--confirm").stdout
    until(lambda: not any(exists(witness, pod) for pod in pods), "both pods removed")


# -- before anything runs


def test_check_names_file_line_and_path_of_every_fault(daemon: Daemon, name: str) -> None:
    """A directory is judged without a daemon as the daemon would, and a fault is exit code 1."""
    daemon.write("good.yaml", idle_pod(name))
    assert daemon.cli("check", str(daemon.manifests)).stdout == "ok: 1 file, 1 pod\n"
    daemon.write("twice.yaml", idle_pod(name))
    daemon.write("typo.yaml", idle_pod(f"{name}-typo").replace("image:", "imagee:"))
    daemon.write("syntax.yaml", "kind: [\n")
    done = daemon.cli("check", str(daemon.manifests), check=False)
    assert done.returncode == 1
    for said in (
        rf"{daemon.manifests}/twice\.yaml:1: metadata\.name: cannot load .*good\.yaml:1 declares it already",
        rf"{daemon.manifests}/typo\.yaml:9: spec\.containers\[0\]\.imagee: unknown field: did you mean .image.",
        rf"{daemon.manifests}/syntax\.yaml:2: ",
    ):
        assert re.search(f"^{said}", done.stdout, re.MULTILINE), f"{said} in {done.stdout}"
