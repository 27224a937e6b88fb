"""The podman command, and a pod as a prober is told of it."""

import json
import subprocess

from podsupd.ports import ProbeTarget


def podman(*command: str) -> str:
    """Run podman; return what it printed."""
    done = subprocess.run(["podman", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"podman {' '.join(command)}: {done.stderr}")
    return done.stdout


def target_of(pod: str, container: str) -> ProbeTarget:
    """Return what the engine would hand to the prober."""
    infra_id = podman("pod", "inspect", pod, "--format", "{{.InfraContainerID}}").strip()
    infra, seen = (json.loads(podman("inspect", "--type=container", which))[0] for which in (infra_id, container))
    return ProbeTarget(
        pod,
        netns_pid=infra["State"]["Pid"],
        infra_id=infra_id,
        container_id=seen["Id"],
        container_pid=seen["State"]["Pid"],
        oci_runtime=seen["OCIRuntime"],
        oci_config_path=seen["OCIConfigPath"],
    )
