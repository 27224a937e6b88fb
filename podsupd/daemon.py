"""The composition root: builds everything, owns the root TaskGroup, nothing else."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from podsupd import __version__, log
from podsupd.configdir import ManifestDirectory
from podsupd.core.desired import restore
from podsupd.core.registries import login
from podsupd.engine.broadcast import Broadcast
from podsupd.engine.control import Engine, Insight
from podsupd.engine.desires import Desires
from podsupd.engine.events import EventLog
from podsupd.engine.executor import Executor, Host
from podsupd.engine.expectation_memory import ExpectationMemory
from podsupd.engine.file_keeper import FileKeeper
from podsupd.engine.fleet import Fleet
from podsupd.engine.heap import share_heap
from podsupd.engine.holders import Holders
from podsupd.engine.hooks import Hooks
from podsupd.engine.image_keeper import ImageKeeper, needs_of
from podsupd.engine.ledger import Ledger
from podsupd.engine.limit_watch import LimitWatch
from podsupd.engine.observer import Observer
from podsupd.engine.probe_memory import ProbeMemory
from podsupd.engine.probe_runs import ProbeRuns
from podsupd.engine.prober import ProbeScheduler
from podsupd.engine.process_map import ProcessMap
from podsupd.engine.puller import Puller
from podsupd.engine.signal_policies import SignalPolicies
from podsupd.engine.signal_policies import Tools as PolicyTools
from podsupd.engine.tasks import guarded
from podsupd.engine.threads import ready_threads
from podsupd.engine.tools import Tools
from podsupd.engine.webhooks import Webhooks
from podsupd.errors import FatalError, PodmanUnavailable, StateUnavailable
from podsupd.libpod import LibpodRuntime, OwnService, find_url
from podsupd.libpod.connection import socket_path
from podsupd.libpod.service import answers
from podsupd.manifest import parse
from podsupd.model.desired import Desired
from podsupd.model.observed import Relist
from podsupd.model.settings import Settings
from podsupd.ports import Persisted
from podsupd.probes import ProbeRunner, WebhookClient
from podsupd.signals import (
    HostProcesses,
    Listeners,
    Monitors,
    PidfdSender,
    PidfdWatcher,
    ProcLook,
    Shelters,
    TracefsTracer,
    hanging,
)
from podsupd.state import Claim, HistoryDb, StateDb, claim
from podsupd.systemd import SystemClock, SystemdNotifier, passed_sockets
from podsupd.volumes import PodFolders
from podsupd.web import WebServer
from podsupd.web.metrics import PrometheusMeter

logger = log.get("daemon")

FIRST_LOOK_S = 5.0
# What explains or tidies up but is not needed: a bug in it must not end the daemon.
EXPENDABLE = frozenset({"signals", "signal policies", "limits", "images"})


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


@dataclass(frozen=True, slots=True)
class _Edges:
    """What is outside of the engine."""

    clock: SystemClock
    notifier: SystemdNotifier
    meter: PrometheusMeter
    history: HistoryDb
    state: StateDb
    processes: PidfdWatcher
    shelters: Shelters
    runtime: LibpodRuntime
    probes: ProbeRunner


@dataclass(frozen=True, slots=True)
class _Engine:
    """The engine's parts, wired."""

    fleet: Fleet
    desires: Desires
    observer: Observer
    puller: Puller
    images: ImageKeeper
    hooks: Hooks
    prober: ProbeScheduler
    probe_memory: ProbeMemory
    webhooks: Webhooks
    ledger: Ledger
    policies: SignalPolicies
    control: Engine
    events: EventLog
    limits: LimitWatch


def _files_root(settings: Settings) -> str:
    """Return where the pods' files lie: beside the socket, which is on a tmpfs wherever it is by default."""
    return str(Path(settings.api.socket).parent / "volumes")


