"""The ledger on real Podman: what was done to a pod, compared field by field with what is told."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, nginx_workers, pod_manifest, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

# The trap of QUIT is the last one: it is set when the child's is.
MAIN = (
    "rm -f /set; trap 'echo got' USR1; trap '' HUP; trap 'exit 3' TERM; "
    "(trap 'exit 5' USR2; : > /set; while :; do sleep 0.1; done) & child=$!; "
    "until [ -e /set ]; do sleep 0.1; done; "
    "trap 'kill -USR2 $child' QUIT; while :; do sleep 0.1; done"
)
SIDE = "while :; do sleep 0.1; done"


def tracing() -> Path:
    """Return where tracefs is mounted; the daemon mounts it where it is not."""
    for line in Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] == "tracefs":
            return Path(line.split()[1])
    raise LookupError("tracefs is not mounted")


class Traced:
    """A pod with a first process that traps, ignores and relays signals, and a plain sibling."""

    def __init__(self, daemon: Daemon, witness: PodmanClient, name: str) -> None:
        self.daemon, self.witness, self.name = daemon, witness, name
        daemon.write("pod.yaml", pod_manifest(name, containers={"main": MAIN, "side": SIDE}))
        daemon.start()
        daemon.wait_pod(name)
        until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
        self.main, self.side = self.pid("main"), self.pid("side")
        until(lambda: b"HUP" in self.caught(), "the traps of the shell")

    def caught(self) -> bytes:
        """Say which traps are set: HUP when all are, since the shell sets them in turn and this one ignores."""
        fields = dict(line.split(":\t") for line in self.status(self.main).splitlines() if ":\t" in line)
        caught, ignored = int(fields["SigCgt"], 16), int(fields["SigIgn"], 16)
        return b"HUP" if caught >> (signal.SIGQUIT - 1) & 1 and ignored >> (signal.SIGHUP - 1) & 1 else b""

    @staticmethod
    def status(pid: int) -> str:
        """Read /proc/PID/status."""
        return Path(f"/proc/{pid}/status").read_text()

    def pid(self, container: str) -> int:
        """Ask the independent client for a first process."""
        pid: int = self.witness.containers.get(f"{self.name}-{container}").attrs["State"]["Pid"]
        return pid

    def inside(self, pid: int) -> int:
        """Return a process's number in the pod."""
        return int(next(x for x in self.status(pid).splitlines() if x.startswith("NSpid")).split()[-1])

    def records(self) -> list[Any]:
        """Ask the ledger."""
        return list(self.daemon.get(f"/v1/pods/{self.name}/signals?limit=1000").json["items"])

    def wait(self, name: str, **sender: object) -> Any:
        """Wait for the record of a signal to main from such a sender, which has been taken."""

        def find() -> Any:
            found = [
                r
                for r in self.records()
                if r["signal"] == name and all(r["sender"][key] == value for key, value in sender.items())
            ]
            assert len(found) < 2, found
            # It is told after a quarter of a second, by which time a loaded machine may not have let it be taken.
            return found[0] if found and found[0]["disposition"] else None

        return until(find, f"the record of {name} from {sender}; log: {self.daemon.tail()}")


@pytest.fixture
def traced(daemon: Daemon, witness: PodmanClient, name: str) -> Traced:
    """Return a traced pod."""
    return Traced(daemon, witness, name)


