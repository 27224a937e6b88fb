"""exec probes and what they leave behind, without Podman: a script stands for the OCI runtime."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from probes.conftest import nobody

from podsupd.errors import FatalError, PodmanConflict, ProbeUnrunnable
from podsupd.model.observed import ExecResult
from podsupd.model.spec import ExecCommand, ProbeSpec, ProbeType, Vantage
from podsupd.ports import ProbeTarget, Runtime
from podsupd.probes import ProbeRunner, tree
from podsupd.probes.exec import find
from podsupd.probes.exec import shown as shown_command
from podsupd.probes.netns import NamespaceThread
from podsupd.probes.output import Output
from podsupd.probes.text import clean

ID = "c" * 64
# Runs process.json's args as runc does: pid file, exit code, its own errors on stderr and without a pid file.
FAKE_RUNTIME = """#!{python}
import json, os, subprocess, sys
a = sys.argv[1:]
if "state" in a:
    status = open("{folder}/status").read()
    sys.exit(1) if status == "gone" else print(json.dumps({{"status": status}}))
    sys.exit(0)
open("{folder}/argv", "w").write(json.dumps(a))
spec = json.load(open(a[a.index("--process") + 1]))
open("{folder}/seen", "w").write(json.dumps(spec))
if spec["args"] == ["die"]:
    os.kill(os.getpid(), 9)
try:
    p = subprocess.Popen(spec["args"], env=dict(e.split("=", 1) for e in spec["env"]), start_new_session=True)
except OSError as e:
    print("exec failed:", spec["args"][0], file=sys.stderr)
    sys.exit(255)
open(a[a.index("--pid-file") + 1], "w").write(str(p.pid))
c = p.wait()
sys.exit(c if c >= 0 else 128 - c)
"""


def probe(*command: str, timeout_s: float = 30.0) -> ProbeSpec:
    """Return an exec probe."""
    return ProbeSpec("p", ProbeType.LIVENESS, Vantage.CONTAINER, ExecCommand(command), "web", timeout_s=timeout_s)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProbeTarget:
    """Return a container of the stand-in runtime."""
    folder = tmp_path / "runtime"
    (folder / "runc" / ID).mkdir(parents=True)
    (folder / "status").write_text("running")
    config = folder / "config.json"
    process = {"args": ["sleep"], "env": [f"PATH={os.environ['PATH']}", "A=b"], "terminal": True, "consoleSize": {}}
    config.write_text(json.dumps({"process": process}))
    script = folder / "bin" / "runc"
    script.parent.mkdir()
    script.write_text(FAKE_RUNTIME.format(python=sys.executable, folder=folder))
    script.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return ProbeTarget("web", container_id=ID, oci_runtime=str(script), oci_config_path=str(config))


async def test_exit_codes_and_output(prober: ProbeRunner, target: ProbeTarget) -> None:
    """A user sees what the command printed and with what it ended."""
    good = await prober.attempt(probe("sh", "-c", "echo fine; echo '' >&2"), target)
    bad = await prober.attempt(probe("sh", "-c", "echo no >&2; exit 3"), target)
    assert (good.successful, good.message) == (True, "`sh -c 'echo fine; echo '\"'\"''\"'\"' >&2'` exited with 0: fine")
    assert (bad.successful, bad.message) == (False, "`sh -c 'echo no >&2; exit 3'` exited with 3: no")


async def test_the_process_section_is_the_containers(prober: ProbeRunner, target: ProbeTarget, tmp_path: Path) -> None:
    """A probe runs with the container's user, environment and limits, without a terminal."""
    assert (await prober.attempt(probe("true"), target)).successful
    seen = json.loads((tmp_path / "runtime" / "seen").read_text())
    *environment, mark = seen.pop("env")
    assert (seen, environment) == ({"args": ["true"], "terminal": False}, [f"PATH={os.environ['PATH']}", "A=b"])
    assert mark.startswith("PODSUPD_PROBE=")
    assert str(tmp_path / "runtime" / "runc") in json.loads((tmp_path / "runtime" / "argv").read_text())
    assert list((tmp_path / "probes").iterdir()) == []