def _wire(settings: Settings, held: Claim, edges: _Edges, persisted: Persisted, stopping: asyncio.Event) -> _Engine:
    changed = Broadcast()
    events = EventLog(edges.history, edges.clock)
    ledger = Ledger(
        TracefsTracer(held.owner_id), ProcLook(), edges.history, edges.meter, held.owner_id, settings.signals.tracer
    )
    fleet = Fleet(persisted, stopping)
    images = ImageKeeper(
        edges.runtime,
        edges.state,
        edges.clock,
        edges.meter,
        events,
        settings.images,
        persisted.images,
        lambda: needs_of(fleet),
    )
    puller = Puller(
        edges.runtime,
        edges.clock,
        fleet.poke_all,
        lambda image: login(fleet.desired.pods.values(), image),
        images.pull,
    )
    prober = ProbeScheduler(edges.probes, edges.clock, edges.meter, fleet.poke_pod, tell=events.note)
    hooks = Hooks(edges.probes, fleet.poke_pod)
    probe_memory = ProbeMemory(prober, edges.state)
    probe_memory.restore(persisted.probes)
    monitors = Monitors()
    limits = LimitWatch(fleet.workers, edges.shelters)
    expectations = ExpectationMemory(edges.state, edges.clock, persisted.expectations)
    webhooks = Webhooks(WebhookClient(f"podsupd/{__version__}"), edges.clock)

    def relisted(now: Relist) -> None:
        fleet.relisted(now)
        limits.poke()
        changed.notify()

    observer = Observer(
        edges.runtime,
        edges.clock,
        edges.meter,
        edges.notifier,
        settings.podman.relist_interval_s,
        on_relist=relisted,
        on_event=fleet.poke,
        hanging=hanging,
    )

    async def adopt(owners: frozenset[str]) -> None:
        await asyncio.to_thread(held.adopt, owners)
        edges.runtime.recognise(held.owner_id, held.adopted)

    fleet.equip(
        Tools(
            owner=held.owner_id,
            runtime=edges.runtime,
            state=edges.state,
            clock=edges.clock,
            executor=Executor(
                edges.runtime,
                puller,
                Host(edges.shelters, monitors, Holders(Listeners(), edges.runtime)),
                edges.meter,
                held.owner_id,
                announce=ledger.announce,
                call=webhooks.request,
            ),
            puller=puller,
            hooks=hooks,
            prober=prober,
            probe_memory=probe_memory,
            files=FileKeeper(PodFolders(_files_root(settings)), edges.runtime, held.owner_id),
            processes=edges.processes,
            shelters=edges.shelters,
            monitors=monitors,
            events=events,
            meter=edges.meter,
            info=lambda: observer.info,
            changed=lambda _pod: changed.notify(),
            unavailable=observer.doubt,
            died=ledger.hurry,
            causes=ledger.causes,
            adopt=adopt,
        )
    )
    restored = restore(
        settings.manifests.dir,
        persisted.identity,
        persisted.last_good,
        {path: parse(text, path) for path, text in persisted.last_good.items()},
    )

    def desired(now: Desired, released: frozenset[str]) -> None:
        # The directory may have come back as another one: hold the lock of the one that is read.
        held.relock()
        fleet.apply(now, released)
        changed.notify()

    directory = ManifestDirectory(settings.manifests.dir)
    desires = Desires(directory, edges.state, edges.clock, restored, settings.manifests.rescan_interval_s, desired)
    processes = ProcessMap(HostProcesses(), edges.runtime, edges.clock)
    sender = PidfdSender()
    policies = SignalPolicies(
        PolicyTools(ledger, sender, fleet.workers, events, edges.meter, edges.clock, changed, expectations),
    )
    insight = Insight(processes, ledger, prober, ProbeRuns(edges.probes, prober), sender, edges.processes, policies)
    control = Engine(fleet, desires, observer, events, edges.runtime, edges.clock, changed, insight)
    return _Engine(
        fleet,
        desires,
        observer,
        puller,
        images,
        hooks,
        prober,
        probe_memory,
        webhooks,
        ledger,
        policies,
        control,
        events,
        limits,
    )


async def _supervise(settings: Settings, held: Claim, stopping: asyncio.Event, *, foreground: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        url, service = await stack.enter_async_context(_podman(settings, foreground=foreground))
        meter = PrometheusMeter()
        runtime = await stack.enter_async_context(
            LibpodRuntime(
                url,
                meter=meter,
                request_timeout_s=settings.podman.request_timeout_s,
                files_root=_files_root(settings),
            )
        )
        edges = _Edges(
            clock=SystemClock(),
            notifier=SystemdNotifier.from_environment(),
            meter=meter,
            history=HistoryDb(
                settings.state.dir,
                settings.state.keep_days,
                settings.state.max_mb,
                keep_signals=settings.signals.keep,
            ),
            state=StateDb(settings.state.dir),
            processes=PidfdWatcher(),
            shelters=Shelters(),
            runtime=runtime,
            probes=ProbeRunner(
                runtime,
                user_agent=f"kube-probe/podsupd-{__version__}",
                run_dir=str(Path(settings.api.socket).parent),
                allow_host_exec=settings.probes.allow_host_exec,
            ),
        )
        runtime.recognise(held.owner_id, held.adopted)
        stack.callback(edges.notifier.close)
        stack.push_async_callback(edges.state.close)
        stack.push_async_callback(edges.history.close)
        stack.callback(edges.processes.close)
        stack.callback(edges.shelters.close)
        stack.push_async_callback(edges.probes.close)
        persisted = await edges.state.load()
        for message in persisted.messages:
            logger.warning(message)
        engine = _wire(settings, held, edges, persisted, stopping)
        newest = await edges.history.newest()
        engine.events.number_after(newest[0])
        engine.ledger.number_after(newest[1])
        meter.bind(engine.control)
        web = WebServer(engine.control, meter, settings, passed_sockets())
        stack.push_async_callback(web.stop)
        hangup, looked = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
        mains: dict[str, Callable[[], Awaitable[None]]] = {
            "history": edges.history.run,
            "relist": partial(engine.observer.run_relist, stopping),
            "events": partial(engine.observer.run_events, stopping),
            "config": partial(engine.desires.run, stopping),
            "hints": partial(engine.desires.run_hints, stopping),
            "prober": engine.prober.run,
            "limits": engine.limits.run,
            "images": partial(engine.images.run, stopping),
            "signals": partial(_traced, engine.ledger, looked, stopping),
            "signal policies": engine.policies.run,
            "web": web.run,
            "reload": partial(_reloads, engine.desires, edges.notifier, hangup),
            **({"podman": service.run} if service else {}),
        }
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


async def _traced(ledger: Ledger, looked: asyncio.Event, stopping: asyncio.Event) -> None:
    """Trace signals once the pods were looked at: to begin takes the machine a moment, and no pod waits for it."""
    await looked.wait()
    await ledger.run(stopping)


async def _end(engine: _Engine) -> None:
    """End the engine in order: workers first, so that nothing is begun any more, then what they were fed by."""
    engine.desires.poke()
    engine.observer.poke()
    await engine.fleet.close()
    await engine.puller.close()
    await engine.hooks.close()
    await engine.webhooks.close()
    await engine.probe_memory.keep_all(list(engine.fleet.workers))


async def _serve(settings: Settings, engine: _Engine, notifier: SystemdNotifier, stopping: asyncio.Event) -> None:
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
