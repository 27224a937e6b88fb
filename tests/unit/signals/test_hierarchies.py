"""Finding a container's cgroups on every kind of host, from /proc as it reads there."""

from pathlib import Path

import pytest

from podsupd.model.limits import Limits
from podsupd.signals import hierarchies

ID = "ab" * 32
POD = "/machine.slice/machine-libpod_pod_1.slice"


def proc(tmp_path: Path, mountinfo: str, cgroup: str) -> Path:
    """Return a /proc with these mounts and one process, 7, in these cgroups."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(mountinfo)
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text(cgroup)
    return tmp_path


V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "found"),
    [
        pytest.param(V2, f"0::{POD}/libpod-{ID}.scope\n", [f"/sys/fs/cgroup{POD}/libpod-{ID}.scope"], id="v2"),
        pytest.param(
            V2,
            f"0::{POD}/libpod-{ID}.scope/container/inner\n",
            [f"/sys/fs/cgroup{POD}/libpod-{ID}.scope"],
            id="a container with cgroups of its own",
        ),
        pytest.param(
            "1 0 0:1 / /cg/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct\n"
            "2 0 0:2 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
            "3 0 0:3 / /cg/unified rw - cgroup2 cgroup2 rw\n",
            f"5:cpu,cpuacct:/p/{ID}\n4:name=systemd:/p/{ID}\n3:devices:/p/{ID}\n0::/\n",
            [f"/cg/cpu,cpuacct/p/{ID}", f"/cg/systemd/p/{ID}"],
            id="v1, one hierarchy not mounted, another not the container's",
        ),
        pytest.param(
            "1 0 0:1 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
            "2 0 0:2 / /cg/memory rw - cgroup cgroup rw,memory\n"
            "3 0 0:3 / /cg/pids rw - cgroup cgroup rw,pids\n"
            "4 0 0:4 / /cg/devices rw - cgroup cgroup rw,devices\n",
            f"5:name=systemd:/p/{ID}\n4:memory:/p/{ID}\n3:pids:/p/{ID}\n2:devices:/p/{ID}\n",
            [f"/cg/{name}/p/{ID}" for name in ("memory", "devices", "systemd", "pids")],
            id="v1, those first in which runc and crun look for whom to kill",
        ),
        pytest.param(
            "1 0 0:1 /outer /a\\040b rw - cgroup2 cgroup2 rw\n",
            f"0::/outer/p/{ID}\n",
            [f"/a b/p/{ID}"],
            id="a part of the tree mounted at a path with a space",
        ),
        pytest.param(V2, f"0::/p/podsupd-{ID}\n", [], id="moved to ours already"),
        pytest.param(V2, "0::/user.slice\n", [], id="somebody else's process"),
    ],
)
def test_a_containers_cgroups_are_found(tmp_path: Path, mountinfo: str, cgroup: str, found: list[str]) -> None:
    """The stop works under v1, v2 and hybrid hosts; a process that is not the container's gives nothing to move."""
    assert [str(path) for path in hierarchies.homes(7, ID, proc(tmp_path, mountinfo, cgroup))] == found


def test_cgroups_of_a_killed_daemon_are_found_by_name(tmp_path: Path) -> None:
    """The next daemon finishes what it finds, whatever else is in the tree."""
    root = tmp_path / "cg"
    for name in (f"pod/podsupd-{ID}", f"pod/libpod-{ID}", "pod/podsupd-short", f"pod/podsupd-{ID}x"):
        (root / name).mkdir(parents=True)
    fake = proc(tmp_path, f"1 0 0:1 / {root} rw - cgroup2 cgroup2 rw\n", "")
    assert hierarchies.shelters(fake) == {ID: (root / f"pod/podsupd-{ID}",)}


def test_the_containers_limits_hold_in_our_cgroup(tmp_path: Path) -> None:
    """Whoever cleans up after a stop can use no more memory than before, and open no other device."""
    home, path = tmp_path / "libpod", tmp_path / "ours"
    for folder in (home, path):
        folder.mkdir()
    (home / "memory.max").write_text("1000\n")
    (home / "devices.list").write_text("c 1:3 rwm\n")
    hierarchies.copy_limits(home, path)
    assert (path / "memory.max").read_text() == "1000\n"
    assert (path / "devices.deny").read_text() == "a"
    assert (path / "devices.allow").read_text() == "c 1:3 rwm"
    assert not (path / "pids.max").exists()


@pytest.mark.parametrize(
    ("kind", "files", "found"),
    [
        ("cgroup2", {"cpu.max": "50000 100000", "memory.max": "67108864"}, Limits(50_000, 67108864, None)),
        ("cgroup2", {"cpu.max": "20000 50000", "memory.max": "max"}, Limits(40_000, -1, None)),
        ("cgroup2", {"cpu.max": "max 100000", "memory.max": "max"}, Limits(-1, -1, None)),
        ("cgroup2", {}, None),
        (
            "cgroup",
            {
                "cpu.cfs_quota_us": "-1",
                "cpu.cfs_period_us": "100000",
                "cpu.shares": "1024",
                "memory.limit_in_bytes": "9223372036854771712",
            },
            Limits(-1, -1, 1024),
        ),
        (
            "cgroup",
            {
                "cpu.cfs_quota_us": "30000",
                "cpu.cfs_period_us": "100000",
                "cpu.shares": "300",
                "memory.limit_in_bytes": "4096",
            },
            Limits(30_000, 4096, 300),
        ),
        ("cgroup", {"cpu.shares": "300"}, None),
    ],
)
def test_what_the_kernel_enforces_is_read(
    tmp_path: Path, kind: str, files: dict[str, str], found: Limits | None
) -> None:
    """An update in place is checked against the kernel's own word, on every kind of host."""
    home = tmp_path / "cg" / ID
    home.mkdir(parents=True)
    for name, text in files.items():
        (home / name).write_text(f"{text}\n")
    options, line = ("rw", f"0::/{ID}\n") if kind == "cgroup2" else ("rw,cpu,memory", f"4:cpu,memory:/{ID}\n")
    fake = proc(tmp_path, f"1 0 0:1 / {tmp_path / 'cg'} rw - {kind} cgroup {options}\n", line)
    assert hierarchies.limits(7, ID, fake) == found


def test_limits_of_several_hierarchies_are_put_together(tmp_path: Path) -> None:
    """On v1 cpu and memory are apart, and a container is in both and in more."""
    mounts, lines = "", ""
    files = {
        "cpu": {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000", "cpu.shares": "512"},
        "memory": {"memory.limit_in_bytes": "8192"},
        "pids": {"pids.max": "7"},
    }
    for number, (controller, found) in enumerate(files.items(), 1):
        (tmp_path / controller / ID).mkdir(parents=True)
        for name, text in found.items():
            (tmp_path / controller / ID / name).write_text(f"{text}\n")
        mounts += f"{number} 0 0:{number} / {tmp_path / controller} rw - cgroup cgroup rw,{controller}\n"
        lines += f"{number}:{controller}:/{ID}\n"
    assert hierarchies.limits(7, ID, proc(tmp_path, mounts, lines)) == Limits(-1, 8192, 512)
