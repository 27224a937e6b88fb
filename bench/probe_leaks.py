"""(g) Ten thousand http probes and ten thousand exec probes: what is left of them."""

import asyncio
import gc
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import uvloop

from bench.podman_command import podman, target_of
from bench.rows import Options, Row, samples
from podsupd.model.spec import ExecCommand, HttpGet, ProbeSpec, ProbeType, Vantage
from podsupd.ports import ProbeTarget, Runtime
from podsupd.probes import ProbeRunner

name = "what ten thousand probes leave behind"

TIMES = 10_000
WARM_UP = 200
BUSYBOX = "docker.io/library/busybox:latest"
SERVER = "mkdir /www; echo ok > /www/index.html; httpd -f -p 80 -h /www"


class NoPodman(Runtime):
    """Fails the measurement when an exec goes through Podman."""


def run(options: Options) -> list[Row]:
    """Measure once."""
    pod = f"{options.prefix}-leaks"
    podman("pod", "create", "--replace", "--name", pod, "--share", "net,pid")
    try:
        podman("run", "-d", "--pod", pod, "--name", f"{pod}-c", BUSYBOX, "sh", "-c", SERVER)
        target = target_of(pod, f"{pod}-c")
        podman("exec", f"{pod}-c", "sh", "-c", "until wget -q -O /dev/null http://127.0.0.1/; do sleep 0.1; done")
        with tempfile.TemporaryDirectory() as folder:
            http, exec_ = uvloop.run(_measure(target, folder))
    finally:
        podman("pod", "rm", "--force", "--time=0", pod)
    return [
        Row(f"{TIMES} {kind} probes: {what}", unit, samples([left[what]]), limit=limit)
        for kind, left in (("http", http), ("exec", exec_))
        for what, unit, limit in (
            ("descriptors", "", 0.0),
            ("threads", "", 0.0),
            ("children", "", 0.0),
            ("conmons", "", 0.0),
            ("exec sessions", "", 0.0),
            ("memory", "KiB", 1024.0),
        )
    ]


async def _measure(target: ProbeTarget, folder: str) -> tuple[dict[str, float], dict[str, float]]:
    prober = ProbeRunner(NoPodman(), user_agent="kube-probe/bench", run_dir=folder)

    async def several(handler: HttpGet | ExecCommand, times: int) -> None:
        vantage = Vantage.CONTAINER if isinstance(handler, ExecCommand) else Vantage.POD
        spec = ProbeSpec("p", ProbeType.POLICY, vantage, handler, timeout_s=60)

        async def one_after_the_other() -> None:
            for _ in range(times // 4):
                made = await prober.attempt(spec, target)
                assert made.successful, made

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(one_after_the_other())

    http, command = HttpGet(80), ExecCommand(("true",))
    await several(http, WARM_UP)
    await several(command, WARM_UP)
    states = [_usage(target)]
    for handler in (http, command):
        await several(handler, TIMES)
        states.append(_usage(target))
    await prober.close()
    before, between, after = states
    return _left(before, between), _left(between, after)


def _left(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {what: max(0.0, after[what] - before[what]) for what in before}


def _usage(target: ProbeTarget) -> dict[str, float]:
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    seen = json.loads(podman("inspect", "--type=container", target.container_id))[0]
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "children": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "conmons": _count("pgrep", "-f", f"conmon .*{target.container_id}"),
        "exec sessions": len(seen["ExecIDs"] or []),
        "memory": next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")),
    }


def _count(*command: str) -> int:
    return len(subprocess.run(command, capture_output=True, check=False).stdout.split())
