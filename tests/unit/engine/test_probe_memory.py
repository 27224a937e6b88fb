"""Verdicts of probes are on disk as soon as it takes them."""

from typing import Any

import pytest
from engine.probing_rig import running, spec_of, wanted

from podsupd.engine.probe_memory import ProbeMemory
from podsupd.errors import StateUnavailable

pytestmark = pytest.mark.looptime


class Disk:
    """A state that is full at first."""

    def __init__(self) -> None:
        self.full = True
        self.saved: list[str] = []

    async def save_probes(self, pod: str, text: str) -> None:
        """Keep it, or refuse."""
        assert pod == "p"
        if self.full:
            raise StateUnavailable("cannot save to state.db: the disk is full")
        self.saved.append(text)


async def test_a_verdict_that_could_not_be_saved_is_saved_later() -> None:
    """A kill of the daemon after the disk had room again makes no probe begin anew."""
    disk: Any = Disk()
    async with running() as bench:
        memory = ProbeMemory(bench.scheduler, disk)
        bench.scheduler.sync("p", wanted(spec_of("web")))
        await memory.keep("p")
        assert disk.saved == []
        disk.full = False
        await memory.keep("p")
        await memory.keep("p")
    assert len(disk.saved) == 1
