"""A Podman service of our own: it comes, comes back, and goes, with a stand-in for the podman command."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from podsupd.errors import FatalError, PodmanUnavailable
from podsupd.libpod import OwnService, service

# Answers any connection, as `podman system service --time=0 URL` would.
STAND_IN = f"""#!{sys.executable}
import os, socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.0 200 OK\\r\\n\\r\\nOK")
assert sys.argv[1:4] == ["system", "service", "--time=0"], sys.argv
path = sys.argv[4].removeprefix("unix://")
if os.path.exists(path):
    os.unlink(path)
socketserver.UnixStreamServer(path, Handler).serve_forever()
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """Return a stand-in for the podman command."""
    path = tmp_path / "podman"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return str(path)


async def test_it_answers_in_a_session_of_its_own_and_ends(program: str, tmp_path: Path) -> None:
    """The foreground needs no set-up; ctrl-C does not reach Podman, and the end of podsupd ends it."""
    own = OwnService(tmp_path / "run" / "p.sock", program=program)
    async with own:
        assert await service.answers(own.url)
        pid = own.pid
        assert os.getsid(pid) == pid
    assert own.pid == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not await service.answers(own.url)


async def test_it_comes_back_when_it_dies(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A service that is killed is started again, and the end of podsupd ends the new one."""
    monkeypatch.setattr(service, "BACKOFF_S", (0.01, 0.02))
    own = OwnService(tmp_path / "p.sock", program=program)
    await own.start()
    first = own.pid
    running = asyncio.ensure_future(own.run())
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(20):
        while own.pid in {0, first} or not await service.answers(own.url):
            await asyncio.sleep(0.01)
        await own.stop()
        await running
    assert own.pid == 0


async def test_one_that_is_there_is_used_and_left(program: str, tmp_path: Path) -> None:
    """The service that a killed podsupd left behind is used again, not doubled."""
    async with OwnService(tmp_path / "p.sock", program=program) as first:
        second = OwnService(tmp_path / "p.sock", program=program)
        await second.start()
        assert second.pid == 0
        running = asyncio.ensure_future(second.run())
        await second.stop()
        async with asyncio.timeout(30):
            await running
        assert await service.answers(first.url)


async def test_a_missing_program_names_the_package(tmp_path: Path) -> None:
    """A host without Podman is told what to install."""
    own = OwnService(tmp_path / "p.sock", program=str(tmp_path / "no-podman"))
    with pytest.raises(FatalError, match="apt install podman"):
        await own.start()


async def test_a_service_that_ends_at_once_is_unavailable(tmp_path: Path) -> None:
    """A Podman that cannot serve is told with its exit code, at once."""
    own = OwnService(tmp_path / "p.sock", program="false")
    with pytest.raises(PodmanUnavailable, match="it ended with exit code 1"):
        await own.start()
    assert own.pid == 0


async def test_a_service_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Podman that hangs at its start costs a deadline and leaves no process."""
    monkeypatch.setattr(service, "ANSWER_DEADLINE_S", 0.2)
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    own = OwnService(tmp_path / "p.sock", program=str(program))
    with pytest.raises(PodmanUnavailable, match=r"no answer on .* within 0.2 s"):
        await own.start()
    assert own.pid == 0
