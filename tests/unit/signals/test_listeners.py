"""Who holds a port of the host."""

import os
import socket
from pathlib import Path

import pytest
from e2e.harness import free_port

from podsupd.model.network import PortHolder
from podsupd.signals import Listeners

CONTAINER = "ab" * 32


@pytest.mark.parametrize("address", ["127.0.0.1", "::"])
def test_a_listening_process_is_named(address: str) -> None:
    """IPv4 and IPv6 alike, and only while it listens."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        port = free_port()
        server.bind((address, port))
        server.listen()
        name = Path("/proc/self/comm").read_text().strip()
        assert Listeners().holders("TCP", port) == (PortHolder(os.getpid(), name, ""),)
    assert Listeners().holders("TCP", port) == ()


def test_udp_and_tcp_are_told_apart() -> None:
    """A UDP server does not hold the TCP port of its number."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        port = free_port()
        server.bind(("127.0.0.1", port))
        assert [h.pid for h in Listeners().holders("UDP", port)] == [os.getpid()]
        assert Listeners().holders("TCP", port) == ()


def proc(root: Path, pid: int, command: str, parent: int, **files: str) -> Path:
    """Make a process in a /proc of the test's own."""
    folder = root / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "comm").write_text(f"{command}\n")
    (folder / "stat").write_text(f"{pid} (a ) b) S {parent}" + " 0" * 20)
    for name, text in {"cmdline": command, "cgroup": "0::/user.slice\n", **files}.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("kind", ["conmon", "rootlessport", "of the container"])
def test_the_container_is_named_whose_port_it_is(tmp_path: Path, kind: str) -> None:
    """A port is held by conmon, or by rootlessport below it; a container in the host's network holds its own."""
    (tmp_path / "self/net").mkdir(parents=True)
    line = "0: 00000000:1F90 00000000:0000 0A 0:0 0:0 0 0 0 777 1"
    (tmp_path / "self/net/tcp").write_text(f"head\n{line}\n")
    proc(tmp_path, 10, "conmon", 1, cmdline=f"/usr/bin/conmon\0-c\0{CONTAINER}\0-u\0{CONTAINER}\0")
    pid = 10
    if kind == "rootlessport":
        proc(tmp_path, 11, "rootlessport", 10)
        proc(tmp_path, 12, "exe", 11)
        pid = 12
    if kind == "of the container":
        proc(tmp_path, 13, "nginx", 10, cgroup=f"0::/machine.slice/libpod-{CONTAINER}.scope\n")
        pid = 13
    (tmp_path / str(pid) / "fd/3").symlink_to("socket:[777]")
    proc(tmp_path, 99, "bystander", 1)
    (tmp_path / "99/fd/4").symlink_to("socket:[778]")
    found = Listeners(tmp_path).holders("TCP", 8080)
    assert [(h.pid, h.container_id) for h in found] == [(pid, CONTAINER)]
