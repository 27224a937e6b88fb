"""The composition root's first half: opens what is outside of the engine, and wires the engine's parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from podsupd import __version__
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
from podsupd.engine.tools import Tools
from podsupd.engine.webhooks import Webhooks
from podsupd.libpod import LibpodRuntime
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
from podsupd.state import Claim, HistoryDb, StateDb
from podsupd.systemd import SystemClock, SystemdNotifier
from podsupd.volumes import PodFolders
from podsupd.web.metrics import PrometheusMeter


@dataclass(frozen=True, slots=True)
class Edges:
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
class Parts:
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
    files: FileKeeper


def _files_root(settings: Settings) -> str:
    """Return where the pods' files lie: beside the socket, which is on a tmpfs wherever it is by default."""
    return str(Path(settings.api.socket).parent / "volumes")


def _images(
    settings: Settings, edges: Edges, persisted: Persisted, fleet: Fleet, events: EventLog
) -> tuple[ImageKeeper, Puller]:
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
    return images, puller


def wire(settings: Settings, held: Claim, edges: Edges, persisted: Persisted, stopping: asyncio.Event) -> Parts:
    """Make the engine of these edges; nothing runs yet."""
    changed = Broadcast()
    events = EventLog(edges.history, edges.clock)
    ledger = Ledger(
        TracefsTracer(held.owner_id), ProcLook(), edges.history, edges.meter, held.owner_id, settings.signals.tracer
    )
    fleet = Fleet(persisted, stopping)
    images, puller = _images(settings, edges, persisted, fleet, events)
    prober = ProbeScheduler(edges.probes, edges.clock, edges.meter, fleet.poke_pod, tell=events.note)
    hooks = Hooks(edges.probes, fleet.poke_pod)
    probe_memory = ProbeMemory(prober, edges.state)
    probe_memory.restore(persisted.probes)
    monitors = Monitors()
    limits = LimitWatch(fleet.workers, edges.shelters)
    files = FileKeeper(PodFolders(_files_root(settings)), edges.runtime, held.owner_id)
    expectations = ExpectationMemory(edges.state, edges.clock, persisted.expectations)
    webhooks = Webhooks(WebhookClient(f"podsupd/{__version__}"), edges.clock)

    def relisted(now: Relist) -> None:
        fleet.relisted(now)
        limits.poke()
        files.poke()
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
            files=files,
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
    return Parts(
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
        files,
    )


@contextlib.asynccontextmanager
async def opened(settings: Settings, held: Claim, url: str) -> AsyncIterator[Edges]:
    """Open what is outside of the engine, and close it in the reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        meter = PrometheusMeter()
        runtime = await stack.enter_async_context(
            LibpodRuntime(
                url,
                meter=meter,
                request_timeout_s=settings.podman.request_timeout_s,
                files_root=_files_root(settings),
            )
        )
        runtime.recognise(held.owner_id, held.adopted)
        edges = Edges(
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
        stack.callback(edges.notifier.close)
        stack.push_async_callback(edges.state.close)
        stack.push_async_callback(edges.history.close)
        stack.callback(edges.processes.close)
        stack.callback(edges.shelters.close)
        stack.push_async_callback(edges.probes.close)
        yield edges
