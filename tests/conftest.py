"""What every test shares."""

import asyncio
from pathlib import Path

import pytest

# looptime asks the policy for a loop before a test without one of its own; without this it would make one that nobody
# closes, and a random later test would fail for it.
asyncio.set_event_loop(None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options of single tests."""
    parser.addoption(
        "--all-edits", action="store_true", help="tests/e2e/test_edit_table.py: every row, not some of each"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one worker, and those that share the booted host too (``scripts/test`` runs two)."""
    for item in items:
        folder = item.path.parent
        group = folder if folder.name == "systemd" and folder.parent == Path(__file__).parent else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))
