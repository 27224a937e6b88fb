"""Containers that Podman holds in a state which they do not leave, made so by force on the real one."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, masked, pod_manifest, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
DEAF = "trap '' TERM; while :; do sleep 0.2; done"
FILES = 20_000
MANY = f"mkdir /many; cd /many; seq {FILES} | xargs touch; touch /done; {POLITE}"
VOLUME = """\
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
"""


def state(witness: PodmanClient, container: str) -> dict[str, Any]:
    """Return what Podman says of a container's life."""
    attrs = witness.containers.get(container).attrs
    return {"Id": attrs["Id"], **attrs["State"]}


def life(witness: PodmanClient, container: str) -> tuple[str, str]:
    """Return what changes when a container is made or started anew."""
    now = state(witness, container)
    return now["Id"], now["StartedAt"]


def lose_conmon(witness: PodmanClient, container: str) -> None:
    """Kill a container's conmon, and then its process: nobody records the exit."""
    now = state(witness, container)
    os.kill(now["ConmonPid"], signal.SIGKILL)
    os.kill(now["Pid"], signal.SIGKILL)


def stop_conmon(witness: PodmanClient, container: str) -> None:
    """Stop a container's conmon with a signal, and kill its process."""
    now = state(witness, container)
    os.kill(now["ConmonPid"], signal.SIGSTOP)
    os.kill(now["Pid"], signal.SIGKILL)


def abandon_stop(witness: PodmanClient, container: str) -> None:
    """Kill a `podman stop` while it waits for the container."""
    until(lambda: masked(state(witness, container)["Pid"], "SigIgn", signal.SIGTERM), "the deaf one deaf")
    stopping = subprocess.Popen(["podman", "stop", "-t", "600", container], stdout=subprocess.DEVNULL)
    until(lambda: state(witness, container)["Status"] == "stopping", "the stop begun")
    stopping.kill()
    stopping.wait(10)


def abandon_removal(witness: PodmanClient, container: str) -> None:
    """Kill a `podman rm` while it deletes the container's layer."""
    layer = Path(witness.containers.get(container).attrs["GraphDriver"]["Data"]["UpperDir"], "many")
    # Slower than who looks at it, however busy the machine is.
    command = ["nice", "-n", "19", "podman", "rm", "-f", "-t", "0", container]
    removing = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(lambda: sum(1 for _ in layer.iterdir()) < FILES, "the layer being deleted", every=0.001)
    removing.kill()
    removing.wait(10)


STATES: dict[str, tuple[str, Callable[[PodmanClient, str], None], str]] = {
    "asleep": (POLITE, stop_conmon, "its conmon is stopped by a signal): tries to wake its conmon"),
    "stopping": (DEAF, abandon_stop, "somebody's stop of it was not finished, nor will it be: tries to kill it"),
    "removing": (MANY, abandon_removal, "somebody's removal of it was not finished: tries to remove it"),
    "lost": (POLITE, lose_conmon, "its conmon is gone, so nobody records the exit): tries to remove it by force"),
}


def test_podmans_stuck_states_are_left_without_hand_work(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Each is told with its reason and its way out is taken; the neighbour and the volume are not touched."""
    scripts = {"other": POLITE, **{kind: script for kind, (script, _, _) in STATES.items()}}
    daemon.write("pod.yaml", pod_manifest(name, containers=scripts, grace=1) + VOLUME)
    daemon.write("infra.yaml", pod_manifest(f"{name}-infra", containers={"main": POLITE}))
    daemon.start()
    daemon.wait_pod(name)
    daemon.wait_pod(f"{name}-infra")
    podman("exec", f"{name}-lost", "sh", "-c", "echo kept > /data/file")
    until(lambda: podman("exec", f"{name}-removing", "ls", "/done"), "the layer filled")
    before = {kind: life(witness, f"{name}-{kind}") for kind in scripts}
    pod = witness.pods.get(f"{name}-infra").attrs
    for kind, (_, force, _) in STATES.items():
        force(witness, f"{name}-{kind}")
    lose_conmon(witness, pod["InfraContainerID"])
    for kind in STATES:
        until(lambda kind=kind: life(witness, f"{name}-{kind}") != before[kind], f"{kind}: a new life", 60)
    until(lambda: witness.pods.get(f"{name}-infra").attrs["Id"] != pod["Id"], "the pod made anew", 60)
    daemon.wait_pod(name)
    daemon.wait_pod(f"{name}-infra")
    messages = [e["message"] for e in daemon.events(name, "Stuck")]
    for kind, (_, _, told) in STATES.items():
        assert [m for m in messages if m.startswith(f"container {kind}: ") and told in m], (kind, messages)
    assert daemon.condition(name, "Stuck") == ""
    assert life(witness, f"{name}-other") == before["other"]
    assert podman("exec", f"{name}-lost", "cat", "/data/file") == "kept"
    assert "infra container: its process is gone" in daemon.events(f"{name}-infra", "Stuck")[0]["message"]
