"""(f) A thousand probes every ten seconds: how late they are, what they cost, and whether that grows in a line.

The pods are the fake libpod's, ten httpGet probes each, in one real network namespace that they share: what is
measured is the daemon with its relists, not Podman, which has no part in an httpGet.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.daemon import Daemon
from bench.manifests import PERIOD_S, settle, write_one
from bench.plot import Series, least_squares, scatter
from bench.process import cpu_seconds
from bench.rows import Options, Row, samples

name = "probes at scale"

SIZES = (10, 100, 250, 500, 750, 1000)
PER_POD = 10
# Until the start's own work is over and every probe has had its first turn.
SETTLE_S = 2 * PERIOD_S
LAG = "podsupd_probe_schedule_lag_seconds"


@dataclass(frozen=True, slots=True)
class Point:
    """One size: probes, the daemon's CPU in per cent of a core, quantiles of the lag in ms, attempts that failed."""

    probes: int
    cpu: float
    median_ms: float
    p99_ms: float
    attempts: int
    failed: int


def run(options: Options) -> list[Row]:
    """Measure each size in a window of its own, with a new daemon."""
    points = [_measure(options, size) for size in SIZES]
    if options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        for file, label, series in _plots(points):
            (options.plots / file).write_text(scatter(series, "httpGet probes, each every 10 s", label))
    most = points[-1]
    rows = []
    for point in points:
        rows += [
            Row(f"{point.probes} probes: CPU of the daemon", "% of a core", samples([point.cpu])),
            Row(f"{point.probes} probes: lag, median", "ms", samples([point.median_ms])),
            Row(f"{point.probes} probes: lag, p99", "ms", samples([point.p99_ms])),
        ]
    failed = sum(p.failed for p in points)
    return [
        *rows,
        Row(f"attempts of {sum(p.attempts for p in points)} that failed", "", samples([failed]), limit=0),
        Row(f"{most.probes} probes: lag, p99", "ms", samples([most.p99_ms]), limit=50.0),
        Row(f"{most.probes} probes: CPU of the daemon", "% of a core", samples([most.cpu]), limit=50.0),
        Row(
            "distance of the CPU from a line",
            "1 - R²",
            samples([1 - _fit([(p.probes, p.cpu) for p in points])]),
            limit=0.02,
        ),
    ]


def _plots(points: list[Point]) -> Iterator[tuple[str, str, list[Series]]]:
    cpu = Series("CPU of the daemon", [(p.probes, p.cpu) for p in points], line=True)
    yield "probes-cpu.svg", "% of a core", [cpu]
    lag = [
        Series("p99", [(p.probes, p.p99_ms) for p in points]),
        Series("median", [(p.probes, p.median_ms) for p in points]),
    ]
    yield "probes-lag.svg", "schedule lag, ms", lag


def _measure(options: Options, size: int) -> Point:
    pods = [f"{options.prefix}-p{i}" for i in range(size // PER_POD)]
    with (
        tempfile.TemporaryDirectory(prefix="podsupd-bench-") as directory,
        _world(Path(directory)) as url,
        Daemon(replace(options, url=url), Path(directory)) as daemon,
    ):
        for pod in pods:
            write_one(daemon.manifests / f"{pod}.yaml", _documents(pod))
        settle()
        daemon.start()
        daemon.wait_pods_ready(len(pods))
        time.sleep(SETTLE_S)
        before, own, began = _metrics(daemon), cpu_seconds(daemon.pid)[0], time.monotonic()
        time.sleep(options.window_s)
        after, own_after, ended = _metrics(daemon), cpu_seconds(daemon.pid)[0], time.monotonic()
    grown = {key: value - before.get(key, 0.0) for key, value in after.items()}
    attempts = {k: v for k, v in grown.items() if k.startswith("podsupd_probe_total{")}
    total = sum(attempts.values())
    expected = size * options.window_s / PERIOD_S
    if total < 0.9 * expected:
        raise RuntimeError(f"cannot measure {size} probes: {total:.0f} attempts in the window, not {expected:.0f}")
    return Point(
        size,
        100 * (own_after - own) / (ended - began),
        1000 * _quantile(grown, 0.5),
        1000 * _quantile(grown, 0.99),
        round(total),
        round(sum(v for k, v in attempts.items() if 'result="successful"' not in k)),
    )


def _documents(pod: str) -> dict[str, dict[str, Any]]:
    probe = {"httpGet": {"host": "127.0.0.1", "port": 80, "path": "/"}, "periodSeconds": PERIOD_S, "timeoutSeconds": 5}
    container = {
        "name": "main",
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "livenessProbe": probe,
        "readinessProbe": probe,
    }
    policies = [{"name": f"policy-{n}", "from": "Pod", **probe} for n in range(PER_POD - 2)]
    metadata = {"name": pod}
    return {
        "pod": {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}},
        "policy": {
            "apiVersion": "podsupd.io/v1",
            "kind": "PodPolicy",
            "metadata": metadata,
            "spec": {"probes": policies},
        },
    }


@contextmanager
def _world(directory: Path) -> Iterator[str]:
    """Yield the URL of a libpod whose containers are processes in one network namespace."""
    path = directory / "podman.sock"
    # The signals of this bench's own processes are nobody's business here.
    os.environ["PODSUPD_SIGNALS__TRACER"] = "off"
    command = ["unshare", "--net", sys.executable, "-m", "bench.probe_world", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as world:
        try:
            if world.stdout is None or world.stdout.readline() != b"ready\n":
                raise RuntimeError("cannot make pods for the probes' bench: see above")
            yield f"unix://{path}"
        finally:
            world.send_signal(signal.SIGTERM)
            world.wait(30)
            del os.environ["PODSUPD_SIGNALS__TRACER"]


def _metrics(daemon: Daemon) -> dict[str, float]:
    text = str(daemon.request("GET", "/metrics")[1])
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {key: float(value) for key, _, value in lines}


def _quantile(grown: dict[str, float], share: float) -> float:
    """Return a quantile of the lag in seconds, by the line between the bounds of its bucket, as Prometheus does."""
    buckets: dict[float, float] = {}
    for key, value in grown.items():
        if key.startswith(f"{LAG}_bucket{{"):
            bound = float(key.partition('le="')[2].partition('"')[0])
            buckets[bound] = buckets.get(bound, 0.0) + value
    bounds = sorted(buckets)
    wanted = share * buckets[bounds[-1]]
    low, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            return low + (bound - low) * (wanted - below) / (buckets[bound] - below)
        low, below = bound, buckets[bound]
    return bounds[-2]


def _fit(points: list[tuple[float, float]]) -> float:
    """Return R² of the straight line through the points."""
    slope, base = least_squares(points)
    mean = sum(y for _, y in points) / len(points)
    left = sum((y - slope * x - base) ** 2 for x, y in points)
    return 1 - left / sum((y - mean) ** 2 for _, y in points)
