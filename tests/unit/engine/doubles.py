"""Tools for a worker or a fleet with every edge played: a Podman that shows one thing for ever."""

import asyncio
from dataclasses import fields
from typing import Any
from unittest.mock import AsyncMock, MagicMock

from podsupd.engine.tools import Tools
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import Now

OWNER = "ours"


def tools_over(seen: ObservedPod | None) -> Any:
    """Return tools on a Podman that shows this however often it is looked at, and does nothing it is asked."""
    edges: Any = {field.name: MagicMock() for field in fields(Tools)}
    made: Any = Tools(**edges | {"owner": OWNER, "causes": AsyncMock(return_value={}), "adopt": AsyncMock()})
    made.clock.now = lambda: Now(asyncio.get_running_loop().time(), "boot")
    made.clock.wall = lambda: 1_800_000_000.0 + asyncio.get_running_loop().time()
    made.runtime.observe_pod = AsyncMock(return_value=seen)
    made.state.save_memory = AsyncMock()
    made.state.forget_pod = AsyncMock()
    made.probe_memory.keep = AsyncMock()
    made.probe_memory.changed.return_value = False
    made.puller.fact = AsyncMock()
    made.executor.apply = AsyncMock()
    made.shelters.look = AsyncMock(return_value={})
    made.files.keep = AsyncMock()
    made.files.before = AsyncMock()
    made.files.words = AsyncMock(return_value={})
    made.prober.verdicts.return_value = {}
    made.prober.statuses.return_value = {}
    return made
