"""(e) An edit of one container of a pod, from the new file to the changed container running, by Podman's start event.

The peer is ``podman kube play --replace`` of the same edited file, which stops, removes and makes the whole pod. What
podsupd takes holds the second for which a file has to be quiet before it is taken for whole.
"""

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.daemon import Daemon
from bench.manifests import pod, settle, write
from bench.podman_api import Watcher
from bench.rows import Options, Row, samples

name = "an edit of one container"


def run(options: Options) -> list[Row]:
    """Edit the second container of one pod again and again, by either way; the first one must not be stopped by us."""
    watcher = Watcher(options.url, options.prefix)
    ours, theirs = [], []
    mine, played = f"{options.prefix}-e", f"{options.prefix}-ek"
    try:
        with tempfile.TemporaryDirectory() as text, Daemon(options, Path(text)) as daemon:
            files = Path(text) / "played"
            (path,) = write(files, {played: pod(played)})
            subprocess.run(["podman", "kube", "play", path], check=True, stdout=subprocess.DEVNULL)
            write(daemon.manifests, {mine: pod(mine)})
            settle()
            daemon.start()
            daemon.wait_pods_ready(1)
            neighbour = watcher.state(f"{mine}-c0")["Pid"]
            for number in range(max(3, options.repeats // 2)):
                began = time.time()
                write(daemon.manifests, {mine: _edited(mine, number)})
                ours.append(watcher.wait_restarted(f"{mine}-c1", began) - began)
                began = time.time()
                (path,) = write(files, {played: _edited(played, number)})
                subprocess.run(["podman", "kube", "play", "--replace", path], check=True, stdout=subprocess.DEVNULL)
                theirs.append(watcher.wait_restarted(f"{played}-c1", began) - began)
            if watcher.state(f"{mine}-c0")["Pid"] != neighbour:
                raise RuntimeError("the neighbour of the edited container was stopped")
    finally:
        watcher.remove_pods()
    return [Row("edit to running", "s", samples(ours), samples(theirs), "kube play --replace", bound=1 / 3)]


def _edited(pod_name: str, number: int) -> dict[str, Any]:
    manifest = pod(pod_name)
    manifest["spec"]["containers"][1]["command"] = ["sleep", str(2_000_000 + number)]
    return manifest
