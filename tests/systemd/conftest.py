"""A Debian of our own with podsupd installed by `make install`, and booted with a real systemd and Podman inside."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hosts.host import EXAMPLE, Host, run_here, saved_images

REPO = Path(__file__).parents[2]
HOSTS = REPO / "tests" / "hosts"

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


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian 12 in a directory, with podsupd installed into it the way a packager would."""
    made = run_here(HOSTS / "make-rootfs")
    root = tmp_path_factory.mktemp("host") / "rootfs"
    run_here("cp", "-a", made, root)
    run_here(REPO / "scripts" / "install", env={**os.environ, "DESTDIR": str(root), "PREFIX": "/opt/podsupd"})
    run_here(HOSTS / "mask-units", root)
    drop_ins = root / "etc/containers/containers.conf.d"
    drop_ins.mkdir(parents=True)
    (drop_ins / "50-test-host.conf").write_text(CONTAINERS_CONF)
    yield root
    shutil.rmtree(root, ignore_errors=True)


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
        self.until("systemd has booted", lambda: self.succeeds("systemctl", "is-system-running", "--wait"))

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
    for _ in range(200):
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
    deadline = time.monotonic() + 30
    while "populated 1" in (cgroup / "cgroup.events").read_text():
        if time.monotonic() > deadline:
            pytest.fail(f"processes of the test host do not end: {cgroup}")
        time.sleep(0.05)
    run_here("find", cgroup, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+")


@pytest.fixture(scope="session")
def booted(rootfs: Path) -> Iterator[Booted]:
    """The host, booted, with Podman's socket and the example's images, podsupd installed and not started."""
    host = Booted(rootfs, f"podsupd-test-{os.getpid()}")
    try:
        host.boot()
        host.run("podman", "load", "-q", stdin=saved_images(), timeout=120)
        yield host
        host.shut_down()
    finally:
        host.cut_power()


@pytest.fixture(scope="session")
def running(booted: Booted) -> Booted:
    """The host with podsupd enabled and started, as its README says, and the example pod in its directory."""
    booted.write("my-shared-pod.yaml", booted.run("cat", EXAMPLE))
    booted.run("systemctl", "enable", "--now", "podman.socket", "podsupd.service", timeout=120)
    return booted


@pytest.fixture
def host(running: Booted) -> Booted:
    """The host with the unit active and the example pod Ready, whatever the test before did to it."""
    if not running.succeeds("systemctl", "is-active", "--quiet", "podsupd.service"):
        running.run("systemctl", "start", "podsupd.service", timeout=120)
    running.until("the example pod is Ready", lambda: running.ready("my-shared-pod"))
    return running
