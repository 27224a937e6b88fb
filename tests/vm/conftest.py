"""A machine with podsupd installed by `make install` from this checkout, and the example pod in its directory."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hosts.host import EXAMPLE, HOSTS, MANIFESTS, REPO, run_here, saved_images
from vm.machine import READY_S, Machine, accelerator, overlay

INSTALL = f"""
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_QUIET=1 PYTHON=/usr/bin/python3
/podsupd/scripts/install >/dev/null
/opt/tests/bin/pip install --no-deps --no-build-isolation -e /podsupd
podman load -q -i /images.tar
rm -rf /images.tar /wheels
# Each log-in would start a systemd of its own for root: half a minute where it is emulated.
echo UsePAM no > /etc/ssh/sshd_config.d/50-test-host.conf
cp {EXAMPLE} {MANIFESTS}/
systemctl enable -q podman.socket podsupd.service
"""
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".hypothesis", ".*_cache")


@pytest.fixture(scope="session")
def made() -> Path:
    """The machine's parts."""
    return Path(run_here(HOSTS / "make-vm"))


@pytest.fixture(scope="session")
def disk(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk with podsupd installed and enabled, this checkout in /podsupd, and the example's images and pod."""
    folder = tmp_path_factory.mktemp("disk")
    root = folder / "root"
    run_here("cp", "-a", made / "root", root)
    (root / "images.tar").write_bytes(saved_images())
    shutil.copytree(REPO, root / "podsupd", symlinks=True, ignore=LEFT_OUT, dirs_exist_ok=True)
    run_here(HOSTS / "in-rootfs", root, "v2", "sh", "-euc", INSTALL)
    run_here("mke2fs", "-q", "-t", "ext4", "-d", root, folder / "disk.raw", "8G")
    shutil.rmtree(root)
    yield folder / "disk.raw"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def machine(made: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, booted for the first time, the example pod Ready. One for all tests: each boot takes its time."""
    folder = tmp_path_factory.mktemp("machine")
    booted = Machine(made, overlay(folder / "disk.qcow2", disk), folder, accelerator(made, folder))
    try:
        booted.boot()
        booted.until("the example pod is Ready", lambda: booted.ready("my-shared-pod"), READY_S)
        yield booted
    finally:
        booted.cut_power()
        shutil.rmtree(folder)
