"""What the engine's tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine.rig import Rig, rigged

from podsupd.engine import ledger


@pytest.fixture(autouse=True)
def _patient_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test's trace be behind because the machine is: the one that is about it has its own time."""
    monkeypatch.setattr(ledger, "BEHIND_S", 60.0)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Return a fleet on the fake libpod."""
    async with rigged(tmp_path) as made:
        yield made
