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
from pathlib import Path

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


def life(name: str) -> Life:
    """Return a container as the ledger would be told of it."""
    found = json.loads(podman("inspect", f"{POD}-{name}"))[0]
    return Life(POD, "" if name == "infra" else name, found["Id"], found["State"]["Pid"])


class Recorder:
    """Reads the trace and /proc, and keeps what both said in order."""

    def __init__(self) -> None:
        self.tracer = TracefsTracer("recorder")
        self.table = ProcLook()
        self.log: list[list[object]] = []

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


async def record() -> list[list[object]]:
    """Do it all, recording; the processing is the real one, so that /proc is asked as it would be."""
    from podsupd.core.membership import Membership  # noqa: PLC0415
    from podsupd.core.propagation import Propagation  # noqa: PLC0415

    rec = Recorder()
    rec.tracer.open()
    processes = Membership(rec.look, rec.members, os.getpid(), rec.tracer.watched)
    ledger = Propagation(processes, rec.look, lambda at: (at, ""))
    lives = [life(name) for name in ("infra", "relay", "deaf", "web")]

    def observe() -> None:
        rec.log.append(["observe", [dataclasses.astuple(each) for each in lives]])
        processes.observe(lives)

    async def read(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            batch = await rec.tracer.read(0.05)
            for event in batch.events:
                rec.log.append([type(event).__name__, *event])
                ledger.feed(event)
            processes.resolve()
            rec.log.append(["settled", batch.until])
            ledger.settled(batch.until)

    observe()
    by_name = {each.container: each for each in lives}
    try:
        await read(0.1)
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
            await read(0.5)
    finally:
        rec.tracer.close()
    return [["own", os.getpid()], *rec.log]


def main() -> None:
    """Make the pod, record, and write."""
    subprocess.run(["podman", "pod", "rm", "-f", "-t", "0", POD], check=False, capture_output=True)
    podman("pod", "create", "--name", POD, "--share", "net,pid", "--infra-name", f"{POD}-infra")
    run = ("run", "-d", "--pod", POD)
    podman(*run, "--name", f"{POD}-relay", BUSYBOX, "sh", "-c", RELAY)
    podman(*run, "--name", f"{POD}-deaf", BUSYBOX, "sh", "-c", DEAF)
    podman(*run, "--name", f"{POD}-web", NGINX)
    try:
        log = asyncio.run(record())
    finally:
        podman("pod", "rm", "-f", "-t", "0", POD)
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in log)
    Path(sys.argv[1]).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
