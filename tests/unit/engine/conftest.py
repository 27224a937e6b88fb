"""What the engine's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine.rig import Rig, rigged


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return a fleet on the fake libpod."""
    async with rigged(tmp_path) as made:
        yield made
