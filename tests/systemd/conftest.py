"""A Debian of our own with podsupd installed by `make install`, and booted with a real systemd and Podman inside."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts.booted import Booted, furnish
from hosts.host import EXAMPLE, saved_images


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian 12 in a directory, with podsupd installed into it the way a packager would."""
    root = tmp_path_factory.mktemp("host") / "rootfs"
    root.mkdir()
    furnish(root)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def booted(rootfs: Path) -> Iterator[Booted]:
    """The host, booted, with Podman's socket and the example's images, podsupd installed and not started."""
    host = Booted(rootfs, f"podsupd-test-{os.getpid()}")
    try:
        host.boot()
        host.run("podman", "load", "-q", stdin=saved_images(), timeout=300)
        yield host
        host.shut_down()
    finally:
        host.cut_power()


@pytest.fixture(scope="session")
def running(booted: Booted) -> Booted:
    """The host with podsupd enabled and started, as its README says, and the example pod in its directory."""
    booted.write("my-shared-pod.yaml", booted.run("cat", EXAMPLE))
    booted.run("systemctl", "enable", "--now", "podman.socket", "podsupd.service", timeout=300)
    return booted


@pytest.fixture
def host(running: Booted) -> Booted:
    """The host with the unit active and the example pod Ready, whatever the test before did to it."""
    if not running.succeeds("systemctl", "is-active", "--quiet", "podsupd.service"):
        running.run("systemctl", "start", "podsupd.service", timeout=300)
    # A reload that a test asked for may still be under way.
    running.until(
        "the unit is active", lambda: running.show("podsupd.service", "ActiveState")["ActiveState"] == "active"
    )
    running.until("the example pod is Ready", lambda: running.ready("my-shared-pod"))
    return running
