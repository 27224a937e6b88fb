"""(e) What the ledger holds and costs: a storm inside a pod, one that is nobody's business, and how late it is told.

The same storm is given to `perf trace` and `bpftrace` where they are installed, which print a line for each signal.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.daemon import Daemon
from bench.manifests import write
from bench.podman_api import Watcher
from bench.rows import Options, Row, samples

name = "signals"

RATE, SECONDS = 20_000, 10
FOREIGN_RATE = 5_000
SINGLES = 50
# After the last signal: the ledger's own delay, a storm's second, and the batch of the history.
SETTLE_S = 3.0
SCRIPT = "trap '' USR1; trap : USR2; while :; do sleep 1; done"
LIBRARIES = {"/usr": "/usr", "/usr/lib": "/lib", "/usr/lib64": "/lib64"}  # Debian's own Python runs in the small image
# A process of its own sends: the pace must not depend on who measures.
SENDER = """
import os, sys, time

def send(pid, number, rate, seconds):
    began, sent = time.monotonic(), 0
    while sent < rate * seconds:
        due = min(rate * seconds, int((time.monotonic() - began) * rate))
        for _ in range(due - sent):
            os.kill(pid, number)
        sent = due
        time.sleep(0.001)
    return time.monotonic() - began
"""
OUTSIDE = SENDER + "print(send(*map(int, sys.argv[1:])))"
# As a process of a container it waits for its orders in a file.
INSIDE = (
    SENDER
    + """
while True:
    if os.path.exists("/bench/orders"):
        with open("/bench/orders") as orders:
            took = send(*map(int, orders.read().split()))
        os.unlink("/bench/orders")
        with open("/bench/new", "w") as answer:
            answer.write(str(took))
        os.rename("/bench/new", "/bench/took")
    time.sleep(0.05)
"""
)
Send = Callable[[int, int, int, int], float]
"""Send (to a host pid, a signal, so many a second, for so many seconds); returns how long it took."""
OTHERS = {
    "perf trace": ["perf", "trace", "-a", "-e", "signal:signal_generate", "--filter", "sig==10"],
    "bpftrace": [
        *("bpftrace", "-e"),
        'tracepoint:signal:signal_generate /args->sig == 10/ { printf("%d %s signal_generate\\n", pid, args->comm); }',
    ],
}


def run(options: Options) -> list[Row]:
    """Measure each storm once."""
    pod = f"{options.prefix}-signals"
    watcher = Watcher(options.url, options.prefix)
    try:
        with tempfile.TemporaryDirectory() as directory, Daemon(options, Path(directory)) as daemon:
            inside = _Inside(Path(directory) / "orders")
            write(daemon.manifests, {pod: _manifest(pod, inside.directory)})
            daemon.start()
            daemon.wait_pods_ready(1)
            target = watcher.state(f"{pod}-main")["Pid"]
            if _metric(daemon, "podsupd_signal_tracer_up") != 1:
                raise RuntimeError("cannot measure the ledger: this machine's signals are not traced")
            rows = _storm(daemon, inside.send, target, signal.SIGUSR1, "ignored, between two containers")
            rows += _storm(daemon, _from_outside, target, signal.SIGUSR1, "ignored, from the host")
            rows += _storm(daemon, _from_outside, target, signal.SIGUSR2, "handled, from the host")
            rows += _foreign(daemon)
            rows += _latency(daemon, Path(directory) / "podsupd.sock", pod, target)
            daemon.stop()
            for name_, command in OTHERS.items():
                rows += _other(name_, command, inside.send, target, Path(directory) / "lines")
            return rows
    finally:
        watcher.remove_pods()


def _manifest(pod: str, orders: Path) -> dict[str, Any]:
    paths = LIBRARIES | {str(orders): "/bench"}
    mounts = [{"name": f"v{n}", "mountPath": at, "readOnly": at != "/bench"} for n, at in enumerate(paths.values())]
    commands = {"main": ["sh", "-c", SCRIPT], "sender": ["/usr/bin/python3", "-c", INSIDE]}
    containers = [
        {
            "name": container,
            "image": "docker.io/library/busybox:latest",
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "volumeMounts": mounts,
        }
        for container, command in commands.items()
    ]
    spec = {
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": f"v{n}", "hostPath": {"path": path}} for n, path in enumerate(paths)],
        "containers": containers,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec}


class _Inside:
    """The sender that is a process of the pod."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def send(self, target: int, number: int, rate: int, seconds: int) -> float:
        """Send, by the number that the target has in the pod."""
        status = Path(f"/proc/{target}/status").read_text()
        pid = next(line for line in status.splitlines() if line.startswith("NSpid")).split()[-1]
        took = self.directory / "took"
        took.unlink(missing_ok=True)
        draft = self.directory / "draft"
        draft.write_text(f"{pid} {int(number)} {rate} {seconds}")
        draft.rename(self.directory / "orders")
        deadline = time.monotonic() + seconds * 10
        while not took.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("cannot measure the ledger: the sender in the pod does not end")
            time.sleep(0.05)
        return float(took.read_text())


