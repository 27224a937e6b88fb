"""A stop that reaches everyone: those that a first process leaves behind get the signal and the rest of the grace."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.harness import Daemon, nginx_workers, pod_manifest, podman, until
from e2e.stopped import Stopped, cgroups_of_ours, processes_of

from bench.podman_service import PodmanService

pytestmark = pytest.mark.podman

ROOT = Path(__file__).parents[2]

# The child needs a second after SIGTERM; the first process waits for nobody, as a careless entrypoint.
CHILD = (
    'sh -c \'trap "echo told > /out/told; sleep 1; echo done > /out/child; exit 0" TERM;'
    " echo up > /out/up; while :; do sleep 0.1; done'"
)
LEAVES = f"trap 'exit 3' TERM; {CHILD} & while :; do sleep 0.1; done"
DEAF = "sh -c 'trap \"\" TERM; echo up > /out/up; while :; do sleep 0.1; done'"
LEAVES_DEAF = f"trap 'exit 3' TERM; {DEAF} & while :; do sleep 0.1; done"

WRITE = "yes xxxxxxxxx | head -c 10485760"


@pytest.fixture
def name() -> str:
    """Return a pod name that nobody else uses."""
    return f"stop-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a directory that the containers see as /out."""
    path = tmp_path / "out"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture(params=["runc", "crun"])
def podman_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a Podman of the test's own that runs containers with this OCI runtime."""
    conf = tmp_path / "containers.conf"
    conf.write_text(
        f"""
[containers]
pids_limit = 0
default_ulimits = ["nofile=1024:1024", "nproc=10000:10000"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "{request.param}"
[engine.runtimes]
crun = ["{ROOT / "tests/hosts/crun-hybrid"}"]
"""
    )
    monkeypatch.setenv("CONTAINERS_CONF", str(conf))
    with PodmanService(tmp_path / "podman.sock") as service:
        yield service.url


