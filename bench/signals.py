"""(e) What the ledger holds and costs: a storm into a pod, one that is nobody's business, and how late it is told."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
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
# A process of its own sends: the pace must not depend on who measures.
SENDER = """
import os, sys, time
pid, number, rate, seconds = map(int, sys.argv[1:])
began, sent = time.monotonic(), 0
while sent < rate * seconds:
    due = min(rate * seconds, int((time.monotonic() - began) * rate))
    for _ in range(due - sent):
        os.kill(pid, number)
    sent = due
    time.sleep(0.001)
print(time.monotonic() - began)
"""


def run(options: Options) -> list[Row]:
    """Measure each storm once."""
    pod = f"{options.prefix}-signals"
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod},
        "spec": {
            "shareProcessNamespace": True,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": "docker.io/library/busybox:latest",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", SCRIPT],
                }
            ],
        },
    }
    watcher = Watcher(options.url, options.prefix)
    try:
        with tempfile.TemporaryDirectory() as directory, Daemon(options, Path(directory)) as daemon:
            write(daemon.manifests, {pod: manifest})
            daemon.start()
            daemon.wait_pods_ready(1)
            target = watcher.state(f"{pod}-main")["Pid"]
            if _metric(daemon, "podsupd_signal_tracer_up") != 1:
                raise RuntimeError("cannot measure the ledger: this machine's signals are not traced")
            rows = _storm(daemon, target, signal.SIGUSR1, "ignored")
            rows += _storm(daemon, target, signal.SIGUSR2, "handled")
            rows += _foreign(daemon)
            rows += _latency(daemon, Path(directory) / "podsupd.sock", pod, target)
            return rows
    finally:
        watcher.remove_pods()


def _storm(daemon: Daemon, target: int, number: int, label: str) -> list[Row]:
    told, lost = _metric(daemon, "podsupd_signals_total"), _metric(daemon, "podsupd_signal_trace_lost_total")
    cost = _send(daemon, target, number, RATE, SECONDS)
    time.sleep(SETTLE_S)
    missing = RATE * SECONDS - (_metric(daemon, "podsupd_signals_total") - told)
    lost = _metric(daemon, "podsupd_signal_trace_lost_total") - lost
    what = f"{RATE} {label} a second for {SECONDS} s"
    return [
        Row(f"{what}: not told", "signals", samples([missing]), limit=0.0),
        Row(f"{what}: lost by the kernel", "records", samples([lost]), limit=0.0),
        Row(f"{what}: CPU", "% of a core", samples([cost])),
    ]


def _foreign(daemon: Daemon) -> list[Row]:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        try:
            cost = _send(daemon, stranger.pid, signal.SIGWINCH, FOREIGN_RATE, SECONDS)
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


def _send(daemon: Daemon, target: int, number: int, rate: int, seconds: int) -> float:
    """Send, and return the daemon's CPU meanwhile in per cent of a core."""
    before = _cpu_seconds(daemon.pid)
    arguments = [sys.executable, "-c", SENDER, *map(str, (target, int(number), rate, seconds))]
    took = float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    return (_cpu_seconds(daemon.pid) - before) / took * 100


def _metric(daemon: Daemon, family: str) -> float:
    """Return the sum of a family's samples."""
    text: Any = daemon.request("GET", "/metrics")[1]
    lines = (line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == family)
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
