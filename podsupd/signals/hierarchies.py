"""Where a container's cgroups are, in every hierarchy that it is in: cgroup v1, v2 and both at once (cgroups(7))."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from podsupd.model.limits import UNLIMITED, Limits

SHELTER = "podsupd-"
SCOPE = ".scope"
# A container id is 64 hex digits; under systemd a cgroup made by it is a scope.
_OURS = re.compile(rf"{SHELTER}([0-9a-f]{{64}})(\.scope)?")
_ESCAPED = re.compile(r"\\([0-7]{3})")

# Copied from the container's cgroup, so that its processes are bound by the same limits in ours. cpuset's come first:
# on v1 nobody can enter a cgroup before it has them.
_LIMITS = (
    "cpuset.cpus",
    "cpuset.mems",
    "cpu.max",
    "cpu.weight",
    "cpu.shares",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "memory.max",
    "memory.high",
    "memory.limit_in_bytes",
    "pids.max",
)

_ENFORCED = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares", "memory.limit_in_bytes", "cpu.max", "memory.max")
_LOOKED_IN = frozenset({"devices", "memory"})
"""Where runc and crun look for whom to kill on v1 (measured): who has left those is out of their reach."""
KILLED_BY = len(_LOOKED_IN)
"""So many of a container's cgroups, the first ones, are those."""
_PERIOD_US = 100_000
_NO_LIMIT = 2**62  # what v1 shows for none is the largest number of whole pages


def mounts(proc: Path = Path("/proc")) -> dict[str, tuple[Path, str]]:
    """Map a hierarchy to where it is mounted and which of its cgroups is seen there.

    A hierarchy is named as in /proc/PID/cgroup: its controllers or name, or empty for v2.
    """
    found: dict[str, tuple[Path, str]] = {}
    for line in (proc / "self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, point = (_unescape(field) for field in left.split(" ")[3:5])
        if kind == "cgroup2":
            found.setdefault("", (Path(point), root))
        elif kind == "cgroup":
            for word in options.split(","):
                found.setdefault(word, (Path(point), root))
    return found


def _unescape(field: str) -> str:
    return _ESCAPED.sub(lambda m: chr(int(m[1], 8)), field)


def homes(pid: int, container_id: str, proc: Path = Path("/proc")) -> tuple[Path, ...]:
    """Return the container's own cgroups, from those of a process that is in them; empty when it is in none.

    Those in which a runtime looks for whom to kill come first. Raises OSError when there is no such process.
    """
    mounted = mounts(proc)
    found: dict[Path, bool] = {}
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        steps = path.split("/")
        at = next((i for i, step in enumerate(steps) if container_id in step and SHELTER not in step), None)
        # With several controllers in one hierarchy any of them names its mount.
        where = next((mounted[name] for name in names.split(",") if name in mounted), None)
        if at is None or where is None:
            continue
        point, root = where
        below = "/".join(steps[: at + 1])
        if root != "/":
            if not below.startswith(f"{root}/"):
                continue
            below = below.removeprefix(root)
        found[Path(f"{point}{below}")] = _LOOKED_IN.isdisjoint(names.split(","))
    return tuple(sorted(found, key=found.__getitem__))


def limits(pid: int, container_id: str, proc: Path = Path("/proc")) -> Limits | None:
    """Read what the kernel enforces on a container; None when no hierarchy tells. Raises OSError and ValueError."""
    return read_limits(limit_files(pid, container_id, proc))


def limit_files(pid: int, container_id: str, proc: Path = Path("/proc")) -> dict[str, Path]:
    """Return the files in which a container's limits stand, by name. Raises OSError when there is no such process."""
    paths = (home / name for home in homes(pid, container_id, proc) for name in _ENFORCED)
    return {path.name: path for path in paths if path.exists()}


def read_limits(files: Mapping[str, Path]) -> Limits | None:
    """Read limits from such files; None when they do not tell. Raises OSError and ValueError."""
    texts = {name: path.read_text().strip() for name, path in files.items()}
    if "memory.max" in texts and "cpu.max" in texts:
        quota, period = texts["cpu.max"].split()
        share = UNLIMITED if quota == "max" else int(quota) * _PERIOD_US // int(period)
        memory = UNLIMITED if texts["memory.max"] == "max" else int(texts["memory.max"])
        return Limits(share, memory, None)
    if any(name not in texts for name in _ENFORCED[:4]):
        return None
    quota_us, memory = int(texts["cpu.cfs_quota_us"]), int(texts["memory.limit_in_bytes"])
    return Limits(
        UNLIMITED if quota_us < 0 else quota_us * _PERIOD_US // int(texts["cpu.cfs_period_us"]),
        UNLIMITED if memory >= _NO_LIMIT else memory,
        int(texts["cpu.shares"]),
    )


def shelters(proc: Path = Path("/proc")) -> dict[str, tuple[Path, ...]]:
    """Find the cgroups of ours that exist, by their names: container id -> one in each hierarchy."""
    found: dict[str, dict[Path, None]] = {}
    for point in {point for point, _ in mounts(proc).values()}:
        # No link is in there: the default would ask of each directory whether it is one.
        for folder, names, _ in os.walk(point, followlinks=True):
            for name in names:
                if ours := _OURS.fullmatch(name):
                    found.setdefault(ours[1], {})[Path(folder) / name] = None
    return {container: tuple(paths) for container, paths in found.items()}


def below(cgroup: Path) -> Iterator[Path]:
    """Yield a cgroup and those inside of it; a container with cgroups of its own has them there."""
    for folder, _, _ in os.walk(cgroup):
        yield Path(folder)


def pids(cgroup: Path) -> list[int]:
    """Return who is in a cgroup or inside of it; none when it is gone. Processes of another PID namespace read as 0."""
    found: list[int] = []
    for folder in below(cgroup):
        with suppress(OSError):
            found += [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    return [pid for pid in found if pid > 0]


def make_beside(home: Path, container_id: str) -> Path:
    """Make our cgroup beside the container's, under the same limits; systemd's scope where it made one.

    Raises OSError.
    """
    path = home.parent / f"{SHELTER}{container_id}"
    scope = path.with_suffix(SCOPE)
    if scope.is_dir():
        return scope
    path.mkdir(exist_ok=True)
    copy_limits(home, path)
    return path


def copy_limits(home: Path, path: Path) -> None:
    """Set the limits of the container on a cgroup of ours, as far as its hierarchy has them."""
    for name in _LIMITS:
        # What cannot be set is not enforced for the rest of the grace period; the processes still end in order.
        with suppress(OSError):
            (path / name).write_text((home / name).read_text())
    with suppress(OSError):
        allowed = (home / "devices.list").read_text().splitlines()
        if not any(line.startswith("a ") for line in allowed):
            (path / "devices.deny").write_text("a")
            for line in allowed:
                (path / "devices.allow").write_text(line)
