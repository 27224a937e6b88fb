"""A host loses power again and again, at random moments and with it all that was not on its disk; it always comes back.

The disk is an ext4 that is shut down in an instant, without its journal, while podsupd, Podman and systemd write to it.
"""

import contextlib
import json
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hosts.booted import Booted, furnish
from hosts.disk import Disk
from hosts.host import EXAMPLE, MANIFESTS, saved_images

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1800)]

CUTS = 12
SEED = 20261122
LONGEST_S = 4.0
"""A power cut comes within so long after something was begun."""
READY_S = 180.0
STATE = "var/lib/podsupd"
IMAGE = "docker.io/library/busybox:latest"


def manifest(name: str, version: int) -> str:
    """Return a pod of two containers, of which the first is another one in each version."""
    main = {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
    containers = [
        {**main, "name": "a", "command": ["sleep", f"{1000000 + version}"]},
        {**main, "name": "b", "command": ["sleep", "1000000"]},
    ]
    spec = {"terminationGracePeriodSeconds": 2, "shareProcessNamespace": True, "containers": containers}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


@dataclass
class Household:
    """A host on a disk that can lose power, and what is done on it. versions: of the pods that are declared."""

    host: Booted
    disk: Disk
    random: random.Random
    versions: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def declare(self, name: str) -> None:
        """Write a pod's next version, as an editor does: on the disk before it has its name."""
        self.versions[name] = self.versions.get(name, 0) + 1
        draft, target = f"{MANIFESTS}/.{name}.draft", f"{MANIFESTS}/{name}.json"
        script = 'cat > "$0" && sync "$0" && mv "$0" "$1" && sync -f "$1"'
        self.host.run("sh", "-c", script, draft, target, stdin=manifest(name, self.versions[name]).encode())

    def withdraw(self, name: str) -> None:
        """Remove a pod's manifest."""
        del self.versions[name]
        self.host.run("sh", "-c", 'rm "$0" && sync -f "$1"', f"{MANIFESTS}/{name}.json", MANIFESTS)

    def create(self) -> None:
        """Declare three pods."""
        for _ in range(3):
            self.made += 1
            self.declare(f"made-{self.made}")

    def update(self) -> None:
        """Change a container of every pod."""
        for name in list(self.versions):
            self.declare(name)

    def stop(self) -> None:
        """Take two pods away, one after the other, so that the removal needs nobody's word."""
        for name in sorted(self.versions)[:2]:
            self.withdraw(name)
            self.host.until(f"{name} goes", lambda name=name: gone(self.host, name))  # type: ignore[misc]

    def crash(self) -> None:
        """Kill containers again and again: deaths, restarts and signals go into the history."""
        for pid in self.host.run("pgrep", "-x", "sleep", check=False).split()[:4]:
            self.host.run("kill", "-9", pid, check=False)

    def restart(self) -> None:
        """Have podsupd restart the example pod."""
        self.host.run("podsupd", "restart", "my-shared-pod", "--no-wait", check=False)

    def works(self) -> list[Callable[[], None]]:
        """Return what can be going on when the power goes."""
        return [self.create, self.update, self.stop, self.crash, self.restart]

    def restarts(self) -> dict[str, int]:
        """Return restartCount by container, of the pods that are declared."""
        found = {}
        for name in ("my-shared-pod", *self.versions):
            for each in self.host.status(name).get("status", {}).get("containerStatuses", []):
                found[f"{name}/{each['name']}"] = each["restartCount"]
        return found

    def lose_power(self, folder: Path) -> dict[str, str]:
        """Cut it, and switch the host on again; return what SQLite says of the databases as they were left."""
        self.disk.cut()
        self.host.cut_power()
        self.disk.unmount()
        self.disk.mount()
        shutil.copytree(self.disk.root / STATE, folder)
        self.host.boot()
        return {name: integrity(folder / name) for name in ("state.db", "history.db")}

    def ready(self) -> bool:
        """Say whether every declared pod is Ready, in its declared version."""
        return all(self.host.ready(name) for name in ("my-shared-pod", *self.versions)) and all(
            self.command(name) == f"{1000000 + version}" for name, version in self.versions.items()
        )

    def command(self, name: str) -> str:
        """Return the argument that a pod's first container was made with, nothing while there is none."""
        shown = self.host.run("podman", "inspect", f"{name}-a", "--format", "{{json .Args}}", check=False)
        return str(json.loads(shown)[-1]) if shown.strip() else ""


def integrity(path: Path) -> str:
    """Return what SQLite finds wrong in a database, with what its journal still holds; ok for nothing."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        return str(database.execute("pragma integrity_check").fetchone()[0])


def gone(host: Booted, name: str) -> bool:
    """Say whether a pod is on its way out, or gone."""
    return not host.succeeds("podman", "pod", "exists", name) or not host.ready(name)


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """The host with podsupd enabled and the example pod Ready, and six pods besides."""
    folder = tmp_path_factory.mktemp("power")
    disk = Disk(folder)
    disk.mount()
    host = Booted(disk.root, f"podsupd-power-{os.getpid()}")
    try:
        furnish(disk.root)
        host.boot()
        host.run("podman", "load", "-q", stdin=saved_images(), timeout=120)
        host.write("my-shared-pod.yaml", host.run("cat", EXAMPLE))
        host.run("systemctl", "enable", "--now", "podman.socket", "podsupd.service", timeout=120)
        made = Household(host, disk, random.Random(SEED))  # noqa: S311  a seed is the point
        made.create()
        made.create()
        host.until("every pod is Ready", made.ready, READY_S)
        host.run("sync")
        yield made
    finally:
        host.cut_power()
        disk.unmount()
        shutil.rmtree(folder)


@pytest.mark.parametrize("cut", range(CUTS))
def test_a_host_without_power_comes_back(household: Household, cut: int, tmp_path: Path) -> None:
    """Whatever was going on, the pods come up by themselves under systemd, once, and the books are in order."""
    host, rng = household.host, household.random
    work = household.works()[cut % len(household.works())]
    before = household.restarts()
    work()
    time.sleep(rng.uniform(0, LONGEST_S))
    boot = host.boot_id()
    left = household.lose_power(tmp_path / "state")
    began = time.monotonic()
    assert host.boot_id() != boot
    host.until(f"cut {cut} in {work.__name__}: every declared pod is Ready", household.ready, READY_S)
    took = time.monotonic() - began
    print(f"cut {cut} in {work.__name__}: every pod Ready {took:.1f} s after the boot")  # noqa: T201  a figure to keep

    assert left == {"state.db": "ok", "history.db": "ok"}
    assert set_aside(host) == []
    host.until("nothing but what is declared is there", lambda: there(host) == expected(household), READY_S)
    after = household.restarts()
    assert not {name: (count, after[name]) for name, count in before.items() if name in after and after[name] < count}


def set_aside(host: Booted) -> list[str]:
    """Return the databases that podsupd could not open."""
    return [name for name in host.run("ls", f"/{STATE}").split() if ".corrupt-" in name]


def there(host: Booted) -> list[str]:
    """Return every container that Podman knows, with infra's by their pod."""
    listed: list[dict[str, Any]] = json.loads(host.run("podman", "ps", "-a", "--pod", "--format", "json"))
    return sorted(f"{each['PodName']}/infra" if each["IsInfra"] else each["Names"][0] for each in listed)


def expected(household: Household) -> list[str]:
    """Return what there has to be."""
    names = ["my-shared-pod/infra", "nginx-server", "busybox-client"]
    for name in household.versions:
        names += [f"{name}/infra", f"{name}-a", f"{name}-b"]
    return sorted(names)