def test_a_child_that_cleans_up_is_waited_for(
    podman_url: str, make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A child that needs a second after SIGTERM has it, under every runtime, and the container starts again."""
    pod = Stopped(make_daemon(podman_url=podman_url), name, out, LEAVES)
    pod.stop()
    assert (out / "child").read_text() == "done\n"
    assert pod.exit_code() == 3
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")
    pod.daemon.cli("start", f"{name}/main")
    pod.daemon.wait_pod(name)
    assert pod.inspect("main")[0] == pod.main[0]


def test_podman_stop_kills_the_same_child(podman_url: str, name: str, out: Path) -> None:
    """What podsupd is for: Podman's own stop ends that child before its handler is done."""
    podman("--url", podman_url, "pod", "create", "--name", name, "--share", "net,pid")
    try:
        podman(
            *("--url", podman_url, "run", "-d", "--pod", name, "--name", f"{name}-main", "-v", f"{out}:/out"),
            *("docker.io/library/busybox:latest", "sh", "-c", LEAVES),
        )
        until((out / "up").exists, "the child up")
        container = podman("inspect", f"{name}-main", "--format", "{{.Id}}")
        podman("--url", podman_url, "stop", "-t", "20", f"{name}-main")
        until(lambda: not processes_of(container), "its processes gone")
        assert not (out / "child").exists()
    finally:
        podman("--url", podman_url, "pod", "rm", "-f", "-t", "0", name)


def test_a_child_that_ignores_the_signal_is_killed_at_the_deadline(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """It has the rest of the grace period, then it is killed, named and counted; and not before."""
    pod = Stopped(make_daemon(), name, out, LEAVES_DEAF, grace=3)
    began = time.monotonic()
    pod.stop()
    assert time.monotonic() - began >= 3
    pod.assert_clean()
    assert pod.exit_code() == 3
    (event,) = pod.daemon.events(name, "Killed")
    assert "sh (pid " in event["message"]
    # The shell, and the sleep that it happened to wait for.
    assert pod.killed() in {1, 2}


def test_scope_main_process_is_podmans_own_stop(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """Whoever wants the runtime's last kill can have it."""
    pod = Stopped(make_daemon(), name, out, LEAVES, stop="{scope: MainProcess}")
    pod.stop()
    until(lambda: not processes_of(pod.main[0]), "its processes gone")
    assert not (out / "child").exists()
    pod.assert_clean()


def test_scope_all_tells_everyone_at_once(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """A first process that waits for its children, but never tells them, need not be killed."""
    script = f"trap : TERM; {CHILD} & child=$!; while kill -0 $child; do wait $child; done; exit 5"
    pod = Stopped(make_daemon(), name, out, script, stop="{scope: All}")
    pod.stop()
    assert (out / "child").read_text() == "done\n"
    assert pod.exit_code() == 5
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_a_sequence_goes_on_to_the_signal_that_is_obeyed(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A process that only ends on SIGINT gets it as the second step, instead of SIGKILL."""
    script = "trap : TERM; trap 'exit 6' INT; echo up > /out/up; while :; do sleep 0.1; done"
    stages = "{sequence: [{signal: SIGTERM, seconds: 1}, {signal: SIGINT, seconds: 15}]}"
    pod = Stopped(make_daemon(), name, out, script, stop=stages)
    pod.stop()
    assert pod.exit_code() == 6
    pod.assert_clean()


def test_a_child_that_is_started_during_the_stop_has_its_time(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A handler that leaves the clean-up to a new process and ends is a stop like any other."""
    # It ends when the new process is ready for a signal: one that is just being started dies of it.
    clean_up = "sh -c 'trap : TERM; touch /out/ready; sleep 1; sleep 1; echo done > /out/late' &"
    late = f"{clean_up} while [ ! -e /out/ready ]; do sleep 0.1; done; exit 0"
    script = f'trap "{late}" TERM; echo up > /out/up; while :; do sleep 0.1; done'
    pod = Stopped(make_daemon(), name, out, script)
    pod.stop()
    assert (out / "late").read_text() == "done\n"
    assert pod.exit_code() == 0
    pod.assert_clean()


def test_a_shell_that_stops_its_own_jobs_is_not_disturbed(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """A supervisor tells its children itself: each gets SIGTERM once, from it, and its exit code is its own."""
    job = 'trap "echo term >> /out/job; exit 0" TERM; mkdir /out/one || touch /out/up; while :; do sleep 0.1; done'
    script = f"trap 'kill $a $b; wait $a; wait $b; exit 7' TERM; sh -c '{job}' & a=$!; sh -c '{job}' & b=$!; wait; wait"
    pod = Stopped(make_daemon(), name, out, script)
    pod.stop()
    assert (out / "job").read_text() == "term\nterm\n"
    assert pod.exit_code() == 7
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_ten_megabytes_written_while_it_stops_block_nobody(
    podman_url: str, make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """What the first process says is all in the log; what the others say after it and conmon ended blocks nobody."""
    child = (
        f'sh -c \'trap "{WRITE} && echo done > /out/child; exit 0" TERM;'
        " echo up > /out/up; while :; do sleep 0.1; done'"
    )
    script = f'trap "{WRITE}; exit 4" TERM; {child} & while :; do sleep 0.1; done'
    pod = Stopped(make_daemon(podman_url=podman_url), name, out, script)
    pod.stop()
    assert pod.exit_code() == 4
    assert (out / "child").read_text() == "done\n"
    assert podman("logs", f"{name}-main").count("x") == 9 * 1024 * 1024
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_ten_megabytes_written_to_a_terminal_while_it_stops_are_all_in_the_log(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """With a terminal, too, it exits as it would have; a child outlives the hang-up that the terminal's end is."""
    child = (
        'sh -c \'trap "" HUP; trap "sleep 1; echo done > /out/child; exit 0" TERM; '
        "echo up > /out/up; while :; do sleep 0.1; done'"
    )
    script = f'test -t 0 && test -t 1 || exit 9; trap "{WRITE}; exit 4" TERM; {child} & while :; do sleep 0.1; done'
    pod = Stopped(make_daemon(), name, out, script, fields="tty: true\n    stdin: true")
    pod.stop()
    assert pod.exit_code() == 4
    assert (out / "child").read_text() == "done\n"
    assert podman("logs", f"{name}-main").count("x") == 9 * 1024 * 1024
    pod.assert_clean()
    assert not pod.daemon.events(name, "Killed")


def test_the_manifests_stop_signal_is_sent(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """An image whose own stop signal is the wrong one needs no other image, and an edit of it no restart."""
    fields = "lifecycle: {stopSignal: SIGUSR1}"
    script = "trap : TERM; trap 'exit 8' USR1; trap 'exit 9' USR2; echo up > /out/up; while :; do sleep 0.1; done"
    pod = Stopped(make_daemon(), name, out, script, fields=fields)
    pod.stop()
    assert pod.exit_code() == 8
    (out / "up").unlink()
    pod.daemon.cli("start", f"{name}/main")
    pod.daemon.wait_pod(name)
    until((out / "up").exists, "the traps of the new life")
    again = pod.inspect("main")
    pod.daemon.write("pod.yaml", pod.text.replace("SIGUSR1", "SIGUSR2"))
    until(
        lambda: pod.daemon.pod(name)["spec"]["containers"][0]["lifecycle"] == {"stopSignal": "SIGUSR2"},
        "the edit taken over",
    )
    assert pod.inspect("main") == again
    pod.stop()
    assert pod.exit_code() == 9
    pod.assert_clean()


def test_nginx_and_its_workers_stop_as_nginx_wants_it(daemon: Daemon, name: str) -> None:
    """The image's SIGQUIT reaches the master, which ends its workers itself: exit code 0, nobody is killed."""
    manifest_of_nginx = pod_manifest(name, containers={"web": "x"}, grace=20)
    head, _, _ = manifest_of_nginx.partition("    command:")
    daemon.write("pod.yaml", head.replace("busybox:latest", "nginx:latest"))
    daemon.start()
    daemon.wait_pod(name)
    container, master = podman("inspect", f"{name}-web", "--format", "{{.Id}} {{.State.Pid}}").split()
    until(lambda: nginx_workers(int(master)), "the workers")
    daemon.cli("stop", f"{name}/web")
    assert podman("inspect", f"{name}-web", "--format", "{{.State.ExitCode}}") == "0"
    assert processes_of(container) == []
    assert cgroups_of_ours(container) == []
    assert not daemon.events(name, "Killed")
    assert not daemon.events(name, "StopDegraded")


def test_a_removed_pod_waits_for_those_left_behind(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """A deleted manifest ends the pod as gracefully as a stop; nothing of it stays."""
    pod = Stopped(make_daemon(), name, out, LEAVES)
    pod.path.unlink()
    until(lambda: not podman("pod", "ps", "-q", "-f", f"name={name}"), "the pod removed")
    assert (out / "child").read_text() == "done\n"
    assert processes_of(pod.main[0]) == []
    assert cgroups_of_ours(pod.main[0]) == []


def test_a_daemon_killed_in_the_middle_of_a_stop_leaves_nothing_frozen(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """Without a daemon those left behind finish their work; with the next one the stop is finished."""
    pod = Stopped(make_daemon(), name, out, LEAVES.replace("sleep 1;", "until [ -e /out/go ]; do sleep 0.1; done;"))
    pod.daemon.post(f"/v1/pods/{name}/containers/main/stop")
    until((out / "told").exists, "those left behind signalled")
    pod.daemon.kill()
    (out / "go").touch()
    until((out / "child").exists, "the child's handler done")
    until(lambda: not processes_of(pod.main[0]), "its processes gone")
    assert cgroups_of_ours(pod.main[0])
    pod.daemon.start()
    until(lambda: pod.daemon.events(name, "Stopped"), "the stop finished")
    pod.assert_clean()


def test_the_next_daemon_finishes_the_stop_that_it_finds(
    make_daemon: Callable[..., Daemon], name: str, out: Path
) -> None:
    """One that does not end is killed at the deadline that the first daemon had set."""
    pod = Stopped(make_daemon(), name, out, LEAVES_DEAF, grace=8)
    pod.daemon.post(f"/v1/pods/{name}/containers/main/stop")
    until(lambda: len(pod.daemon.events(name, "Killing")) == 2, "those left behind signalled", every=0.01)
    pod.daemon.kill()
    assert processes_of(pod.main[0])
    pod.daemon.start()
    until(lambda: pod.daemon.events(name, "Stopped"), "the stop finished")
    pod.assert_clean()
    assert len(pod.daemon.events(name, "Killed")) == 1


def test_a_restart_waits_for_those_left_behind(make_daemon: Callable[..., Daemon], name: str, out: Path) -> None:
    """The next life of a container begins when the last one is over for everyone."""
    pod = Stopped(make_daemon(), name, out, LEAVES)
    pod.daemon.cli("restart", f"{name}/main")
    assert (out / "child").read_text() == "done\n"
    identity, pid, _ = pod.inspect("main")
    assert identity == pod.main[0]
    assert pid != pod.main[1]
    assert cgroups_of_ours(identity) == []
    assert pod.inspect("other") == pod.other