async def test_a_command_that_is_not_there_is_a_failure(prober: ProbeRunner, target: ProbeTarget) -> None:
    """A misspelt command fails the probe with the runtime's own message."""
    attempt = await prober.attempt(probe("nosuchcommand"), target)
    assert (attempt.successful, attempt.message) == (False, "cannot run `nosuchcommand`: exec failed: nosuchcommand")


@pytest.mark.parametrize("status", ["paused", "stopped", "gone"])
async def test_a_container_that_cannot_run_anything_is_no_verdict(
    prober: ProbeRunner, target: ProbeTarget, tmp_path: Path, status: str
) -> None:
    """A container that was paused or has just died is not blamed by its exec probe."""
    (tmp_path / "runtime" / "status").write_text(status)
    with pytest.raises(ProbeUnrunnable, match=f"the container is {status}"):
        await prober.attempt(probe("nosuchcommand"), target)


async def test_a_runtime_that_is_killed_is_no_verdict(prober: ProbeRunner, target: ProbeTarget) -> None:
    """The kernel's out-of-memory killer hitting the runtime restarts no container."""
    with pytest.raises(ProbeUnrunnable, match="died of SIGKILL"):
        await prober.attempt(probe("die"), target)


async def test_no_container_is_no_verdict(prober: ProbeRunner) -> None:
    """A probe of a container that is not running says so."""
    with pytest.raises(ProbeUnrunnable, match="the container is not running"):
        await prober.attempt(probe("true"), ProbeTarget("web"))


async def test_a_late_command_is_killed_as_a_tree(prober: ProbeRunner, target: ProbeTarget, tmp_path: Path) -> None:
    """A hung probe leaves no process behind, neither children nor grandchildren in sessions of their own."""
    pids = tmp_path / "pids"
    pids.touch()
    script = f"echo $$ >{pids}; sleep 1000 & echo $! >>{pids}; setsid sleep 1000 & echo $! >>{pids}; wait"
    started: list[int] = []
    # A loaded machine may not have come to the last of them when the first time is over.
    for timeout_s in (0.5, 5.0, 50.0):
        attempt = await prober.attempt(probe("sh", "-c", script, timeout_s=timeout_s), target)
        assert not attempt.successful
        assert attempt.message.endswith(f"timed out after {timeout_s:g} s")
        started = [int(line) for line in pids.read_text().split()]
        await nobody(lambda pids=started: [p for p in map(tree.read, pids) if p and p.state != "Z"])  # type: ignore[misc]
        if len(started) == 3:
            break
    assert len(started) == 3


async def test_a_noisy_command_neither_blocks_nor_floods(prober: ProbeRunner, target: ProbeTarget) -> None:
    """A command that prints megabytes ends, and four kilobytes of it are kept."""
    attempt = await prober.attempt(probe("sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' y"), target)
    assert attempt.successful
    assert attempt.detail.output == b"y" * 4096
    assert attempt.message.endswith("exited with 0: " + "y" * 4096)


async def test_a_background_process_does_not_hold_the_probe(
    prober: ProbeRunner, target: ProbeTarget, tmp_path: Path
) -> None:
    """A command is over when it exits, though a process it left behind still holds its output."""
    pid = tmp_path / "pid"
    script = f"sleep 1000 & echo $! >{pid}; echo done"
    attempt = await prober.attempt(probe("sh", "-c", script, timeout_s=60.0), target)
    os.kill(int(pid.read_text()), 9)
    assert attempt.successful
    assert attempt.message.endswith(": done")
    assert attempt.duration_s < 60.0


def of_this_test(tmp_path: Path) -> list[int]:
    """Return the processes whose command line names this test's folder."""
    found = []
    for pid in pids():
        with suppress(OSError):
            if str(tmp_path).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.parametrize("after_ms", [*range(0, 100, 10), 200])
