"""The units as files: valid, and as closed as the work allows."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE = UNITS / "podsupd.service"


def setting(name: str) -> list[str]:
    """Return the words of a directive of the service, over all its lines."""
    return [word for line in re.findall(rf"^{name}=(.*)$", SERVICE.read_text(), re.MULTILINE) for word in line.split()]


def test_systemd_accepts_the_system_units(rootfs: Path) -> None:
    """A user installs units that systemd has no complaint about."""
    done = subprocess.run(
        ["chroot", rootfs, "systemd-analyze", "verify", "podsupd.service", "podsupd.socket"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_accepts_the_user_unit(rootfs: Path) -> None:
    """A rootless user installs a unit that systemd has no complaint about."""
    done = subprocess.run(
        ["chroot", rootfs, "env", "XDG_RUNTIME_DIR=/run", "systemd-analyze", "--user", "verify", "podsupd.service"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sandbox_stays_as_tight_as_it_was_made() -> None:
    """An operator's audit finds no more exposure than when the sandbox was weighed (9.6 without one)."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=68", SERVICE],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_containers_capabilities_are_in_the_bounding_set() -> None:
    """An exec probe can be given every capability that Podman gives a container by default."""
    conf = tomllib.loads(Path("/usr/share/containers/containers.conf").read_text())
    default = {f"CAP_{name.removeprefix('CAP_')}" for name in conf["containers"]["default_capabilities"]}
    assert default
    assert default <= set(setting("CapabilityBoundingSet"))


def syscalls(group: str) -> set[str]:
    """Return the system calls of one of systemd's groups, groups within it included."""
    out = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True
    ).stdout
    found: set[str] = set()
    for word in (line.strip() for line in out.splitlines()[1:]):
        found |= syscalls(word) if word.startswith("@") else {word} - {""} if not word.startswith("#") else set()
    return found


def test_the_filter_denies_nothing_that_a_container_may_do() -> None:
    """An exec probe may make every system call that Podman's own profile lets a container make."""
    profile = json.loads(Path("/usr/share/containers/seccomp.json").read_text())
    conditions = ("includes", "excludes", "args")
    allowed = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and not any(rule.get(key) for key in conditions)
        for name in rule["names"]
    }
    first, *groups = setting("SystemCallFilter")
    assert first.startswith("~"), "the filter is a list of what is denied"
    denied = set().union(*(syscalls(group) for group in (first[1:], *groups)))
    # reboot(2) is in Podman's profile and needs CAP_SYS_BOOT, which neither a container nor the unit has.
    assert allowed & denied == {"reboot"}


def test_install_leaves_no_trace_of_where_it_was_built(rootfs: Path) -> None:
    """A packager's DESTDIR does not end up in what is installed."""
    venv = rootfs / "opt/podsupd"
    found = subprocess.run(
        ["grep", "-rlI", str(rootfs), venv / "bin", venv / "pyvenv.cfg", rootfs / "usr/local"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout == ""
    assert (rootfs / "usr/local/bin/podsupd").readlink() == Path("/opt/podsupd/bin/podsupd")
    version = subprocess.run(
        ["chroot", rootfs, "podsupd", "version"], check=True, capture_output=True, text=True
    ).stdout
    assert re.search(r"\d+\.\d+\.\d+", version)


def test_a_second_install_keeps_the_configuration(rootfs: Path) -> None:
    """An upgrade leaves an operator's settings alone."""
    settings = rootfs / "etc/podsupd/podsupd.toml"
    before = settings.read_text()
    settings.write_text("# mine\n" + before)
    try:
        env = {**os.environ, "DESTDIR": str(rootfs), "PREFIX": "/opt/podsupd"}
        subprocess.run([UNITS.parent / "scripts" / "install"], check=True, capture_output=True, env=env)
        assert settings.read_text().startswith("# mine\n")
    finally:
        settings.write_text(before)
