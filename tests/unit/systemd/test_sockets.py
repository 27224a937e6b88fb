"""Sockets passed by systemd, in a process whose descriptors are ours to arrange."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

from podsupd.systemd import passed_sockets

CODE = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from podsupd.systemd import passed_sockets
found = passed_sockets()
for s in found:
    print(s.fileno(), s.family.name, s.type.name, s.getsockname(), s.get_inheritable(), s.getblocking())
print(sorted(k for k in os.environ if k.startswith("LISTEN_")), passed_sockets())
"""


def test_sockets_are_taken(tmp_path: Path) -> None:
    """With podsupd.socket the control endpoint is systemd's: no client is refused during a restart."""
    path = str(tmp_path / "s")
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_INET) as inet,
    ):
        unix.bind(path)
        unix.listen()
        inet.bind(("127.0.0.1", 0))
        port = inet.getsockname()[1]
        inherited = [fcntl.fcntl(s, fcntl.F_DUPFD, 100) for s in (unix, inet)]
        done = subprocess.run(
            # A shell puts them where systemd would: 3, then a FIFO that is no socket, then 5.
            [
                "bash",
                "-c",
                f'exec 3<&{inherited[0]} 4</dev/null 5<&{inherited[1]}; exec "$@"',
                "sh",
                sys.executable,
                "-c",
                CODE,
            ],
            env={**os.environ, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:c"},
            pass_fds=inherited,
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        for fd in inherited:
            os.close(fd)
    lines = done.stdout.splitlines()
    assert lines[-3:] == [
        f"3 AF_UNIX SOCK_STREAM {path} False False",
        f"5 AF_INET SOCK_STREAM ('127.0.0.1', {port}) False False",
        "[] []",
    ]
    assert "cannot use descriptor 4" in done.stdout + done.stderr


def test_none_passed() -> None:
    """Outside of systemd podsupd makes its own socket."""
    assert passed_sockets({}) == []


def test_meant_for_another_process() -> None:
    """A variable inherited from a parent does not make us take over its descriptors."""
    environment = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x"}
    assert passed_sockets(environment) == []
    assert environment == {}


def test_nonsense_is_none() -> None:
    """A broken environment is no reason to fail."""
    assert passed_sockets({"LISTEN_FDS": "many", "LISTEN_PID": str(os.getpid())}) == []
