"""A daemon's control socket without a daemon, and the program run against it."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog

from podsupd.cli.main import main
from podsupd.model.settings import ApiSettings, MetricsSettings, Settings
from podsupd.web import PrometheusMeter, WebServer
from tests.unit.web.fakes import STARTED, FakeControl

# looptime asks the policy for a loop before a sync test; without this it would make one that nobody closes.
asyncio.set_event_loop(None)


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Awaitable[Done]]


def command(*args: str) -> Done:
    """Run a command in this process, without a terminal."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(args)
        except SystemExit as end:
            code = end.code
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the environment's own settings away, and let two minutes have passed since the example started."""
    for name in ("PODSUPD_SOCKET", "PODSUPD_CONFIG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    # A message is as wide as the terminal that the tests run on, if there is one.
    monkeypatch.setenv("COLUMNS", "80")
    for module in ("status", "describe"):
        clock = SimpleNamespace(time=lambda: STARTED + 125, sleep=lambda _s: None)
        monkeypatch.setattr(f"podsupd.cli.{module}.time", clock)


@pytest.fixture
def control() -> FakeControl:
    """Return the fake behind the socket."""
    return FakeControl()


@pytest.fixture
def socket(tmp_path: Path) -> str:
    """Return the path of the server's socket."""
    return str(tmp_path / "podsupd.sock")


@pytest.fixture
async def server(control: FakeControl, socket: str) -> AsyncIterator[WebServer]:
    """Run a server."""
    settings = Settings(api=ApiSettings(socket=socket, socket_group=""), metrics=MetricsSettings(""))
    running = WebServer(control, PrometheusMeter(), settings)
    with structlog.testing.capture_logs():  # else they would be among the command's output
        await running.start()
        yield running
        await running.stop()


@pytest.fixture
def podsupd(server: WebServer) -> Run:
    """Return a function that runs a command against the server."""

    async def run(*args: str) -> Done:
        return await asyncio.to_thread(command, *args, "--socket", server.addresses[0])

    return run
