"""What every test shares."""

import asyncio
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# A busy machine is no fault of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# looptime asks the policy for a loop before a test without one of its own; without this it would make one that nobody
# closes, and a random later test would fail for it.
asyncio.set_event_loop(None)

ROOMS = ("vm", "systemd", "podman5", "e2e", "podman", "unit")
"""In the order in which they are run: what takes longest first, so that no worker waits for another at the end."""


def pytest_configure() -> None:
    """End as with Ctrl-C when the tests are terminated (``timeout``, CI's own limit): what they made is removed."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the options of single tests."""
    parser.addoption(
        "--all-edits", action="store_true", help="tests/e2e/test_edit_table.py: every row, not some of each"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave tests/vm out but where it is named: it takes too long to go with the others."""
    named = any("vm" in Path(arg.partition("::")[0]).parts for arg in config.args)
    return True if collection_path == Path(__file__).parent / "vm" and not named else None


# Last: the order within a room stays the random one.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run room after room, in the random order within each."""
    tests = Path(__file__).parent
    items.sort(key=lambda item: ROOMS.index(item.path.relative_to(tests).parts[0]))


class Files(LoadScopeScheduling):  # type: ignore[misc]
    """Gives whole files to the workers, and the booted hosts to one, which makes their root file system once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "systemd" if "systemd" in Path(file).parts else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Make the scheduler of ``scripts/test``. (Its groups, ``--dist loadgroup``, do nothing with pytest 9.2.)."""
    return Files(config, log)
