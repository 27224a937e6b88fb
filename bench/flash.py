"""(g) What wears out flash: what state.db and history.db write, and what the log says, idle and in the worst nights.

The state directory lies on a disk of its own, where the file system's journal and the flushes count too.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.daemon import Daemon
from bench.disk import Disk, disk
from bench.manifests import PERIOD_S, container, pod, write_text
from bench.podman_api import Watcher
from bench.rows import Options, Row, samples

Document = dict[str, Any]

name = "flash"

# An idle daemon writes nothing: a save a minute would be more than this.
IDLE_MB = 1.0
IDLE_FLUSHES = 12.0
# 10 MB an hour are 88 GB a year: 1 % of what an eMMC of 8 GB with 1,000 cycles takes.
FLAP_MB = 10.0
CRASH_KB = 250.0
FLAP_S = 2
CRASH_EVERY_S = 10
# Until a flapping probe has used up what is told and written at once (core.sparing): 25 changes.
SETTLE_S = 3 * PERIOD_S + 25 * FLAP_S
PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Window:
    """What came to the disk and to the log in a window, by the hour; deaths: of containers, in the window."""

    megabytes: float
    flushes: float
    lines: float
    deaths: int
    seconds: float


def run(options: Options) -> list[Row]:
    """Measure three daemons, one after the other."""
    prefix = options.prefix
    quiet = _measure(options, [pod(f"{prefix}-f{number}", probes=True) for number in range(10)])
    flap = _measure(options, [_flapping(f"{prefix}-flap")])
    crash = _measure(options, _crashing(f"{prefix}-crash"))
    if not crash.deaths:
        raise RuntimeError("the container that was to crash did not: nothing was measured")
    deaths = crash.deaths
    written = crash.megabytes * crash.seconds / PER_HOUR
    return [
        Row("idle, 10 pods x 3 probes: written", "MB an hour", samples([quiet.megabytes]), limit=IDLE_MB),
        Row("idle: flushes of the disk", "an hour", samples([quiet.flushes]), limit=IDLE_FLUSHES),
        Row("idle: lines of the log", "an hour", samples([quiet.lines]), limit=0.0),
        Row(f"a probe that flips every {FLAP_S} s: written", "MB an hour", samples([flap.megabytes]), limit=FLAP_MB),
        Row("the same: flushes of the disk", "an hour", samples([flap.flushes])),
        Row("the same: lines of the log", "an hour", samples([flap.lines])),
        Row("a crash and its restart: written", "KB", samples([written * 1000 / deaths]), limit=CRASH_KB),
        Row("the same: flushes of the disk", "", samples([crash.flushes * crash.seconds / PER_HOUR / deaths])),
        Row("the same: lines of the log", "", samples([crash.lines * crash.seconds / PER_HOUR / deaths])),
    ]


def _measure(options: Options, documents: Sequence[Document]) -> Window:
    watcher = Watcher(options.url, options.prefix)
    try:
        with tempfile.TemporaryDirectory() as directory, disk() as state, _daemon(options, directory, state) as daemon:
            write_text(daemon.manifests / "pods.yaml", yaml.safe_dump_all(documents, sort_keys=False))
            daemon.start()
            daemon.wait_ready()
            time.sleep(SETTLE_S)
            began, before, lines = time.monotonic(), state.written(), _lines(daemon.log)
            time.sleep(options.window_s)
            seconds, (size, flushes), said = time.monotonic() - began, state.written().since(before), _lines(daemon.log)
            daemon.stop()
    finally:
        watcher.remove_pods()
    new, hourly = said[len(lines) :], PER_HOUR / seconds
    deaths = sum('"Died"' in line for line in new)
    return Window(size / 1e6 * hourly, flushes * hourly, len(new) * hourly, deaths, seconds)


def _daemon(options: Options, directory: str, state: Disk) -> Daemon:
    return Daemon(options, Path(directory), PODSUPD_STATE__DIR=str(state.path / "state"))


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines()


def _flapping(pod_name: str) -> Document:
    toggle = f"while :; do touch /tmp/up; sleep {FLAP_S}; rm /tmp/up; sleep {FLAP_S}; done"
    probe = {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    return _of_one(pod_name, {**container("c", ["sh", "-c", toggle]), "readinessProbe": probe})


def _crashing(pod_name: str) -> list[Document]:
    backoff = {"maxSeconds": CRASH_EVERY_S, "recreateAfterFailures": 1_000_000}
    policy = {
        "apiVersion": "podsupd.io/v1",
        "kind": "PodPolicy",
        "metadata": {"name": pod_name},
        "spec": {"backoff": backoff},
    }
    return [_of_one(pod_name, container("c", ["sh", "-c", "exit 3"])), policy]


def _of_one(pod_name: str, only: Document) -> Document:
    spec = {"terminationGracePeriodSeconds": 1, "containers": [only]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod_name}, "spec": spec}