def test_each_sender_is_told_apart_field_by_field(traced: Traced) -> None:
    """A sibling's exec, the host and Podman are three senders, and the record says what was done."""
    number = traced.inside(traced.main)
    target = {"container": "main", "pid": number, "host_pid": traced.main, "command": "sh"}
    podman("exec", f"{traced.name}-side", "kill", "-USR1", str(number))
    record = traced.wait("SIGUSR1", origin="exec")
    assert (record["sender"]["container"], record["sender"]["command"]) == ("side", "kill")
    assert (record["target"], record["pod"], record["code"]) == (target, traced.name, "kill")
    assert (record["result"], record["disposition"]) == ("delivered", "handler")
    assert record["latency_us"] >= 0
    assert (record["cause"], record["led_to"], record["count"]) == (None, [], 1)

    os.kill(traced.main, signal.SIGHUP)
    record = traced.wait("SIGHUP", origin="host")
    assert (record["sender"]["container"], record["sender"]["pid"]) == (None, None)
    assert record["sender"]["host_pid"] == os.getpid()
    assert (record["target"], record["result"], record["disposition"]) == (target, "ignored", "ignored")
    assert record["latency_us"] is None

    podman("kill", "-s", "USR1", f"{traced.name}-main")
    record = traced.wait("SIGUSR1", origin="podman")
    assert (record["target"], record["disposition"]) == (target, "handler")
    # Of any result: it is counted when it is told, which may be before a loaded machine has let it be taken.
    labels = f'container="main",pod="{traced.name}",result="[a-z]+",sender_container="side"'
    sample = rf'podsupd_signals_total{{{labels},sender_origin="exec",signal="SIGUSR1"}} (\d+)'
    assert re.findall(sample, traced.daemon.metrics()) == ["1"]


def test_a_relayed_signal_is_a_tree(traced: Traced) -> None:
    """A supervisor that relays a signal to its worker shows as one tree, with the worker's end."""
    os.kill(traced.main, signal.SIGQUIT)
    first = traced.wait("SIGQUIT", origin="host")
    second = traced.wait("SIGUSR2", origin="container")
    until(lambda: traced.wait("SIGUSR2", origin="container")["led_to"], "the worker's end")
    second = traced.wait("SIGUSR2", origin="container")
    first = traced.wait("SIGQUIT", origin="host")
    assert second["cause"] == first["id"]
    assert second["sender"] == {**first["target"], "origin": "container"}
    (sent_on,) = first["led_to"]
    assert (sent_on["kind"], sent_on["signal"], sent_on["id"]) == ("signal", "SIGUSR2", second["id"])
    assert sent_on["pid"] == second["target"]["pid"]
    (end,) = second["led_to"]
    assert (end["kind"], end["pid"], end["signal"]) == ("exit", second["target"]["pid"], None)


def test_an_operators_kill_is_named_in_status_events_and_metrics(traced: Traced) -> None:
    """Why a container died: who killed it, in every place that tells of the death."""
    os.kill(traced.side, signal.SIGKILL)
    (died,) = until(lambda: traced.daemon.events(traced.name, "Died"), "the death")
    cause = "SIGKILL from host process"
    assert cause in died["message"]
    assert "(root)" in died["message"]
    until(lambda: traced.daemon.container(traced.name, "side")["restartCount"] == 1, "the restart")
    last = traced.daemon.container(traced.name, "side")["lastState"]["terminated"]
    assert cause in last["message"]
    labels = (
        f'container="side",exit_code="137",pod="{traced.name}",reason="Error",sender_origin="host",signal="SIGKILL"'
    )
    assert traced.daemon.metric(f"podsupd_container_last_terminated_info{{{labels}}}") == 1
    record = traced.wait("SIGKILL", origin="host")
    (end,) = record["led_to"]
    assert (record["disposition"], end["kind"], end["signal"], end["exit_code"]) == (
        "default",
        "exit",
        "SIGKILL",
        None,
    )


