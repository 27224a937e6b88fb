"""The composition root: has everything built, owns the root TaskGroup, nothing else."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from podsupd import __version__, log
from podsupd.engine.desires import Desires
from podsupd.engine.heap import share_heap
from podsupd.engine.ledger import Ledger
from podsupd.engine.observer import Observer
from podsupd.engine.tasks import guarded
from podsupd.engine.threads import ready_threads
from podsupd.errors import FatalError, PodmanUnavailable, StateUnavailable
from podsupd.libpod import OwnService, find_url
from podsupd.libpod.connection import socket_path
from podsupd.libpod.service import answers
from podsupd.model.settings import Settings
from podsupd.state import Claim, claim
from podsupd.systemd import SystemdNotifier, passed_sockets
from podsupd.web import WebServer
from podsupd.wiring import Edges, Parts, opened, wire

logger = log.get("daemon")

FIRST_LOOK_S = 5.0
# What explains or tidies up but is not needed: a bug in it must not end the daemon.
EXPENDABLE = frozenset({"signals", "signal policies", "limits", "images", "files"})


async def run(settings: Settings, *, foreground: bool) -> None:
    """Run until SIGTERM or SIGINT; the pods go on. foreground: a Podman service of our own may be started.

    Raises FatalError (a lock is held, a crash loop) and ConfigError (a setting that cannot be met).
    """
    share_heap()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ready_threads())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Until a reload is possible there is nothing to reload, and the default would end us.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    logger.info("podsupd starts", version=__version__, manifests=settings.manifests.dir, state=settings.state.dir)
    with claim(settings.state.dir, settings.manifests.dir) as held:
        try:
            await _supervise(settings, held, stopping, foreground=foreground)
        except* FatalError as group:
            raise group.exceptions[0] from None
        except* (StateUnavailable, PodmanUnavailable) as group:
            # Only at the start, before anything was done: the service manager tries again.
            raise FatalError(str(group.exceptions[0])) from group.exceptions[0]
    logger.info("podsupd ends; the pods go on")


@contextlib.asynccontextmanager
async def _podman(settings: Settings, *, foreground: bool) -> AsyncIterator[tuple[str, OwnService | None]]:
    """Find Podman's API; where none listens and we are in the foreground, start one that ends with us."""
    url = find_url(settings.podman.url)
    if not foreground or settings.podman.url or await answers(url):
        yield url, None
        return
    async with OwnService(Path(socket_path(url))) as service:
        yield service.url, service


async def _supervise(settings: Settings, held: Claim, stopping: asyncio.Event, *, foreground: bool) -> None:
    async with (
        _podman(settings, foreground=foreground) as (url, service),
        opened(settings, held, url) as edges,
    ):
        persisted = await edges.state.load()
        for message in persisted.messages:
            logger.warning(message)
        engine = wire(settings, held, edges, persisted, stopping)
        newest = await edges.history.newest()
        engine.events.number_after(newest[0])
        engine.ledger.number_after(newest[1])
        edges.meter.bind(engine.control)
        web = WebServer(engine.control, edges.meter, settings, passed_sockets())
        hangup, looked = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
        mains: dict[str, Callable[[], Awaitable[None]]] = {
            **_mains(edges, engine, stopping),
            "signals": partial(_traced, engine.ledger, looked, stopping),
            "web": web.run,
            "reload": partial(_reloads, engine.desires, edges.notifier, hangup),
            **({"podman": service.run} if service else {}),
        }
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(guarded(name, main, stopping, vital=name not in EXPENDABLE), name=name)
                    for name, main in mains.items()
                ]
                try:
                    # Who asks meanwhile finds nobody, as a moment before: better than a pod that runs shown as unready.
                    await engine.control.first_look(FIRST_LOOK_S)
                    looked.set()
                    await web.start()
                    await _serve(settings, engine, edges.notifier, stopping)
                finally:
                    edges.notifier.stopping()
                    stopping.set()
                    await _end(engine)
                    for task in tasks:
                        task.cancel()
        finally:
            await web.stop()


def _mains(edges: Edges, engine: Parts, stopping: asyncio.Event) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return what runs for as long as the daemon does, by name."""
    return {
        "history": edges.history.run,
        "relist": partial(engine.observer.run_relist, stopping),
        "events": partial(engine.observer.run_events, stopping),
        "config": partial(engine.desires.run, stopping),
        "hints": partial(engine.desires.run_hints, stopping),
        "prober": engine.prober.run,
        "limits": engine.limits.run,
        "files": engine.files.run,
        "images": partial(engine.images.run, stopping),
        "signal policies": engine.policies.run,
    }


async def _traced(ledger: Ledger, looked: asyncio.Event, stopping: asyncio.Event) -> None:
    """Trace signals once the pods were looked at: to begin takes the machine a moment, and no pod waits for it."""
    await looked.wait()
    await ledger.run(stopping)


async def _end(engine: Parts) -> None:
    """End the engine in order: workers first, so that nothing is begun any more, then what they were fed by."""
    engine.desires.poke()
    engine.observer.poke()
    await engine.fleet.close()
    await engine.puller.close()
    await engine.hooks.close()
    await engine.webhooks.close()
    await engine.probe_memory.keep_all(list(engine.fleet.workers))


async def _serve(settings: Settings, engine: Parts, notifier: SystemdNotifier, stopping: asyncio.Event) -> None:
    """Tell systemd when we are ready, and wait for the end."""
    desires, observer = engine.desires, engine.observer
    ready = asyncio.create_task(_first(desires, observer), name="first look")
    ended = asyncio.create_task(stopping.wait(), name="stopping")
    try:
        await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            pods = sorted(desires.desired.pods)
            word = "watching" if observer.up else "Podman does not answer yet;"
            notifier.ready(f"{word} {len(pods)} pods of {settings.manifests.dir}")
            logger.info("ready", pods=pods, podman=observer.up)
        await ended
    finally:
        ready.cancel()
        ended.cancel()


async def _first(desires: Desires, observer: Observer) -> None:
    """Wait for the first scan and the first relist attempt, however they ended."""
    await desires.scanned.wait()
    await observer.attempted.wait()


async def _reloads(desires: Desires, notifier: SystemdNotifier, asked: asyncio.Event) -> None:
    """Read the manifests again at every SIGHUP; systemd is told when they are in force."""
    while True:
        await asked.wait()
        asked.clear()
        logger.info("SIGHUP: reading the manifests again")
        notifier.reloading()
        desired = await desires.reload()
        notifier.ready(f"reloaded: {len(desired.pods)} pods")
