"""A host of the tests' own with systemd, Podman and podsupd on it, whatever it is made of."""

import json
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

HOSTS = Path(__file__).parent
REPO = HOSTS.parents[1]
MANIFESTS = "/etc/podsupd/pods.d"
EXAMPLE = "/opt/podsupd/share/podsupd/my-shared-pod.yaml"
IMAGES = ("docker.io/library/nginx:latest", "docker.io/library/busybox:latest")


def run_here(*command: object, **options: Any) -> str:
    """Run a command on the machine that the tests run on; what it printed is part of the failure."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True, **options)
    if done.returncode:
        pytest.fail(f"{' '.join(words)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def saved_images() -> bytes:
    """Return the example's images, as podman load takes them."""
    return subprocess.run(["podman", "save", "-q", "-m", *IMAGES], check=True, capture_output=True).stdout


class Host(ABC):
    """Commands run on it as root."""

    @abstractmethod
    def enter(
        self, command: Sequence[str], *, timeout: float, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the host, whatever it exits with."""

    def run(self, *command: str, check: bool = True, timeout: float = 60, stdin: bytes | None = None) -> str:
        """Run a command on the host and return its standard output."""
        done = self.enter(command, timeout=timeout, stdin=stdin)
        out = done.stdout.decode()
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)} exited {done.returncode}:\n{out}{done.stderr.decode()}\n{self.journal()}")
        return out

    def succeeds(self, *command: str, timeout: float = 60) -> bool:
        """Say whether a command exits with 0 on the host."""
        return self.enter(command, timeout=timeout).returncode == 0

    def journal(self, lines: int = 60) -> str:
        """Return the end of the unit's log."""
        command = ["journalctl", "-u", "podsupd.service", "-n", str(lines), "--no-pager"]
        return self.enter(command, timeout=60).stdout.decode()

    def logged(self, *options: str) -> str:
        """Return the messages of the unit's processes, with all that they wrote until now."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "-u", "podsupd.service", "--no-pager", *options)

    def shelters(self, below: str = "/sys/fs/cgroup") -> list[str]:
        """Return the cgroups of podsupd's own; others come and go meanwhile, at which find takes offence."""
        return self.run("find", below, "-name", "podsupd-*", check=False).split()

    def stopped(self, *events: str) -> int:
        """Count the stops that have ended. events: the command that shows a pod's history."""
        lines = self.run(*events, "-o", "json").splitlines()
        return sum(json.loads(line)["reason"] == "Stopped" for line in lines)

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

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
        """Look until something holds; what happens on the host has no event that reaches out of it."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(
                    f"not within {seconds} s: {what}\n{self.run('podsupd', 'status', check=False)}\n{self.journal()}"
                )
            time.sleep(0.2)

    def boot_id(self) -> str:
        """Return the id of the host's present boot."""
        return self.run("cat", "/proc/sys/kernel/random/boot_id").strip()

    def write(self, name: str, text: str) -> None:
        """Put a manifest into the host's directory, whole."""
        script = f'cat > "{MANIFESTS}/.$0.draft" && mv "{MANIFESTS}/.$0.draft" "{MANIFESTS}/$0"'
        self.run("sh", "-c", script, name, stdin=text.encode())

    def remove(self, name: str) -> None:
        """Take a manifest away."""
        self.run("rm", "-f", f"{MANIFESTS}/{name}")
