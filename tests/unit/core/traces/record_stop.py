"""Record a real stop: ``python record_stop.py OURS.json PODMANS.json`` (root, Podman; best with nothing else running).

A container whose first process ends at once while its child needs a second: first as core.stopping decides it, turn by
turn, by the real edges; then by `podman stop`. Each turn is kept with what was seen and what was decided, between the
kernel's records of what that did.
"""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import replace

from record import BUSYBOX, Recorder, life, podman

from podsupd.core.stopping import Rule, advance
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, ObservedContainer
from podsupd.model.plan import Now, SignalContainer, Stop
from podsupd.model.signals import Life
from podsupd.signals import PidfdWatcher, Shelters

POD = "recorded-stop"
LEAVES = (
    "sh -c 'trap \"sleep 1; exit 0\" TERM; sleep 1000 & while :; do wait $!; done' & "
    "trap 'exit 3' TERM; while :; do wait $!; done"
)
RULE = Rule(20.0, shared=True)


def observed(of: Life, pid: int) -> ObservedContainer:
    """Return a container as the planner would see it."""
    found = json.loads(podman("inspect", "--type=container", of.container_id))[0]["State"]
    state = ContainerState(found["Status"])
    labels = {CONTAINER_LABEL: of.container}
    return ObservedContainer(of.container_id, of.container, state, labels, pid=pid, started_at=found["StartedAt"])


async def stop(rec: Recorder, of: Life) -> None:
    """Stop it as podsupd does, keeping each turn."""
    shelters, watcher, ended = Shelters(), PidfdWatcher(), asyncio.Event()

    def gone() -> None:
        shelters.sweep(of.container_id, 0)
        ended.set()

    watcher.watch(of.pid, gone)
    held: Stop | None = None
    try:
        while True:
            first = not ended.is_set()
            seen = observed(of, of.pid if first else 0)
            left = await shelters.look({of.container_id: of.pid if first else 0})
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            pids = list(left.get(of.container_id, ()))
            rec.log.append(["turn", now, str(seen.state), first, pids])
            if not first and not pids and seen.state.dead:
                await shelters.remove(of.container_id)
                return
            if not first and not pids:
                await rec.read(0.02)
                continue
            step = advance(seen, held, "asked", RULE, Now(now, "recorded"), first=first)
            held = replace(step.stop, sent=True)
            if step.action is None:
                await rec.read(0.1)
                continue
            rec.log.append(["did", type(step.action).__name__, step.action.signal])
            if isinstance(step.action, SignalContainer):
                await shelters.shelter(of.container_id, of.pid)
                podman("kill", "--signal", step.action.signal, of.container_id)
            else:
                await shelters.signal(of.container_id, step.action.signal, step.action.step, 0)
            await rec.read(0.05)
    finally:
        watcher.close()
        shelters.close()


async def record(ours: bool) -> Recorder:  # noqa: FBT001
    """Record one stop."""
    rec = Recorder()
    lives = [life(POD, "infra"), life(POD, "leaves")]
    rec.begin(lives)
    try:
        await rec.read(0.3)
        if ours:
            await stop(rec, lives[1])
        else:
            # Beside the reading: Podman waits for the end.
            done = await asyncio.create_subprocess_exec("podman", "stop", "-t", "20", f"{POD}-leaves")
            await rec.read(1.5)
            await done.wait()
        await rec.read(0.3)
    finally:
        rec.tracer.close()
    return rec


def main() -> None:
    """Make the pod, record both, and write."""
    subprocess.run(["podman", "pod", "rm", "-f", "-t", "0", POD], check=False, capture_output=True)
    podman("pod", "create", "--name", POD, "--share", "net,pid", "--infra-name", f"{POD}-infra")
    podman("run", "-d", "--pod", POD, "--name", f"{POD}-leaves", BUSYBOX, "sh", "-c", LEAVES)
    try:
        asyncio.run(record(ours=True)).write(sys.argv[1])
        podman("start", f"{POD}-leaves")
        asyncio.run(record(ours=False)).write(sys.argv[2])
    finally:
        podman("pod", "rm", "-f", "-t", "0", POD)


if __name__ == "__main__":
    main()