def test_podman_stop_and_our_own_stop_are_two_things(traced: Traced) -> None:
    """An operator's `podman stop` is named; what podsupd does itself is podsupd's."""
    podman("stop", f"{traced.name}-main", check=False)
    (died,) = until(lambda: traced.daemon.events(traced.name, "Died"), "the death")
    assert "exited with code 3 after SIGTERM from podman stop" in died["message"]
    record = traced.wait("SIGTERM", origin="podman")
    until(lambda: traced.wait("SIGTERM", origin="podman")["led_to"][0]["exit_code"] == 3, "the exit code")
    assert (record["target"]["pid"], record["disposition"]) == (record["led_to"][0]["pid"], "handler")
    traced.daemon.wait_pod(traced.name)
    traced.daemon.cli("restart", f"{traced.name}/side")
    (stopped,) = traced.daemon.events(traced.name, "Stopped")
    assert "SIGTERM from podsupd" in stopped["message"]
    # And whoever the shell has left behind gets it from podsupd too.
    until(
        lambda: (
            traced.side
            in {
                r["target"]["host_pid"]
                for r in traced.records()
                if r["signal"] == "SIGTERM" and r["sender"]["origin"] == "podsupd"
            }
        ),
        f"our own SIGTERM to the first process; log: {traced.daemon.tail()}",
    )


def test_a_siblings_kill_names_the_sibling(daemon: Daemon, name: str) -> None:
    """A container that is killed from another one in the shared PID namespace is no crash of its own."""
    killer = "for p in /proc/[0-9]*; do grep -q victim-marker $p/cmdline && kill -KILL ${p#/proc/}; done"
    side = f"while [ ! -e /go ]; do sleep 0.1; done; rm /go; {killer}; while :; do sleep 1; done".replace(
        "victim-marker", "victim-mar[k]er"
    )
    main = "while :; do sleep 0.1; done # victim-marker"
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": main, "sidecar": side}))
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    podman("exec", f"{name}-sidecar", "touch", "/go")
    (died,) = until(lambda: daemon.events(name, "Died"), f"the death; log: {daemon.tail()}")
    assert "ended by SIGKILL (exit code 137): SIGKILL from container sidecar" in died["message"]


