"""(a) From kill -9 of a container's first process to running again, by the time of Podman's own start event.

The peers are one POST .../start of a container that has just died (what the runtime costs, without noticing anything),
the same after Podman's clean-up of the death, which a supervisor does not wait for (some five seconds) and whose work
the start then does itself; Podman's own restart policy; and the floor: a loop that asks for nothing but whether Podman
knows of the death, and then starts. All are containers in a pod with a network of its own, taken in turn, so that the
machine's noise falls on all alike.
"""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bench.daemon import Daemon
from bench.manifests import IMAGE, SLEEP, pod, write
from bench.podman_api import Watcher, wait
from bench.rows import Options, Row, samples

name = "restart latency"


def run(options: Options) -> list[Row]:
    """Kill each container once: the first restart is at once, as in Kubernetes, later ones are backed off."""
    watcher = Watcher(options.url, options.prefix)
    policy, bare = f"{options.prefix}-policy", f"{options.prefix}-bare"
    pods = {n: pod(n, containers=1) for n in (f"{options.prefix}-a{i}" for i in range(options.repeats))}
    ours, by_policy, cleaned, floor = [], [], [], list[tuple[float, float]]()
    try:
        with tempfile.TemporaryDirectory() as directory, Daemon(options, Path(directory)) as daemon:
            _run_in_pod(policy, "--restart=always")
            _run_in_pod(bare)
            write(daemon.manifests, pods)
            daemon.start()
            daemon.wait_pods_ready(len(pods))
            for supervised in pods:
                ours.append(_kill_to_running(watcher, f"{supervised}-c0"))
                by_policy.append(_kill_to_running(watcher, f"{policy}-c0"))
                cleaned.append(_start_cleaned(watcher, f"{bare}-c0"))
                floor.append(_start_at_once(watcher, f"{bare}-c0"))
    finally:
        watcher.remove_pods()
    return [
        Row(
            "kill -9 to running",
            "ms",
            samples(ours),
            samples([start for start, _ in floor]),
            "POST .../start",
            bound=1.3,
        ),
        Row("kill -9 to running", "ms", samples(ours), samples(by_policy), "--restart=always", bound=1.0),
        Row("kill -9 to running", "ms", samples(ours), samples(cleaned), "POST .../start, cleaned up before"),
        Row(
            "kill -9 to running",
            "ms",
            samples(ours),
            samples([whole for _, whole in floor]),
            "kill, inspect until dead, start",
        ),
    ]


def _run_in_pod(pod_name: str, *arguments: str) -> None:
    for command in (
        ["podman", "pod", "create", "--name", pod_name, "--share", "net,pid"],
        ["podman", "run", "-d", "--pod", pod_name, "--name", f"{pod_name}-c0", *arguments, IMAGE, *SLEEP],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _kill_to_running(watcher: Watcher, container: str) -> float:
    pid = watcher.state(container)["Pid"]
    began = time.time()
    os.kill(pid, signal.SIGKILL)
    return (watcher.wait_restarted(container, began) - began) * 1000


def _start_cleaned(watcher: Watcher, container: str) -> float:
    """Start a container that Podman has cleaned up after its death."""
    os.kill(watcher.state(container)["Pid"], signal.SIGKILL)
    # Podman tells of the death before its clean-up is done; that is no part of a bare start.
    wait(lambda: watcher.state(container)["Status"] == "exited", 30)
    began = time.time()
    watcher.start(container)
    return (watcher.wait_restarted(container, began) - began) * 1000


def _start_at_once(watcher: Watcher, container: str) -> tuple[float, float]:
    """Start a container as soon as Podman knows of its death: the time since then, and since its kill."""
    killed = time.time()
    os.kill(watcher.state(container)["Pid"], signal.SIGKILL)
    wait(lambda: watcher.state(container)["Status"] != "running", 30, poll_s=0.001)
    began = time.time()
    watcher.start(container)
    ended = watcher.wait_restarted(container, began)
    return (ended - began) * 1000, (ended - killed) * 1000
