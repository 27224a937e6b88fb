"""``podsupd run``: the daemon in this process."""

import asyncio
import os

import uvloop

from podsupd import daemon, log
from podsupd.cli.settings import load


def run(config: str | None, manifests: str | None, socket: str | None) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises ConfigError and FatalError."""
    settings = load(config, manifests=manifests, socket=socket)
    log.setup(settings.log)
    foreground = "NOTIFY_SOCKET" not in os.environ
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(daemon.run(settings, foreground=foreground))
