"""What every test shares."""

import asyncio
from pathlib import Path

import pytest

# looptime asks the policy for a loop before a test without one of its own; without this it would make one that nobody
# closes, and a random later test would fail for it.
asyncio.set_event_loop(None)

ROOMS = ("systemd", "podman5", "e2e", "podman", "unit")
"""In the order in which they are run: what takes longest first, so that no worker waits for another at the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options of single tests."""
    parser.addoption(
        "--all-edits", action="store_true", help="tests/e2e/test_edit_table.py: every row, not some of each"
    )


# Last: the order within a room stays the random one.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run room after room; ``scripts/test`` gives whole files to its workers, in this order."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: ROOMS.index(item.path.relative_to(tests).parts[0]))