def test_the_command_prints_and_follows(traced: Traced) -> None:
    """`podsupd signals` shows the ledger, and with --follow what comes."""
    os.kill(traced.main, signal.SIGUSR1)
    traced.wait("SIGUSR1", origin="host")
    assert "main/sh" in traced.daemon.cli("signals", traced.name).stdout
    command = [str(Path(os.sys.executable).parent / "podsupd"), "signals", traced.name, "--follow", "-o", "json"]  # type: ignore[attr-defined]
    command += ["--limit", "0", "--socket", str(traced.daemon.socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            # It follows from now on: until it has joined, the signal is repeated.
            os.set_blocking(follower.stdout.fileno(), False)

            def line() -> str:
                os.kill(traced.main, signal.SIGUSR1)
                return follower.stdout.readline() if follower.stdout else ""

            row = json.loads(until(line, "a followed signal", every=0.3))
        finally:
            follower.kill()
    assert (row["signal"], row["sender"]["host_pid"]) == ("SIGUSR1", os.getpid())


def test_the_instance_goes_with_the_daemon_and_after_a_kill_with_the_next(traced: Traced) -> None:
    """Nothing goes on in the kernel without a daemon for longer than until the next start."""
    owner = next(iter(json.loads((traced.daemon.state / "owner.json").read_text()).values()))
    instance = tracing() / "instances" / f"podsupd-{owner}"
    made = instance.stat().st_ino
    # As long as a file of it is open, no other test's daemon that starts just then can take it away.
    with (instance / "per_cpu" / "cpu0" / "trace_pipe_raw").open("rb", buffering=0):
        traced.daemon.kill()
        assert instance.stat().st_ino == made
    traced.daemon.start()
    until(lambda: traced.daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer after a kill")
    assert instance.stat().st_ino != made
    os.kill(traced.main, signal.SIGUSR1)
    assert traced.wait("SIGUSR1", origin="host")["target"]["container"] == "main"
    traced.daemon.stop()
    assert not instance.exists()


def test_without_tracing_everything_else_works(make_daemon: Callable[..., Daemon], name: str) -> None:
    """With the tracer off a death is healed and told as before, and the gauge and the condition say it is off."""
    daemon = make_daemon(settings='[signals]\ntracer = "off"\n')
    daemon.write("pod.yaml", pod_manifest(name))
    daemon.start()
    daemon.wait_pod(name)
    assert daemon.metric("podsupd_signal_tracer_up") == 0
    assert "SignalTracer: False (Off)" in daemon.get("/healthz?verbose=true").text
    os.kill(json.loads(podman("inspect", f"{name}-main"))[0]["State"]["Pid"], signal.SIGKILL)
    (died,) = until(lambda: daemon.events(name, "Died"), "the death")
    assert "ended by SIGKILL (exit code 137);" in died["message"]
    assert daemon.cli("signals", name).stdout == "No signals.\n"


def test_an_out_of_memory_kill_is_the_kernels(daemon: Daemon, name: str) -> None:
    """A process that hit the container's limit was killed by the kernel, not by itself or a stranger."""
    hungry = "until [ -e /go ]; do sleep 0.1; done; x=a; while :; do x=$x$x; done"
    text = pod_manifest(name, containers={"main": hungry}).replace(
        "    command:", "    resources: {limits: {memory: 16Mi}}\n    command:"
    )
    daemon.write("pod.yaml", text)
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    # Not by an exec, which may be what the kernel kills.
    Path("/proc", podman("inspect", f"{name}-main", "--format", "{{.State.Pid}}"), "root/go").touch()

    def killed() -> Any:
        items = daemon.get(f"/v1/pods/{name}/signals").json["items"]
        return [r for r in items if r["signal"] == "SIGKILL" and r["sender"]["origin"] == "kernel"]

    record = until(killed, f"the kernel's kill; log: {daemon.tail()}")[0]
    assert record["target"]["container"] == "main"
    assert record["sender"] == {"container": None, "pid": None, "host_pid": None, "command": "", "origin": "kernel"}
    (died, *_) = until(lambda: daemon.events(name, "Died"), "the death")
    assert "out of memory" in died["message"]
    last = until(lambda: daemon.container(name, "main")["lastState"].get("terminated"), "the death in the status")
    assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)
    labels = f'container="main",exit_code="137",pod="{name}",reason="OOMKilled",sender_origin="kernel",signal="SIGKILL"'
    assert daemon.metric(f"podsupd_container_last_terminated_info{{{labels}}}") == 1


def test_an_idle_tracer_does_not_show(traced: Traced) -> None:
    """The daemon's CPU with a pod that forks ten times a second stays what a person would call nothing."""

    def spent() -> float:
        fields = Path(f"/proc/{traced.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def idles() -> bool:
        began, before = time.monotonic(), spent()
        until(lambda: time.monotonic() - began > 5, "five seconds of idling", every=0.5)
        return (spent() - before) / (time.monotonic() - began) < 0.1

    # The trace is of the whole machine: while another test forks or signals by the thousand, it has to be read.
    until(idles, "five seconds of next to nothing", 120)


@pytest.fixture
def crun(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a Podman service whose containers are crun's, which clones straight into the cgroup."""
    socket = tmp_path / "crun.sock"
    wrapper = Path(__file__).parents[1] / "hosts" / "crun-hybrid"
    command = ["podman", "--runtime", str(wrapper), "system", "service", "--time", "0", f"unix://{socket}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        until(socket.exists, "the Podman service of crun")
        yield f"unix://{socket}"
        service.terminate()


def test_under_crun_it_is_the_same(make_daemon: Callable[..., Daemon], crun: str, name: str) -> None:
    """Another runtime starts its processes in another way; who they are is known all the same."""
    daemon = make_daemon(podman_url=crun)
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": "trap : USR1; " + SIDE, "side": SIDE}))
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    pid = json.loads(podman("inspect", f"{name}-main"))[0]["State"]["Pid"]
    number = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("NSpid")).split()[-1]

    def records(signal_name: str) -> list[Any]:
        items = daemon.get(f"/v1/pods/{name}/signals").json["items"]
        return [r for r in items if r["signal"] == signal_name]

    podman("exec", f"{name}-side", "kill", "-USR1", number)
    (record,) = until(lambda: records("SIGUSR1"), "the exec'ed kill")
    assert (record["sender"]["origin"], record["sender"]["container"]) == ("exec", "side")
    assert (record["sender"]["command"], record["target"]["container"]) == ("kill", "main")
    daemon.cli("restart", f"{name}/main")
    stopped = until(lambda: records("SIGTERM"), "our own stop")
    assert {record["sender"]["origin"] for record in stopped} == {"podsupd"}


NGINX = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 5
  containers:
  - {{name: web, image: docker.io/library/nginx:latest, imagePullPolicy: IfNotPresent}}
  - name: client
    image: docker.io/library/busybox:latest
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "while :; do sleep 1; done"]
"""


def test_nginx_quits_for_a_sibling_and_it_is_told_whole(daemon: Daemon, name: str) -> None:
    """SIGQUIT from the client's container ends the master with code 0, and the death says who asked for it."""
    daemon.write("pod.yaml", NGINX.format(name=name))
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: daemon.metric("podsupd_signal_tracer_up") == 1, "the tracer")
    pid = json.loads(podman("inspect", f"{name}-web"))[0]["State"]["Pid"]
    until(lambda: nginx_workers(pid), "nginx's workers")
    number = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("NSpid")).split()[-1]
    podman("exec", f"{name}-client", "kill", "-QUIT", number)

    def quit_() -> Any:
        items = daemon.get(f"/v1/pods/{name}/signals").json["items"]
        return next((r for r in items if r["signal"] == "SIGQUIT" and r["target"]["host_pid"] == pid), None)

    until(quit_, "the record")
    until(lambda: any(c["exit_code"] == 0 for c in quit_()["led_to"]), f"the master's exit; log: {daemon.tail()}")
    record = quit_()
    assert (record["sender"]["origin"], record["sender"]["container"]) == ("exec", "client")
    assert (record["target"]["container"], record["target"]["command"]) == ("web", "nginx")
    assert (record["result"], record["disposition"]) == ("delivered", "handler")
    (died,) = until(lambda: daemon.events(name, "Died"), "the death")
    assert "exited with code 0 after SIGQUIT from 'kill' executed in container client" in died["message"]


def test_a_storm_is_counted_whole(traced: Traced) -> None:
    """Twenty thousand signals are all in the counter, and a handful of rows in the history."""
    total, step = 20_000, 100
    began = time.monotonic()
    for _ in range(total // step):
        for _ in range(step):
            os.kill(traced.main, signal.SIGHUP)
        # 5,000 a second, so that it holds on a machine that tests other things too; bench/signals.py is faster.
        time.sleep(step / 5_000)
    took_s = time.monotonic() - began
    # Of any result: while the shell forks its sleep, glibc blocks all signals, and one sent then is queued.
    sample = re.compile(rf'podsupd_signals_total{{.*pod="{traced.name}".*sender_origin="host",signal="SIGHUP"}} (\d+)')
    until(lambda: sample.search(traced.daemon.metrics()), "the storm")

    def counted() -> int:
        return sum(int(value) for value in sample.findall(traced.daemon.metrics()))

    end = time.monotonic() + 60
    while counted() < total and time.monotonic() < end:
        time.sleep(0.05)
    # What is lost may be forks of another test's, of which there are more than of these.
    assert counted() == total, traced.daemon.metric("podsupd_signal_trace_lost_total")
    rows = [r for r in traced.records() if r["signal"] == "SIGHUP"]
    assert sum(r["count"] for r in rows) == total
    # Some twenty a second are told one by one, however long it took.
    assert len(rows) < 50 * max(4, took_s)
