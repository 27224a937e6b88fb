"""A root file system, booted with a real systemd in namespaces of its own (boot-systemd)."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hosts.host import HOSTS, REPO, Host, run_here

# The test host sits on a machine with rights of its own: crun needs CAP_SYS_RESOURCE on cgroup v2, the limits are
# those of the machine, and on a hybrid machine the v2 hierarchy has no pids controller.
CONTAINERS_CONF = """\
[containers]
pids_limit = 0
default_ulimits = ["nofile=10000:10000", "nproc=30000:30000"]
[engine]
runtime = "runc"
exit_command_delay = 5
"""


def furnish(root: Path) -> None:
    """Put a Debian 12 into a directory, with podsupd installed into it the way a packager would."""
    run_here("cp", "-a", f"{run_here(HOSTS / 'make-rootfs')}/.", root)
    given = {"DESTDIR": str(root), "PREFIX": "/opt/podsupd", "PYTHON": "/usr/bin/python3"}
    run_here(REPO / "scripts" / "install", env={**os.environ, **given})
    run_here(HOSTS / "mask-units", root)
    drop_ins = root / "etc/containers/containers.conf.d"
    drop_ins.mkdir(parents=True)
    (drop_ins / "50-test-host.conf").write_text(CONTAINERS_CONF)


class Booted(Host):
    """A booted test host; commands run on it as root."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.pid = 0
        self._booter: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Boot it, and wait until systemd is done with it."""
        command = [HOSTS / "boot-systemd", self.root, self.name]
        self._booter = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = _pid1(self._booter.pid)
        self.until("systemd has booted", lambda: self.succeeds("systemctl", "is-system-running", "--wait", timeout=240))

    def shut_down(self) -> None:
        """End it in order: what still runs there ends with its PID 1."""
        if self._booter is not None:
            os.kill(self.pid, signal.SIGRTMIN + 3)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._booter.wait(30)

    def cut_power(self) -> None:
        """End everything on it in the same instant."""
        if self._booter is not None:
            self._booter.kill()
            self._booter.wait()
            self._booter = None
            _remove_cgroup(self.name)

    def enter(
        self, command: Sequence[str], *, timeout: float, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in its namespaces, in a cgroup beside its services."""
        enter = [str(HOSTS / "enter"), str(self.pid), self.name, *command]
        return subprocess.run(enter, check=False, capture_output=True, timeout=timeout, input=stdin)


def _pid1(booter: int) -> int:
    """Wait for the host's PID 1: the booter's only child, once it is systemd and no longer a step on the way there."""
    children = Path(f"/proc/{booter}/task/{booter}/children")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for child in children.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        time.sleep(0.05)
    return pytest.fail("the host's systemd never started")


def _remove_cgroup(name: str) -> None:
    """Remove what a host leaves of cgroups, once the last of its killed processes is gone."""
    unified = Path("/sys/fs/cgroup/unified")
    cgroup = (unified if unified.is_dir() else unified.parent) / name
    deadline = time.monotonic() + 120
    while "populated 1" in (cgroup / "cgroup.events").read_text():
        if time.monotonic() > deadline:
            pytest.fail(f"processes of the test host do not end: {cgroup}")
        time.sleep(0.05)
    run_here("find", cgroup, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+")
