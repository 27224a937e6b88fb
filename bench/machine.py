"""What was measured on, without which a number says nothing."""

import os
import platform
from pathlib import Path
from typing import Any

from podman import PodmanClient


def describe(url: str) -> list[tuple[str, str]]:
    """Name processor, memory, kernel, Python, Podman and the load at the start."""
    answer = PodmanClient(base_url=url).api.get("/info")
    answer.raise_for_status()
    info: dict[str, Any] = answer.json()
    host, version = info["host"], info["version"]["Version"]
    return [
        ("processor", f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores"),
        ("memory", _field("/proc/meminfo", "MemTotal")),
        ("kernel", platform.release()),
        ("system", host["distribution"]["distribution"] + " " + host["distribution"]["version"]),
        ("python", platform.python_version()),
        ("podman", f"{version}, {host['ociRuntime']['name']}, cgroups {host['cgroupVersion']}"),
        ("storage", info["store"]["graphDriverName"]),
        ("load", "{:.2f} {:.2f} {:.2f}".format(*os.getloadavg())),
    ]


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
