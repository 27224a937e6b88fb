"""When our cgroup is a scope of systemd's, and with which limits."""

import os
import socket
from pathlib import Path

import pytest

from podsupd.errors import CgroupUnavailable
from podsupd.signals import held, hierarchies, scopes

ID = "cd" * 32


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a container's cgroup as systemd makes it, with this process and its parent in it, under systemd."""
    path = tmp_path / "machine.slice" / "machine-libpod_pod_x.slice" / f"libpod-{ID}.scope"
    path.mkdir(parents=True)
    (path / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n")
    monkeypatch.setattr(scopes, "RUNS_HERE", tmp_path)
    return path


def test_a_scope_is_made_beside_the_containers_own(home: Path) -> None:
    """It is in the pod's slice, under the container's name, and begins with the oldest process."""
    (home / "memory.max").write_text("1048576\n")
    (home / "pids.max").write_text("max\n")
    (home / "cpu.max").write_text("50000 100000\n")
    found = scopes.wanted(ID, (home,), 0)
    assert found is not None
    assert (found.name, found.slice) == (f"podsupd-{ID}.scope", "machine-libpod_pod_x.slice")
    oldest = min((os.getpid(), os.getppid()), key=lambda pid: getattr(held.read(pid), "start", 0))
    assert found.pid == oldest
    assert found.limits == {"MemoryMax": 1048576, "TasksMax": 2**64 - 1, "CPUQuotaPerSecUSec": 500_000}
    assert scopes.wanted(ID, (home,), oldest) != found


def test_no_scope_is_made_where_systemd_does_not_manage_the_container(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With Podman's cgroup manager cgroupfs, or without systemd, our cgroup is a plain one."""
    plain = tmp_path / "libpod_parent" / "x" / f"libpod-{ID}"
    plain.mkdir(parents=True)
    (plain / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert scopes.wanted(ID, (plain,), 0) is None
    monkeypatch.setattr(scopes, "RUNS_HERE", tmp_path / "missing")
    assert scopes.wanted(ID, (home,), 0) is None


def test_a_later_step_of_a_stop_finds_the_scope_that_is_there(home: Path) -> None:
    """It is made once, and whoever came meanwhile is moved into it."""
    ours = home.parent / f"podsupd-{ID}.scope"
    ours.mkdir()
    assert scopes.wanted(ID, (home,), 0) is None
    assert hierarchies.make_beside(home, ID) == ours


async def test_a_bus_that_cannot_be_had_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host without D-Bus stops its containers all the same, and the log says what is missing."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    with pytest.raises(CgroupUnavailable, match=f"cannot make podsupd-{ID}.scope: .*No such file"):
        await scopes.start(scopes.Scope(f"podsupd-{ID}.scope", "a.slice", 1, {}))
    with pytest.raises(CgroupUnavailable, match=f"cannot remove podsupd-{ID}.scope"):
        await scopes.stop(f"podsupd-{ID}.scope")


async def test_a_users_own_manager_is_asked_for_a_users_containers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A rootless Podman's containers are managed by the user's systemd, on the user's bus."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/not/this/one")
    scope = scopes.Scope(f"podsupd-{ID}.scope", "a.slice", 1, {})
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/told")
    with socket.socket(socket.AF_UNIX) as told:
        told.bind(f"{tmp_path}/told")
        with pytest.raises(CgroupUnavailable, match="refused"):  # it is found, and nobody listens
            await scopes.start(scope)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as usual:
        usual.bind(f"{tmp_path}/bus")
        with pytest.raises(CgroupUnavailable, match="refused"):
            await scopes.start(scope)


def test_nobody_but_the_first_process_needs_no_scope(home: Path) -> None:
    """No unit is made for what holds nobody."""
    (home / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert scopes.wanted(ID, (home,), os.getpid()) is None
