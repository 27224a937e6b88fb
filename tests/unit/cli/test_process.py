"""The program as a process: terminals, signals, pipes, start-up."""

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from podsupd.model.observed import LogLine
from podsupd.web import WebServer
from tests.unit.web.fakes import FakeControl, event

SOURCES = str(Path(__file__).parents[3])


async def spawn(*args: str, stdout: int = PIPE, **env: str) -> Process:
    """Start the program."""
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return await asyncio.create_subprocess_exec(
        # Whoever runs the tests in the background may have them ignore Ctrl-C.
        *("env", "--default-signal=INT", sys.executable, "-m", "podsupd", *args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=PIPE,
        env=plain | {"PYTHONPATH": SOURCES, "TERM": "xterm-256color"} | env,
    )


async def interrupt(process: Process) -> None:
    """Press Ctrl-C when it waits for more: a moment before, Python notes a signal and acts on it with the next byte."""
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGINT)


async def test_followed_events_come_line_by_line(server: WebServer, control: FakeControl) -> None:
    """A script that reads the pipe acts on each event as it happens; Ctrl-C ends it quietly."""
    process = await spawn("events", "--follow", "-o", "json", "--socket", server.addresses[0])
    async with asyncio.timeout(120):
        first = [json.loads(await process.stdout.readline())["id"] for _ in range(3)]
        await control.tell(event(7))
        assert json.loads(await process.stdout.readline())["id"] == 7
        await interrupt(process)
        out, err = await process.communicate()
    assert first == [1, 2, 3]
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_stream_that_the_daemon_ends(server: WebServer) -> None:
    """A script that follows events learns that nobody watches any more."""
    process = await spawn("events", "--follow", "--socket", server.addresses[0])
    async with asyncio.timeout(120):
        await process.stdout.readline()
        path = server.addresses[0]
        await server.stop()
        _, err = await process.communicate()
    assert process.returncode == 3
    assert err.decode() == f"podsupd: podsupd at {path} has ended, and the stream with it\n"


async def test_followed_logs_end_by_ctrl_c(server: WebServer) -> None:
    """Podsupd logs -f behaves as tail -f."""
    process = await spawn("logs", "-f", "my-shared-pod", PODSUPD_SOCKET=server.addresses[0])
    async with asyncio.timeout(120):
        assert await process.stdout.readline() == b"[nginx-server] GET / 200\n"
        assert await process.stdout.readline() == b"[busybox-client] x\n"
        await interrupt(process)
        await process.communicate()
    assert process.returncode == 0


async def test_a_reader_that_closes_the_pipe(server: WebServer, control: FakeControl) -> None:
    """Piping into head leaves no traceback."""
    control.lines[:] = [LogLine("nginx-server", "stdout", "x" * 200)] * 5000
    process = await spawn("logs", "my-shared-pod", "--socket", server.addresses[0])
    async with asyncio.timeout(120):
        await process.stdout.readline()
        process.stdout._transport.close()
        err = await process.stderr.read()
        await process.wait()
    assert (process.returncode, err) == (1, b"")


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
async def test_colour_is_for_terminals(server: WebServer, env: dict[str, str], *, coloured: bool) -> None:
    """On a terminal trouble is red, unless NO_COLOR says otherwise."""
    master, slave = pty.openpty()
    process = await spawn("status", "--socket", server.addresses[0], stdout=slave, **env)
    os.close(slave)
    shown = b""
    async with asyncio.timeout(120):
        while chunk := await asyncio.to_thread(_read, master):
            shown += chunk
        await process.communicate()
    os.close(master)
    assert b"CrashLoopBackOff" in shown
    assert (b"\x1b[31mCrashLoopBackOff" in shown) is coloured


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


async def test_client_commands_do_not_load_the_daemon() -> None:
    """A command answers fast, since it loads neither the web server nor the event loop of the daemon."""
    code = (
        "import sys; import podsupd.cli.main, podsupd.cli.status, podsupd.cli.events, podsupd.cli.changes; "
        "print([m for m in ('aiohttp', 'asyncio', 'pydantic_settings', 'uvloop', 'structlog', 'yaml', "
        "'prometheus_client') if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=PIPE, env=os.environ | {"PYTHONPATH": SOURCES}
    )
    out, _ = await process.communicate()
    assert out == b"[]\n"


async def test_run_refuses_wrong_settings(tmp_path: Path) -> None:
    """A daemon with a misspelt setting does not start as if it were not there."""
    config = tmp_path / "podsupd.toml"
    config.write_text("[api]\nsoket = '/tmp/x'\n")
    process = await spawn("run", "--config", str(config))
    _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode() == f"podsupd: {config}:2: api.soket: unknown setting; did you mean socket?\n"
