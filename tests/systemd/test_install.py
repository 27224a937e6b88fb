"""What `make install` laid down, `make uninstall` takes off again, and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

REPO = Path(__file__).parents[2]


def uninstall(root: Path) -> subprocess.CompletedProcess[str]:
    """Take podsupd off a directory that stands for a host."""
    return subprocess.run(
        [REPO / "scripts" / "uninstall"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "DESTDIR": str(root), "PREFIX": "/opt/podsupd"},
    )


def files(root: Path) -> set[str]:
    """List what is no directory, by its path on the host."""
    return {f"/{path.relative_to(root)}" for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}


def test_uninstall_takes_off_the_program_and_leaves_what_is_the_operators(rootfs: Path, tmp_path: Path) -> None:
    """Program, units and link go; configuration, manifests and state stay, and a second time says what is wrong."""
    for part in ("opt/podsupd", "usr/local", "etc/podsupd"):
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", rootfs / part, tmp_path / part], check=True)
    kept = {"/etc/podsupd/podsupd.toml", "/etc/podsupd/pods.d/mine.yaml", "/var/lib/podsupd/state.db"}
    for path in kept - {"/etc/podsupd/podsupd.toml"}:
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path[1:]).write_text("mine\n")
    assert {
        "/opt/podsupd/bin/podsupd",
        "/usr/local/bin/podsupd",
        "/usr/local/lib/systemd/system/podsupd.service",
        "/usr/local/lib/sysusers.d/podsupd.conf",
        "/usr/local/share/bash-completion/completions/podsupd",
        "/opt/podsupd/share/podsupd/podsupd-alerts.yaml",
    } <= files(tmp_path)
    done = uninstall(tmp_path)
    assert done.returncode == 0, done.stderr
    left = files(tmp_path)
    assert kept <= left
    operators = ("/etc/podsupd/", "/var/lib/podsupd/")
    assert [
        path for path in left if ("podsupd" in path or path.startswith("/opt")) and not path.startswith(operators)
    ] == []
    again = uninstall(tmp_path)
    assert again.returncode != 0
    assert "cannot uninstall podsupd: it is not in" in again.stderr