def _from_outside(target: int, number: int, rate: int, seconds: int) -> float:
    arguments = [sys.executable, "-c", OUTSIDE, *map(str, (target, int(number), rate, seconds))]
    return float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def _other(name_: str, command: list[str], send: Send, target: int, lines: Path) -> list[Row]:
    """Give the storm to another tool; nothing where it is not installed or does not run on this kernel."""
    if shutil.which(command[0]) is None:
        return []
    with lines.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as tool:
        # None of them says when it has begun: a signal now and then, until the first is printed.
        deadline = time.monotonic() + 20
        while _printed(lines) == 0:
            if time.monotonic() > deadline or tool.poll() is not None:
                tool.kill()
                return []
            send(target, signal.SIGUSR1, 1, 1)
        time.sleep(SETTLE_S)
        first, before = _printed(lines), _cpu_seconds(tool.pid)
        took = send(target, signal.SIGUSR1, RATE, SECONDS)
        cost = (_cpu_seconds(tool.pid) - before) / took * 100
        time.sleep(SETTLE_S)
        tool.send_signal(signal.SIGINT)
        tool.wait(20)
    missing = RATE * SECONDS - (_printed(lines) - first)
    what = f"{RATE} ignored, between two containers, a second for {SECONDS} s"
    return [
        Row(f"{name_}, {what}: not told", "signals", samples([missing])),
        Row(f"{name_}, {what}: CPU", "% of a core", samples([cost])),
    ]


def _printed(lines: Path) -> int:
    return lines.read_bytes().count(b"signal_generate")


def _storm(daemon: Daemon, send: Send, target: int, number: int, label: str) -> list[Row]:
    told, lost = _metric(daemon, "podsupd_signals_total"), _metric(daemon, "podsupd_signal_trace_lost_total")
    cost = _cost(daemon, send, target, number, RATE)
    time.sleep(SETTLE_S)
    missing = RATE * SECONDS - (_metric(daemon, "podsupd_signals_total") - told)
    lost = _metric(daemon, "podsupd_signal_trace_lost_total") - lost
    what = f"{RATE} {label}, a second for {SECONDS} s"
    return [
        Row(f"{what}: not told", "signals", samples([missing]), limit=0.0),
        Row(f"{what}: lost by the kernel", "records", samples([lost]), limit=0.0),
        Row(f"{what}: CPU", "% of a core", samples([cost])),
    ]


def _foreign(daemon: Daemon) -> list[Row]:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            cost = _cost(daemon, _from_outside, stranger.pid, signal.SIGWINCH, FOREIGN_RATE)
        finally:
            stranger.kill()
    return [Row(f"{FOREIGN_RATE} foreign ones a second: CPU", "% of a core", samples([cost]))]


def _latency(daemon: Daemon, path: Path, pod: str, target: int) -> list[Row]:
    """From the kernel's time of a signal to the line in a follower's hands."""
    late: list[float] = []
    seen = threading.Event()
    connection = http.client.HTTPConnection("localhost", timeout=20)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(20)
    connection.sock.connect(str(path))
    since = max((r["id"] for r in daemon.request("GET", f"/v1/pods/{pod}/signals?limit=1")[1]["items"]), default=0)
    connection.request("GET", f"/v1/pods/{pod}/signals?follow=true&since={since}")
    answer = connection.getresponse()

    def read() -> None:
        for line in answer:
            if line.startswith(b"data: ") and json.loads(line[6:])["signal"] == "SIGUSR2":
                late.append((time.time() - json.loads(line[6:])["id"] / 1e6) * 1000)
                seen.set()
                if len(late) == SINGLES:
                    return

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(SINGLES):
        seen.clear()
        os.kill(target, signal.SIGUSR2)
        if not seen.wait(10):
            raise RuntimeError("cannot measure the ledger's latency: a signal was not told within 10 s")
    reader.join()
    connection.close()
    late.sort()
    return [
        Row("kernel to follower, median", "ms", samples([late[len(late) // 2]])),
        Row("kernel to follower, p99", "ms", samples([late[int(len(late) * 0.99)]])),
    ]


def _cost(daemon: Daemon, send: Send, target: int, number: int, rate: int) -> float:
    """Send, and return the daemon's CPU meanwhile in per cent of a core."""
    before = _cpu_seconds(daemon.pid)
    took = send(target, number, rate, SECONDS)
    return (_cpu_seconds(daemon.pid) - before) / took * 100


def _metric(daemon: Daemon, family: str) -> float:
    """Return the sum of a family's samples."""
    text: Any = daemon.request("GET", "/metrics")[1]
    lines = (line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == family)
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
