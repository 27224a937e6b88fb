"""Record what the kernel and /proc say while something is done to a pod: ``python record.py OUT.json`` (root, Podman).

The pod: ``relay`` passes USR1 on to its child; ``deaf`` ignores HUP and blocks nothing; ``web`` is nginx.
"""

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from podsupd.core.membership import Membership
from podsupd.core.propagation import Propagation
from podsupd.model.signals import Life, ProcessFacts
from podsupd.signals import ProcLook, TracefsTracer

POD = "recorded"
BUSYBOX, NGINX = "docker.io/library/busybox:latest", "docker.io/library/nginx:latest"
RELAY = (
    "sh -c \"trap 'exit 0' USR1; while :; do sleep 0.1; done\" & c=$!; "
    "trap 'kill -USR1 $c' USR1; while :; do wait $c; done"
)
DEAF = "trap '' HUP; trap 'exit 3' TERM; while :; do sleep 0.1; done"


def podman(*args: str) -> str:
    """Run a podman command."""
    return subprocess.run(["podman", *args], check=True, capture_output=True, text=True).stdout.strip()


def life(pod: str, name: str) -> Life:
    """Return a container as the ledger would be told of it."""
    found = json.loads(podman("inspect", "--type=container", f"{pod}-{name}"))[0]
    return Life(pod, "" if name == "infra" else name, found["Id"], found["State"]["Pid"])


class Recorder:
    """Reads the trace and /proc, and keeps what both said in order; it processes it too, so that /proc is asked."""

    def __init__(self) -> None:
        self.tracer = TracefsTracer("recorder")
        self.table = ProcLook()
        self.log: list[list[object]] = [["own", os.getpid()]]
        self._processes = Membership(self.look, self.members, os.getpid(), self.tracer.watched)
        self._ledger = Propagation(self._processes, self.look, lambda at: (at, ""))

    def begin(self, lives: Sequence[Life]) -> None:
        """Trace these containers."""
        self.tracer.open()
        self.observe(lives)

    def observe(self, lives: Sequence[Life]) -> None:
        """Take the containers as they are now."""
        self.log.append(["observe", [dataclasses.astuple(each) for each in lives]])
        self._processes.observe(lives)

    def look(self, tid: int) -> ProcessFacts | None:
        """Look, and keep the answer without what no test needs."""
        facts = self.table.look(tid)
        kept = None
        if facts is not None:
            kept = dataclasses.asdict(facts) | {"blocked": sorted(facts.blocked), "arguments": facts.arguments[:4]}
        self.log.append(["look", tid, kept])
        return facts

    def members(self, pid: int) -> tuple[int, ...]:
        """Look, and keep the answer."""
        found = self.table.members(pid)
        self.log.append(["members", pid, list(found)])
        return found

    async def read(self, seconds: float) -> None:
        """Read for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            batch = await self.tracer.read(0.05)
            for event in batch.events:
                self.log.append([type(event).__name__, *event])
                self._ledger.feed(event)
            self._processes.resolve()
            self.log.append(["settled", batch.until])
            self._ledger.settled(batch.until)

    def write(self, path: str) -> None:
        """Write what was kept, without what the machine did besides."""
        lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in related(self.log))
        Path(path).write_text(f"[\n{lines}\n]\n")


def related(log: Sequence[list[Any]]) -> list[list[Any]]:
    """Leave out processes that have nothing to do with the containers: neither theirs, nor on the way to a signal."""
    inside = {life[3] for kind, *rest in log if kind == "observe" for life in rest[0]}
    inside |= {pid for kind, *rest in log if kind == "members" for pid in rest[1]}
    for _, _, parent, child, *_ in (entry for entry in log if entry[0] == "Forked"):
        if parent in inside:
            inside.add(child)
    outside = {pid for entry in log if entry[0] == "Generated" for pid in (entry[2], entry[5])}
    for _, _, parent, child, *_ in (entry for entry in reversed(log) if entry[0] == "Forked"):
        if child in outside:
            outside.add(parent)
    kept = inside | outside
    where = {"look": 1, "Forked": 3, "Execed": 2, "Exited": 2, "Ended": 2, "Attached": 3}
    return [entry for entry in log if entry[0] not in where or entry[where[entry[0]]] in kept]


async def record() -> Recorder:
    """Do it all, recording."""
    rec = Recorder()
    lives = [life(POD, name) for name in ("infra", "relay", "deaf", "web")]
    rec.begin(lives)
    by_name = {each.container: each for each in lives}
    try:
        await rec.read(0.1)
        status = Path(f"/proc/{by_name['relay'].pid}/status").read_text()
        inside = next(line for line in status.splitlines() if line.startswith("NSpid")).split()[-1]
        steps = [
            lambda: podman("exec", f"{POD}-deaf", "kill", "-USR1", inside),
            lambda: os.kill(by_name["deaf"].pid, signal.SIGHUP),
            lambda: podman("kill", "-s", "HUP", f"{POD}-web"),
            lambda: podman("stop", f"{POD}-deaf"),
            lambda: os.kill(by_name["web"].pid, signal.SIGKILL),
        ]
        for step in steps:
            step()
            await rec.read(0.5)
    finally:
        rec.tracer.close()
    return rec


def main() -> None:
    """Make the pod, record, and write."""
    subprocess.run(["podman", "pod", "rm", "-f", "-t", "0", POD], check=False, capture_output=True)
    podman("pod", "create", "--name", POD, "--share", "net,pid", "--infra-name", f"{POD}-infra")
    run = ("run", "-d", "--pod", POD)
    podman(*run, "--name", f"{POD}-relay", BUSYBOX, "sh", "-c", RELAY)
    podman(*run, "--name", f"{POD}-deaf", BUSYBOX, "sh", "-c", DEAF)
    podman(*run, "--name", f"{POD}-web", NGINX)
    try:
        asyncio.run(record()).write(sys.argv[1])
    finally:
        podman("pod", "rm", "-f", "-t", "0", POD)


if __name__ == "__main__":
    main()
