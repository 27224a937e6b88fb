"""The notify protocol over real datagram sockets, and the watchdog's environment."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podsupd.systemd import SystemdNotifier


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Stand for systemd: a bound datagram socket, and NOTIFY_SOCKET's value for it."""
    if request.param == "file":
        address = name = str(tmp_path / "notify")
    else:
        name = f"@podsupd-test-{os.getpid()}"
        address = "\0" + name[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(60)
        yield server, name


def test_messages(systemd: tuple[socket.socket, str]) -> None:
    """The unit learns when podsupd is ready, how it is, that it lives, reloads and stops."""
    server, name = systemd
    notifier = SystemdNotifier.from_environment({"NOTIFY_SOCKET": name})
    notifier.ready("2 pods\nready")
    notifier.watchdog()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.stopping()
    received = [server.recv(4096).decode() for _ in range(4)]
    notifier.close()
    assert received[0] == "READY=1\nSTATUS=2 pods ready"
    assert received[1] == "WATCHDOG=1"
    reloading, microseconds = received[2].split("\nMONOTONIC_USEC=")
    assert reloading == "RELOADING=1"
    assert before <= int(microseconds) <= after
    assert received[3] == "STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@podsupd-nobody", "vsock:2:1234", "relative"])
def test_nobody_listens(address: str) -> None:
    """Outside of systemd, or while it restarts, nothing is raised."""
    notifier = SystemdNotifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("x")
    notifier.watchdog()
    notifier.close()
    notifier.stopping()


def waiting(server: socket.socket) -> list[bytes]:
    """Return what has come."""
    server.setblocking(False)
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(server.recv(100))
    return found


def test_a_full_queue_does_not_block(tmp_path: Path) -> None:
    """A systemd that does not read blocks no event loop, and is told that we are ready once it reads again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        notifier = SystemdNotifier(str(tmp_path / "notify"))
        # Datagrams of a unix socket wait by number: net.unix.max_dgram_qlen.
        limit = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        for n in range(limit + 10):
            notifier.ready(str(n))
        assert waiting(server)[0] == b"READY=1\nSTATUS=0"
        notifier.watchdog()
        notifier.close()
        assert waiting(server)[-2:] == [f"READY=1\nSTATUS={limit + 9}".encode(), b"WATCHDOG=1"]


def test_children_do_not_inherit(tmp_path: Path) -> None:
    """What podsupd starts cannot tell systemd in our name that we are ready."""
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
        "PATH": "/bin",
    }
    SystemdNotifier.from_environment(environment).close()
    assert environment == {"PATH": "/bin"}
