"""The client of the control socket: a daemon that ends in the middle of an answer."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import command


@pytest.fixture(params=[200, 404])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Serve one answer of which most never comes; return the socket's path."""
    path = str(tmp_path / "podsupd.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()

        def answer() -> None:
            asked, _ = listening.accept()
            with asked:
                asked.recv(65536)
                asked.sendall(f"HTTP/1.1 {request.param} X\r\nContent-Length: 100\r\n\r\n{{".encode())

        serving = threading.Thread(target=answer)
        serving.start()
        yield path
        serving.join()


def test_a_daemon_that_ends_in_its_answer_is_no_daemon(broken: str) -> None:
    """A script sees that nobody answers, in a sentence and by the exit code, whatever the answer was to be."""
    done = command("plan", "--socket", broken)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("podsupd: ")
    assert broken in done.err