async def test_a_cancelled_attempt_leaves_no_process(
    prober: ProbeRunner, target: ProbeTarget, tmp_path: Path, after_ms: int
) -> None:
    """The daemon's end in the middle of an exec probe kills and reaps what it started, however far that has come."""
    script = f": {tmp_path}; sleep 1000; :"
    task = asyncio.create_task(prober.attempt(probe("sh", "-c", script), target))
    await asyncio.sleep(after_ms / 1000)  # wherever that is in the life of the exec
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await nobody(lambda: of_this_test(tmp_path))
    assert not [p for p in map(tree.read, pids()) if p is not None and p.parent == os.getpid() and p.state == "Z"]


def pids() -> list[int]:
    """Return all PIDs."""
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()]


@pytest.mark.parametrize(
    "change",
    [{"oci_runtime": "kata"}, {"oci_runtime": ""}, {"oci_config_path": "/nowhere"}, {"container_id": "d" * 64}],
)
async def test_where_the_runtime_cannot_be_called_podman_is(
    prober: ProbeRunner, podman: Runtime, target: ProbeTarget, change: dict[str, str]
) -> None:
    """Exec probes work with any runtime, and in a container that sees nothing but Podman's socket."""
    podman.answer = ExecResult(7, "by podman")  # type: ignore[attr-defined]
    attempt = await prober.attempt(probe("check", "it", timeout_s=2.5), replace(target, **change))
    assert (attempt.successful, attempt.message) == (False, "`check it` exited with 7: by podman")
    assert podman.calls == [(change.get("container_id", ID), ("check", "it"), 2.5)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("told", [True, None])
async def test_rootless_asks_podman(
    podman: Runtime,
    target: ProbeTarget,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: bool | None,  # noqa: FBT001
) -> None:
    """A rootless podsupd does not start the runtime outside the containers' user namespace."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    runner = ProbeRunner(podman, user_agent="x", rootless=told, run_dir=str(tmp_path))
    assert (await runner.attempt(probe("true"), target)).successful
    assert len(podman.calls) == 1  # type: ignore[attr-defined]
    await runner.close()


def test_roots_runtime_is_no_obstacle(target: ProbeTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where root runs containers too, a user's exec probe passes by root's directory, into which it may not look."""
    # To root no directory is closed: a name that is too long is as little an answer.
    closed, own = tmp_path / ("x" * 300), tmp_path / "own"
    (own / target.container_id).mkdir(parents=True)
    monkeypatch.setattr("podsupd.probes.exec._state_dirs", lambda _name: [str(closed), str(own)])
    found = find(target, rootless=False)
    assert found is not None
    assert found.state_dir == str(own)


async def test_podmans_refusal_is_no_verdict(prober: ProbeRunner, podman: Runtime, target: ProbeTarget) -> None:
    """Podman being busy or away restarts no container."""
    podman.answer = PodmanConflict("container state improper")  # type: ignore[attr-defined]
    with pytest.raises(ProbeUnrunnable, match="cannot run `true`: container state improper"):
        await prober.attempt(probe("true"), replace(target, oci_runtime=""))


async def test_podmans_time_out_is_a_failure(prober: ProbeRunner, podman: Runtime, target: ProbeTarget) -> None:
    """A command that hangs fails its probe through Podman as well."""
    podman.answer = TimeoutError()  # type: ignore[attr-defined]
    attempt = await prober.attempt(probe("true"), replace(target, oci_runtime=""))
    assert (attempt.successful, attempt.message) == (False, "cannot run `true`: timed out after 30 s")


async def test_a_full_disk_is_no_verdict(prober: ProbeRunner, target: ProbeTarget, tmp_path: Path) -> None:
    """Podsupd's own directory being gone restarts no container."""
    (tmp_path / "probes").rmdir()
    with pytest.raises(ProbeUnrunnable, match=r"cannot write to .*: no such file or directory"):
        await prober.attempt(probe("true"), target)


async def test_what_a_killed_daemon_left_is_removed(podman: Runtime, tmp_path: Path) -> None:
    """Files of attempts that a kill -9 cut off do not pile up."""
    (tmp_path / "probes" / "exec-old").mkdir(parents=True)
    runner = ProbeRunner(podman, user_agent="x", run_dir=str(tmp_path))
    assert list((tmp_path / "probes").iterdir()) == []
    assert (tmp_path / "probes").stat().st_mode & 0o777 == 0o700
    await runner.close()
    assert not (tmp_path / "probes").exists()


def test_a_directory_that_cannot_be_made_is_said(podman: Runtime, tmp_path: Path) -> None:
    """A wrong run directory is told at the start, by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match=r"cannot make .*/file/probes: not a directory"):
        ProbeRunner(podman, user_agent="x", run_dir=str(tmp_path / "file"))


async def test_the_pod_vantage_without_a_pod_is_no_verdict() -> None:
    """An infra container that is down is not the probed container's failure, and the message says what to look at."""
    thread = NamespaceThread()
    gone = subprocess.Popen(["true"])
    gone.wait()
    try:
        with pytest.raises(ProbeUnrunnable, match="its infra container is not running"):
            await thread.open(0, 2)
        with pytest.raises(ProbeUnrunnable, match=f"process {gone.pid}: no such .*: the pod's infra container is not"):
            await thread.open(gone.pid, 2)
    finally:
        thread.close()


async def test_a_pid_that_is_somebody_elses_is_not_entered() -> None:
    """A PID that was given to another process since does not lead a probe into the wrong namespace."""
    thread = NamespaceThread()
    try:
        with pytest.raises(ProbeUnrunnable, match="cannot enter the network namespace"):
            await thread.open(os.getpid(), 2, "f" * 64)
    finally:
        thread.close()


def test_processes_with_odd_names_are_read(tmp_path: Path) -> None:
    """A process may call itself anything without confusing who is killed."""
    odd = tmp_path / "a) R 1 2 3 (b"
    odd.write_text("#!/bin/sh\nread x\n")
    odd.chmod(0o755)
    with subprocess.Popen([str(odd)], stdin=subprocess.PIPE, start_new_session=True) as process:
        seen = tree.read(process.pid)
        assert process.stdin is not None
        process.stdin.close()
    assert seen is not None
    assert (seen.pid, seen.parent, seen.session) == (process.pid, os.getpid(), process.pid)
    assert tree.read(process.pid) is None


def test_descendants() -> None:
    """Whoever descends from the exec is found, and nobody else."""
    parents = {2: 1, 3: 2, 4: 3, 5: 1, 6: 5, 7: 3}
    table = {pid: tree.Process(pid, 0, parent, pid, "S") for pid, parent in parents.items()}
    assert tree.descendants(2, table) == {3, 4, 7}


async def test_output_is_kept_up_to_its_limit() -> None:
    """The first bytes are kept, those that come at the very end included."""
    with Output(10) as output:
        os.write(output.writer, b"1234")
        assert output.so_far() == b"1234"
        os.write(output.writer, b"567890abc")
        output.started()
        assert output.so_far() == b"1234567890"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b" ok \n", "ok"),
        (b"\x1b[31mred", "\N{REPLACEMENT CHARACTER}[31mred"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}" * 2),
        (b"a\nb\tc", "a\nb\tc"),
        (b"x" * 2000, "x" * 1023 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_what_others_say_is_made_fit_to_be_shown(raw: bytes, shown: str) -> None:
    """A probed program cannot move the cursor of whoever reads the status."""
    assert clean(raw) == shown


def test_long_commands_are_shortened() -> None:
    """A probe with a whole script in it does not fill the status with it."""
    assert len(shown_command(ExecCommand(("sh", "-c", "x" * 500)))) == 122
