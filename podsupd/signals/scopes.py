"""Our cgroup as a transient scope of systemd's, where systemd manages the container's own.

systemd knows it then: a daemon-reload keeps it, `systemctl status` shows it, and it goes with its last process.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podsupd.signals import held, hierarchies

RUNS_HERE = Path("/run/systemd/system")
"""There while systemd is PID 1 (sd_booted(3))."""
_INFINITY = 2**64 - 1
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope to be made: its name, the slice that the container's own is in, and its limits.

    pid: its first process. systemd wants one, and refuses the whole when it is gone: the oldest, who may well stay.
    """

    name: str
    slice: str
    pid: int
    limits: Mapping[str, int]


def wanted(container_id: str, homes: Sequence[Path], first: int) -> Scope | None:
    """Return the scope for a container's processes but the first; None where systemd does not manage them.

    It does where it runs, and where the container's cgroup is a scope of its own in a slice (Podman's cgroup manager
    systemd); with its manager cgroupfs the container is in a cgroup that systemd never touches.
    """
    home = next((h for h in homes if h.suffix == hierarchies.SCOPE and h.parent.suffix == ".slice"), None)
    if home is None or not RUNS_HERE.is_dir():
        return None
    name = f"{hierarchies.SHELTER}{container_id}{hierarchies.SCOPE}"
    if (home.parent / name).is_dir():
        return None  # a later step of a stop: it is there
    others = [p for p in map(held.read, hierarchies.pids(home)) if p is not None and p.pid != first]
    oldest = min(others, key=lambda p: p.start, default=None)
    return Scope(name, home.parent.name, oldest.pid, _limits(home)) if oldest else None


def _limits(home: Path) -> dict[str, int]:
    """Return the limits of a container's cgroup as the properties of a scope; v2's files, v1's are copied apart."""
    found: dict[str, int] = {}
    for file, name in (("memory.max", "MemoryMax"), ("memory.high", "MemoryHigh"), ("pids.max", "TasksMax")):
        with suppress(OSError, ValueError):
            text = (home / file).read_text().strip()
            found[name] = _INFINITY if text == "max" else int(text)
    with suppress(OSError, ValueError):
        quota, period = (home / "cpu.max").read_text().split()
        if quota != "max":
            found["CPUQuotaPerSecUSec"] = int(quota) * _US // int(period)
    return found


async def start(scope: Scope) -> None:
    """Have systemd make a scope and move its process into it; CgroupUnavailable when it does not."""
    from podsupd.signals import jobs  # noqa: PLC0415  3 MB that a host without systemd never needs

    await jobs.make_scope(scope.name, scope.slice, scope.pid, scope.limits)


async def stop(name: str) -> None:
    """Have systemd remove an empty scope; gone already is success. Raises CgroupUnavailable."""
    from podsupd.signals import jobs  # noqa: PLC0415  as in start()

    await jobs.stop_unit(name)
