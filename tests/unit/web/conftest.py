"""A web server on a unix socket with a fake Control behind it, and a client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from podsupd.model.settings import ApiSettings, MetricsSettings, Settings
from podsupd.web import PrometheusMeter, WebServer
from tests.unit.web.fakes import FakeControl

# looptime asks the policy for a loop before a sync test; without this it would make one that nobody closes.
asyncio.set_event_loop(None)


@pytest.fixture
def control() -> FakeControl:
    """Return a fake Control that the test may change."""
    return FakeControl()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with a socket of the test's own and no TCP."""
    api = ApiSettings(socket=str(tmp_path / "run" / "podsupd.sock"), socket_group="")
    return Settings(api=api, metrics=MetricsSettings(listen=""))


@pytest.fixture
async def server(control: FakeControl, settings: Settings) -> AsyncIterator[WebServer]:
    """Run the server."""
    meter = PrometheusMeter()
    meter.bind(control)
    running = WebServer(control, meter, settings)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client of its control socket."""
    connector = aiohttp.UnixConnector(server.addresses[0])
    async with aiohttp.ClientSession("http://podsupd", connector=connector) as session:
        yield session
