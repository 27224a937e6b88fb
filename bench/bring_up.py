"""(b) Twenty two-container pods from nothing, and down again, against ``podman kube play``.

From the start of the program (podsupd, or the first podman) until all containers run, and from the wish that they go
until no pod is left, both as the same independent client sees it.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.daemon import Daemon
from bench.manifests import pod, settle, write, write_one
from bench.podman_api import Watcher
from bench.rows import Options, Row, samples

name = "bring-up and take-down"

Times = tuple[float, float]


def run(options: Options) -> list[Row]:
    """Take the three in turn, options.repeats / 3 times at least once."""
    pods = {n: pod(n) for n in (f"{options.prefix}-b{i}" for i in range(options.pods))}
    ours, files, one = [], [], []
    watcher = Watcher(options.url, options.prefix)
    try:
        for _ in range(max(1, options.repeats // 3)):
            ours.append(_podsupd(options, watcher, pods))
            files.append(_file_by_file(watcher, pods))
            one.append(_one_file(watcher, pods))
    finally:
        watcher.remove_pods()
    up, down = (samples([t[i] for t in ours]) for i in (0, 1))
    return [
        Row(
            f"{len(pods)} pods {word}",
            "s",
            mine,
            samples([t[i] for t in theirs]),
            peer,
            bound=bound if i == 0 else None,
        )
        for i, (word, mine) in enumerate((("up", up), ("down", down)))
        for theirs, peer, bound in (
            (files, "kube play, file by file", 1 / 2),
            (one, "kube play, one file", 1 / 1.3),
        )
    ]


def _podsupd(options: Options, watcher: Watcher, pods: dict[str, Any]) -> Times:
    keeper = {f"{options.prefix}-keeper": pod(f"{options.prefix}-keeper", containers=1)}
    with tempfile.TemporaryDirectory() as directory, Daemon(options, Path(directory)) as daemon:
        paths = write(daemon.manifests, pods)
        settle()
        began = time.time()
        daemon.start()
        up = watcher.wait_running(2 * len(pods)) - began
        # Removal is held when all files vanish at once, so one stays. Two complete scans have to miss the others.
        write(daemon.manifests, keeper)
        watcher.wait_running(2 * len(pods) + 1)
        began = time.monotonic()
        for path in paths:
            path.unlink()
        for _ in range(2):
            daemon.request("POST", "/v1/reload")
        watcher.wait_no_pods(besides=1)
        down = time.monotonic() - began
    watcher.remove_pods()
    return up, down


def _file_by_file(watcher: Watcher, pods: dict[str, Any]) -> Times:
    with tempfile.TemporaryDirectory() as directory:
        paths = write(Path(directory), pods)

        def play(*arguments: str) -> None:
            for path in paths:
                _kube_play(path, *arguments)

        return _timed(watcher, 2 * len(pods), play)


def _one_file(watcher: Watcher, pods: dict[str, Any]) -> Times:
    with tempfile.TemporaryDirectory() as directory:
        path = write_one(Path(directory) / "all.yaml", pods)
        return _timed(watcher, 2 * len(pods), lambda *arguments: _kube_play(path, *arguments))


def _timed(watcher: Watcher, containers: int, play: Callable[..., None]) -> Times:
    began = time.time()
    play()
    up = watcher.wait_running(containers) - began
    began = time.monotonic()
    play("--down")
    watcher.wait_no_pods()
    return up, time.monotonic() - began


def _kube_play(path: Path, *arguments: str) -> None:
    subprocess.run(["podman", "kube", "play", *arguments, path], check=True, stdout=subprocess.DEVNULL)
