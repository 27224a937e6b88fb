"""A fake libpod, a Runtime on it, and short paths for sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podsupd.libpod import LibpodRuntime
from tests.fakes.libpod import FakeLibpod
from tests.fakes.meter import CountingMeter

# looptime's plugin asks the policy for a loop before each test: where none was ever set, for a test without asyncio,
# the policy makes one that nobody closes, and its ResourceWarning fails whatever test runs when it is collected.
asyncio.set_event_loop(None)


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeLibpod]:
    """Yield a running fake."""
    async with FakeLibpod(tmp_path / "podman.sock") as fake:
        yield fake


@pytest.fixture
def meter() -> CountingMeter:
    """Return the meter of the runtime fixture."""
    return CountingMeter()


@pytest.fixture
async def runtime(fake: FakeLibpod, meter: CountingMeter) -> AsyncIterator[LibpodRuntime]:
    """Yield a Runtime on the fake, with a timeout that a loaded machine keeps."""
    async with LibpodRuntime(fake.url, meter=meter, request_timeout_s=20) as runtime:
        yield runtime
