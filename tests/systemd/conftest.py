"""A Debian of our own with podsupd installed by `make install`, and booted with a real systemd and Podman inside."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[2]
HOSTS = REPO / "tests" / "hosts"
IMAGES = ("docker.io/library/nginx:latest", "docker.io/library/busybox:latest")

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


def _run(*command: str | Path, **options: Any) -> None:
    """Run a command; what it printed is part of the failure."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))} exited {done.returncode}:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian 12 in a directory, with podsupd installed into it the way a packager would."""
    made = subprocess.run([HOSTS / "make-rootfs"], check=True, stdout=subprocess.PIPE, text=True)
    root = tmp_path_factory.mktemp("host") / "rootfs"
    _run("cp", "-a", made.stdout.strip(), root)
    _run(REPO / "scripts" / "install", env={**os.environ, "DESTDIR": str(root), "PREFIX": "/opt/podsupd"})
    _run(HOSTS / "mask-units", root)
    drop_ins = root / "etc/containers/containers.conf.d"
    drop_ins.mkdir(parents=True)
    (drop_ins / "50-test-host.conf").write_text(CONTAINERS_CONF)
    yield root
    shutil.rmtree(root, ignore_errors=True)


class Host:
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

    def _enter(
        self, command: Sequence[str], *, timeout: float, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        enter = [str(HOSTS / "enter"), str(self.pid), self.name, *command]
        return subprocess.run(enter, check=False, capture_output=True, timeout=timeout, input=stdin)

    def run(self, *command: str, check: bool = True, timeout: float = 60, stdin: bytes | None = None) -> str:
        """Run a command on the host and return its standard output."""
        done = self._enter(command, timeout=timeout, stdin=stdin)
        out = done.stdout.decode()
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} exited {done.returncode}:\n{out}{done.stderr.decode()}\n{self.journal()}")
        return out

    def succeeds(self, *command: str) -> bool:
        """Say whether a command exits with 0 on the host."""
        return self._enter(command, timeout=60).returncode == 0

    def journal(self, lines: int = 60) -> str:
        """Return the end of the unit's log."""
        command = ["journalctl", "-u", "podsupd.service", "-n", str(lines), "--no-pager"]
        return self._enter(command, timeout=60).stdout.decode()

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return a unit's properties."""
        out = self.run("systemctl", "show", unit, *(f"-p{name}" for name in properties))
        return dict(line.split("=", 1) for line in out.splitlines() if line)

    def inspect(self, *containers: str) -> list[dict[str, Any]]:
        """Return podman inspect's answer for containers."""
        found: list[dict[str, Any]] = json.loads(self.run("podman", "container", "inspect", *containers))
        return found

    def status(self, pod: str) -> dict[str, Any]:
        """Return the daemon's word on a pod; empty while there is none."""
        out = self.run("podsupd", "status", pod, "-o", "json", check=False)
        found: dict[str, Any] = json.loads(out) if out.strip() else {}
        return found

    def ready(self, pod: str) -> bool:
        """Say whether the daemon calls a pod Ready."""
        conditions = self.status(pod).get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Look until something holds; what happens on the host has no event that reaches out of it."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(
                    f"not within {seconds} s: {what}\n{self.run('podsupd', 'status', check=False)}\n{self.journal()}"
                )
            time.sleep(0.2)

    def write(self, name: str, text: str) -> None:
        """Put a manifest into the host's directory, whole."""
        target = self.root / "etc/podsupd/pods.d" / name
        draft = target.with_name(f".{name}.draft")
        draft.write_text(text)
        draft.rename(target)

    def remove(self, name: str) -> None:
        """Take a manifest away."""
        (self.root / "etc/podsupd/pods.d" / name).unlink(missing_ok=True)


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
    _run("find", cgroup, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+")


@pytest.fixture(scope="session")
def booted(rootfs: Path) -> Iterator[Host]:
    """The host, booted, with Podman's socket and the example's images, podsupd installed and not started."""
    host = Host(rootfs, f"podsupd-test-{os.getpid()}")
    try:
        host.boot()
        images = subprocess.run(["podman", "save", "-q", "-m", *IMAGES], check=True, capture_output=True).stdout
        host.run("podman", "load", "-q", stdin=images, timeout=120)
        yield host
        host.shut_down()
    finally:
        host.cut_power()


@pytest.fixture(scope="session")
def running(booted: Host) -> Host:
    """The host with podsupd enabled and started, as its README says, and the example pod in its directory."""
    example = booted.root / "opt/podsupd/share/podsupd/my-shared-pod.yaml"
    booted.write("my-shared-pod.yaml", example.read_text())
    booted.run("systemctl", "enable", "--now", "podman.socket", "podsupd.service", timeout=120)
    return booted


@pytest.fixture
def host(running: Host) -> Host:
    """The host with the unit active and the example pod Ready, whatever the test before did to it."""
    if not running.succeeds("systemctl", "is-active", "--quiet", "podsupd.service"):
        running.run("systemctl", "start", "podsupd.service", timeout=120)
    running.until("the example pod is Ready", lambda: running.ready("my-shared-pod"))
    return running
