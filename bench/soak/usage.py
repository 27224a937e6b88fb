"""What the daemon uses, and what its work has left behind in Podman and the kernel."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.process import status_mb
from bench.soak.witness import Witness

GROWTH: dict[str, tuple[str, float]] = {
    "memory": ("MB", 2.0),
    "descriptors": ("", 4.0),
    "threads": ("", 2.0),
    "children": ("", 0.0),
    "state.db": ("KB", 64.0),
    "other files of the state": ("KB", 0.0),
}
"""What the daemon may have more of at the end of its life than after its warm-up, by unit and number."""

LEFT: dict[str, str] = {
    "exec records": "",
    "conmons without a container": "",
    "cgroups of stops": "",
    "folders of volumes too many": "",
    "containers too many": "",
}
"""What there is none of whenever all is quiet."""

HISTORY_MB = 2.0
"""The bound that the history is given, so that it is reached."""

BESIDE_MB = 1.2
"""Beside it: a WAL of 256 pages (1.055 MB with frame headers) and what its last commit adds, an index of 33 KB."""


def of_daemon(pid: int, state: Path) -> dict[str, float]:
    """Return what a daemon uses now, by the names of GROWTH, and the size of its history in MB."""
    process = Path(f"/proc/{pid}")
    sizes = {path.name: path.stat().st_size for path in state.rglob("*") if path.is_file()}
    history = sum(size for name, size in sizes.items() if name.startswith("history.db"))
    database = sum(size for name, size in sizes.items() if name.startswith("state.db"))
    return {
        "memory": status_mb(pid, "VmRSS"),
        "descriptors": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
        "children": sum(len((task / "children").read_text().split()) for task in (process / "task").iterdir()),
        "state.db": database / 1000,
        "other files of the state": (sum(sizes.values()) - history - database) / 1000,
        "history": history / 1_000_000,
    }


def left_behind(
    witness: Witness, volumes: Path, ids: set[str], pods: Mapping[str, Collection[str]]
) -> dict[str, float]:
    """Count, by the names of LEFT. ids: of all containers ever seen; pods: those wanted now, with their containers."""
    now = witness.containers()
    running = {line["Id"] for line in now if line["State"] == "running"}
    inspected = [witness.inspect(line["Id"]) for line in now]
    wanted = sum(1 + len(names) for names in pods.values())
    folders = {path.name for path in volumes.iterdir()} if volumes.exists() else set()
    return {
        "exec records": sum(len(found.get("ExecIDs") or ()) for found in inspected),
        "conmons without a container": sum(1 for owner in _conmons() if owner in ids - running),
        "cgroups of stops": sum(1 for folder in _cgroups() if folder.removeprefix("podsupd-") in ids),
        "folders of volumes too many": len(folders - pods.keys()),
        "containers too many": len(now) - wanted,
    }


def _conmons() -> list[str]:
    """Return the container's id of every conmon."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].endswith("conmon") and "-c" in words:
            found.append(words[words.index("-c") + 1])
    return found


def _cgroups() -> set[str]:
    """Return the names of podsupd's cgroups, in any hierarchy."""
    names = (name for _, folders, _ in os.walk("/sys/fs/cgroup") for name in folders)
    return {name.removesuffix(".scope") for name in names if name.startswith("podsupd-")}
