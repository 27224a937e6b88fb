"""Tools for a worker or a fleet with every edge played: a Podman that shows one thing for ever."""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, MagicMock

from podsupd.engine.worker import Tools
from podsupd.model.observed import ObservedPod
from podsupd.model.plan import Now

OWNER = "ours"


def tools_over(seen: ObservedPod | None) -> Any:
    """Return tools on a Podman that shows this however often it is looked at, and does nothing it is asked."""
    tools = MagicMock(spec_set=Tools)
    tools.owner = OWNER
    tools.clock.now = lambda: Now(asyncio.get_running_loop().time(), "boot")
    tools.runtime.observe_pod = AsyncMock(return_value=seen)
    tools.state.save_memory = AsyncMock()
    tools.state.forget_pod = AsyncMock()
    tools.probe_memory.keep = AsyncMock()
    tools.puller.fact = AsyncMock()
    tools.executor.apply = AsyncMock()
    tools.causes = AsyncMock(return_value={})
    tools.prober.verdicts.return_value = {}
    tools.prober.statuses.return_value = {}
    return tools
