"""The pods that are measured: two containers of busybox, in manifests that ``podman kube play`` reads too."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

IMAGE = "docker.io/library/busybox:latest"
SLEEP = ["sleep", "1000000"]
# Serves the probes that go over the network.
HTTPD = ["sh", "-c", "echo ok > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
PERIOD_S = 10


def pod(name: str, *, containers: int = 2, probes: bool = False) -> dict[str, Any]:
    """Make a pod. probes: one of each kind, three in all, every PERIOD_S.

    The PID namespace is shared, so that ``sleep`` is not PID 1, which would ignore SIGTERM: taking down measures the
    supervisor, not a grace period.
    """
    made: list[dict[str, Any]] = [container(f"c{n}", SLEEP) for n in range(containers)]
    if probes:
        made[0] |= {
            "command": HTTPD,
            "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": PERIOD_S},
            "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": PERIOD_S},
        }
        made[1] |= {"livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": PERIOD_S}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"shareProcessNamespace": True, "terminationGracePeriodSeconds": 10, "containers": made},
    }


def container(name: str, command: list[str]) -> dict[str, Any]:
    """Make a container of a local image."""
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command}


def write(directory: Path, pods: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Write each pod into a file of its own, whole at once."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, manifest in pods.items():
        paths.append(write_text(directory / f"{name}.yaml", yaml.safe_dump(dict(manifest), sort_keys=False)))
    return paths


def write_text(path: Path, text: str) -> Path:
    """Write a file under another name and rename it into its place."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    return part.rename(path)


def settle() -> None:
    """Let the files be older than the second for which podsupd takes a file for half-written: as after a boot."""
    time.sleep(1.2)


def write_one(path: Path, pods: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write all pods into one file."""
    path.write_text(yaml.safe_dump_all([dict(p) for p in pods.values()], sort_keys=False))
    return path
