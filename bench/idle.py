"""(d) What the daemon costs while nothing happens but probes: httpGet, tcpSocket and exec, each pod one of each."""

import tempfile
import time
from pathlib import Path

from bench.daemon import Daemon
from bench.manifests import PERIOD_S, pod, write
from bench.podman_api import Watcher
from bench.process import cpu_seconds, status_mb
from bench.rows import Options, Row, samples

name = "idle daemon"

# Until the start's own work is over and every probe has had its first turn.
SETTLE_S = 2 * PERIOD_S


def run(options: Options) -> list[Row]:
    """Measure one window."""
    pods = {n: pod(n, probes=True) for n in (f"{options.prefix}-d{i}" for i in range(options.pods))}
    watcher = Watcher(options.url, options.prefix)
    try:
        with tempfile.TemporaryDirectory() as directory, Daemon(options, Path(directory)) as daemon:
            write(daemon.manifests, pods)
            daemon.start()
            daemon.wait_pods_ready(len(pods))
            time.sleep(SETTLE_S)
            began, own, children = time.monotonic(), *cpu_seconds(daemon.pid)
            time.sleep(options.window_s)
            window, own_after, children_after = time.monotonic() - began, *cpu_seconds(daemon.pid)
            rss = status_mb(daemon.pid, "VmRSS")
            peak = status_mb(daemon.pid, "VmHWM")
    finally:
        watcher.remove_pods()
    per_cent = 100 / window
    return [
        Row(f"CPU, {len(pods)} pods x 3 probes", "% of a core", samples([(own_after - own) * per_cent]), limit=2.0),
        Row("CPU of what it runs (exec)", "% of a core", samples([(children_after - children) * per_cent])),
        Row("RSS", "MB", samples([rss]), limit=90.0),
        Row("RSS at its peak", "MB", samples([peak])),
    ]
