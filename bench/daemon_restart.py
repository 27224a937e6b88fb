"""(c) Ending and starting the daemon over running pods: how soon it is ready, and that nothing was touched."""

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.daemon import Daemon
from bench.manifests import pod, write
from bench.podman_api import Watcher
from bench.rows import Options, Row, samples

name = "daemon restart"


def run(options: Options) -> list[Row]:
    """Restart it options.repeats times."""
    pods = {n: pod(n) for n in (f"{options.prefix}-c{i}" for i in range(options.pods))}
    watcher = Watcher(options.url, options.prefix)
    ends, readies, alls, touched = [], [], [], 0
    try:
        with tempfile.TemporaryDirectory() as directory, Daemon(options, Path(directory)) as daemon:
            write(daemon.manifests, pods)
            daemon.start()
            daemon.wait_pods_ready(len(pods))
            before = _lives(watcher)
            for _ in range(options.repeats):
                ends.append(daemon.stop())
                began = time.monotonic()
                daemon.start()
                daemon.wait_ready()
                readies.append(time.monotonic() - began)
                daemon.wait_pods_ready(len(pods))
                alls.append(time.monotonic() - began)
            after = _lives(watcher)
            touched = len(set(before.items()) ^ set(after.items()))
    finally:
        watcher.remove_pods()
    return [
        Row(f"/readyz over {len(pods)} pods", "s", samples(readies), limit=2.0),
        Row("all pods Ready again", "s", samples(alls)),
        Row("SIGTERM to the end", "s", samples(ends), limit=2.0),
        Row("containers touched", "", samples([touched]), limit=0),
    ]


def _lives(watcher: Watcher) -> dict[str, tuple[Any, ...]]:
    """Name each container's incarnation: id, host PID and start time."""
    return {n: (c["Id"], c["Pid"], c["StartedAt"]) for n, c in watcher.containers().items()}
