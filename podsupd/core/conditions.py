"""What is shown of a pod, in Kubernetes' words: derived at the moment of asking from what is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from podsupd.core import (
    containers,
    dating,
    dependencies,
    ending,
    freshness,
    health,
    initializing,
    ladder,
    naming,
    shortfall,
    stuck,
    transitions,
)
from podsupd.core.accounting import INFRA
from podsupd.core.bringup import INITIALIZING
from podsupd.core.digest import whole_digest
from podsupd.core.draft import AS_DESIRED
from podsupd.core.probing import Result
from podsupd.model.observed import SOURCE_LABEL, ContainerState, ObservedContainer, ObservedPod
from podsupd.model.plan import (
    Action,
    CallWebhook,
    ContainerMemory,
    CreateContainer,
    CreatePod,
    Intent,
    Now,
    Plan,
    PodMemory,
    PullImage,
    RemoveContainer,
    RemovePod,
    RemoveShelter,
    RunHook,
    SignalContainer,
    SignalLeftovers,
    StartContainer,
    UpdateContainer,
    WakeMonitor,
)
from podsupd.model.spec import ContainerSpec, PodSpec, ProbeType, RestartPolicy
from podsupd.model.status import Condition, ContainerStatus, PodStatus, ProbeStatus


@dataclass(frozen=True, slots=True)
class PodView:
    """All that is known of a pod at one moment.

    seen: the last observation. plan: made on it. fault: why the manifest in force is not the file's, or empty.
    stale: Podman does not answer, so seen is old; refused: its word where it answers, and will not show the pod.
    fresh: the plan was made for the newest wish.
    wall: epoch seconds, for conditions that have changed since the last plan.
    """

    name: str
    want: PodSpec | None
    intent: Intent
    seen: ObservedPod | None
    plan: Plan | None
    memory: PodMemory
    probes: Mapping[str, ProbeStatus] = field(default_factory=dict)
    fault: str = ""
    stale: bool = False
    refused: str = ""
    owner: str = ""
    fresh: bool = True
    wall: float = 0.0


def describe(action: Action) -> str:
    """Say an action as ``podsupd plan`` prints it."""
    match action:
        case CreatePod(spec=spec):
            what = f"create pod {spec.name}"
        case RemovePod(pod_id=pod_id):
            what = f"remove pod {pod_id[:12]}"
        case CreateContainer(container=spec):
            what = f"create container {spec.name}"
        case StartContainer(container=name):
            what = f"start container {name}" if name else "start the infra container"
        case SignalContainer(container=name, signal=signal):
            what = f"send {signal} to container {name}" if name else f"send {signal} to the infra container"
        case SignalLeftovers(container=name, signal=signal):
            what = f"send {signal} to what container {name} left behind"
        case RemoveShelter(container=name):
            what = f"remove the empty cgroup of what container {name} left behind"
        case RemoveContainer(container=name, force=force):
            what = f"remove container {name}" + (" by force" if force else "")
        case UpdateContainer(container=name):
            what = f"update the limits of container {name} in place"
        case RunHook(container=name, kind=kind):
            what = f"run the {kind[0].lower()}{kind[1:]} hook of container {name}"
        case PullImage(image=image):
            what = f"pull image {image}"
        case _:
            what = _describe_rare(action)
    return f"{what}: {action.why}" if action.why else what


def _describe_rare(action: CallWebhook | WakeMonitor) -> str:
    match action:
        case CallWebhook(webhook=webhook):
            return f"call {ladder.place(webhook)}"
        case WakeMonitor(container=name):
            return f"let the conmon of {f'container {name}' if name else 'the infra container'} go on"


def _initialized(view: PodView, found: Mapping[str, ObservedContainer]) -> bool:
    """Kubernetes' Initialized: all init containers did their work, or the pod has ended."""
    if view.want is None or view.seen is None:
        return view.want is None or not view.want.init_containers
    if initializing.initialized(view.want, view.seen, view.memory):
        return True
    return initializing.finished(view.want, found, view.memory.containers)


def _ready(view: PodView, spec: ContainerSpec, container: ObservedContainer) -> bool:
    """Kubernetes' ready; of an init container that ends: that it has done its work."""
    mine = view.memory.containers.get(spec.name, ContainerMemory())
    if view.want is None or view.seen is None or spec not in view.want.steps:
        return health.ready(spec, container, mine, view.probes)
    return initializing.complete(container, mine, view.seen)


def _waits_for_pods(view: PodView) -> tuple[str, str] | None:
    """Return what the pod as a whole waits for, when that is another pod."""
    waiting = view.plan.waiting.get(INFRA, ("", "")) if view.plan else ("", "")
    return waiting if waiting[0] == dependencies.WAITING else None


def _sandbox_fails(view: PodView) -> tuple[str, str] | None:
    """Return why the pod itself cannot be made or started, and so no container of it."""
    waiting = view.plan.waiting.get(INFRA, ("", "")) if view.plan else ("", "")
    return waiting if waiting[0].endswith("Error") else None


def _container(
    view: PodView, name: str, spec: ContainerSpec | None, seen: ObservedContainer | None, now: Now
) -> ContainerStatus:
    memory = view.memory.containers.get(name, ContainerMemory())
    waiting = view.plan.waiting.get(name) if view.plan else None
    state, reason, message = "waiting", "ContainerCreating", ""
    if view.want is not None and view.want.init_containers:
        reason = INITIALIZING
    if waiting:
        reason, message = waiting
    if seen is not None and seen.state.alive:
        state = "running"
        reason, message = waiting or ("", "")
        if seen.state is ContainerState.PAUSED:
            reason, message = "Paused", f"paused by hand; `podman unpause {seen.name}` lets it go on"
    elif seen is not None and seen.state.dead and not waiting:
        state = "terminated"
        death = memory.last_death
        reason = death.reason if death else ("Completed" if seen.exit_code == 0 else "Error")
        message = death.message if death else ""
    elif view.plan and view.plan.conflict:
        reason, message = "Conflict", view.plan.conflict
    elif view.intent.stopped:
        reason, message = "Stopped", "stopped by an operator"
    elif seen is None and not waiting and (waits := _waits_for_pods(view)):
        reason, message = waits
    elif not waiting and (held := _sandbox_fails(view)):
        reason, message = held
    same_boot = memory.boot_id == now.boot_id
    return ContainerStatus(
        name=name,
        runtime_name=seen.name if seen else (spec.runtime_name if spec else name),
        container_id=seen.id if seen else "",
        image=spec.image if spec else (seen.image if seen else ""),
        image_id=seen.image_id if seen else "",
        ready=bool(spec and seen and _ready(view, spec, seen)),
        started=bool(spec and seen and health.started(spec, seen, memory, view.probes)),
        restart_count=memory.restarts,
        state=state,
        reason=reason,
        message=message,
        started_at=_started(view, name, seen, now),
        last_death=memory.last_death,
        paused=seen is not None and seen.state is ContainerState.PAUSED,
        backoff_s=max(0.0, memory.not_before - now.boottime) if same_boot else 0.0,
    )


def _phase(view: PodView, statuses: tuple[ContainerStatus, ...], found: Mapping[str, ObservedContainer]) -> str:
    """Kubernetes' phase: Pending until every container was made, Running while one runs or will run again."""
    if view.stale and view.seen is None:
        return "Unknown"
    if view.want is not None and view.memory.done:
        return "Succeeded" if view.memory.done.succeeded else "Failed"
    if view.seen is None or not statuses or view.want is None:
        return "Pending" if view.want is not None else "Running"
    if ending.expired(view.want, view.memory) or initializing.failed(view.want, found, view.memory.containers):
        return "Failed"
    steps = {c.name for c in view.want.steps}
    found = {name: container for name, container in found.items() if name not in steps}
    if any(s.name not in found or not found[s.name].started_epoch for s in statuses):
        return "Pending"
    specs = {c.name: c for c in view.want.every}
    policies = {n: view.want.policy_of(specs[n]) if n in specs else RestartPolicy.NEVER for n in found}
    ended = initializing.finished(view.want, found, view.memory.containers)
    for name, container in found.items():
        memory = view.memory.containers.get(name, ContainerMemory())
        stopped = view.intent.stopped or name in view.intent.stopped_containers
        spec = specs.get(name)
        again = not (ended or stopped) and spec and containers.restarts(view.want, spec, container, memory)
        if container.state.alive or again:
            return "Running"
    mains = [c.name for c in view.want.containers]
    if any(found[n].exit_code != 0 and policies[n] is not RestartPolicy.ALWAYS for n in mains):
        return "Failed"
    return "Succeeded"


def _update_conditions(view: PodView) -> list[Condition]:
    """Say how an update stands, of a pod whose updates have to prove themselves."""
    if view.want is None or view.want.update is None:
        return []
    failed = view.memory.failed
    if failed:
        back = view.want.update.rollback
        message = f"{failed.message}; the last good version is in force until {freshness.next_try(view.want)}"
        return [Condition("Progressing", "False", "RolledBack" if back else "UpdateFailed", message)]
    if view.memory.rollout and view.memory.good:
        late = view.memory.rollout.late
        why = view.plan.why if view.plan else ""
        return [Condition("Progressing", str(not late), "ProgressDeadlineExceeded" if late else "Updating", why)]
    return [Condition("Progressing", "True", "Updated" if view.memory.good else "Starting")]


def _stuck_conditions(view: PodView) -> list[Condition]:
    """Say what Podman holds in a state that it does not leave, once something had to be tried against it."""
    if view.seen is None:
        return []
    there = naming.by_name(view.seen, view.owner) | ({INFRA: view.seen.infra} if view.seen.infra else {})
    texts: list[str] = []
    reason = ""
    for name, memory in view.memory.containers.items():
        if memory.stuck and memory.stuck.done and name in there:
            tried = f"tried to {', to '.join(dict.fromkeys(memory.stuck.done))}"
            way_out = f"; {stuck.way_out(there[name], memory.stuck)}" if memory.stuck.told else ""
            texts.append(f"{stuck.words(there[name], memory.stuck)}: {tried}{way_out}")
            reason = memory.stuck.kind
    trouble = view.memory.troubles.get(INFRA)
    if trouble and trouble.action == RemovePod.__name__ and trouble.failures >= containers.REFUSALS:
        texts.append(f"{trouble.message}; `podman pod rm -f -t 0 {view.name}` removes it, or says what is in the way")
        reason = "RemovalRefused"
    return [Condition("Stuck", "True", reason, "; ".join(texts))] if texts else []


def _initialized_condition(inits: tuple[ContainerStatus, ...], *, done: bool) -> Condition:
    if done:
        return Condition("Initialized", "True")
    message = f"containers with incomplete status: [{' '.join(s.name for s in inits if not s.ready)}]"
    return Condition("Initialized", "False", "ContainersNotInitialized", message)


def _conditions(view: PodView, statuses: tuple[ContainerStatus, ...], initialized: Condition) -> tuple[Condition, ...]:
    unready = [s.name for s in statuses if not s.ready]
    ready = bool(statuses) and not unready and view.want is not None and not view.stale
    reason = "" if ready else ("PodmanUnavailable" if view.stale else "ContainersNotReady")
    message = "" if ready else f"containers with unready status: [{' '.join(unready)}]"
    message = "Podman does not answer" if view.stale else message
    conflict = view.plan.conflict if view.plan else ""
    found = [
        Condition("PodScheduled", "True"),
        initialized,
        Condition("ContainersReady", "True" if ready else "False", reason, message),
        Condition("Ready", "True" if ready else "False", reason, message),
    ]
    paused = [s.name for s in statuses if s.paused]
    policies = [p for p in view.probes.values() if p.type is ProbeType.POLICY]
    if policies:
        failing = [p for p in policies if p.passing is False]
        unknown = [p for p in policies if p.passing is None]
        status = "False" if failing else ("Unknown" if unknown else "True")
        texts = "; ".join(f"{p.name}: {p.message}{_standing(view, p.name)}" for p in failing)
        found.append(Condition("PolicyProbesPassing", status, "ProbeFailed" if failing else "", texts))
    if view.want is not None and view.want.after:
        waits = _waits_for_pods(view)
        found.append(
            Condition("DependenciesReady", "False", *waits) if waits else Condition("DependenciesReady", "True")
        )
    if unrunnable := [p for p in view.probes.values() if p.result == Result.UNKNOWN and not paused]:
        texts = "; ".join(f"{p.name}: {p.message}" for p in unrunnable)
        found.append(Condition("ProbesRunnable", "False", "Unrunnable", texts))
    if paused:
        what = f"probes are suspended, nothing is killed: {', '.join(paused)}"
        found.append(Condition("Paused", "True", "PausedByHand", what))
    found += _update_conditions(view) + _stuck_conditions(view)
    if check := view.memory.check:
        reason = "CheckFailed" if check.failed else ""
        found.append(Condition("ImagesChecked", str(not check.failed), reason, check.failed))
    if view.want is not None and ending.expired(view.want, view.memory):
        message = f"active for longer than {view.want.active_deadline_s:g} s"
        found.append(Condition("DeadlineExceeded", "True", ending.DEADLINE, message))
    if conflict:
        found.append(Condition("Conflict", "True", "NameTaken", conflict))
    if view.fault:
        found.append(Condition("ManifestCurrent", "False", "LastGoodUsed", view.fault))
    if view.stale:
        reason = "PodmanRefuses" if view.refused else "PodmanUnavailable"
        found.append(Condition("ObservationFresh", "False", reason, view.refused or "Podman does not answer"))
    return tuple(found)


def _standing(view: PodView, probe: str) -> str:
    memory = view.memory.ladders.get(probe)
    where = ladder.standing(memory) if memory else ""
    return f" ({where})" if where else ""


def derive(view: PodView, now: Now) -> PodStatus:
    """Derive the status of a pod."""
    found = naming.by_name(view.seen, view.owner) if view.seen else {}
    inits = {c.name: c for c in view.want.init_containers} if view.want else {}
    specs = {c.name: c for c in view.want.containers} if view.want else {}
    names = list(dict.fromkeys([*specs, *(n for n in found if n not in inits)]))
    statuses = tuple(_container(view, name, specs.get(name), found.get(name), now) for name in names)
    before = tuple(_container(view, name, spec, found.get(name), now) for name, spec in inits.items())
    sidecars = {c.name for c in view.want.sidecars} if view.want else set()
    lasting = (*(s for s in before if s.name in sidecars), *statuses)
    initialized = _initialized_condition(before, done=_initialized(view, found))
    return PodStatus(
        name=view.name,
        spec=view.want,
        observed=view.seen,
        phase=_phase(view, statuses, found),
        conditions=transitions.stamped(_conditions(view, lasting, initialized), view.memory.conditions, view.wall),
        containers=statuses,
        probes=tuple(view.probes.values()),
        why=_why(view, lasting),
        digest=whole_digest(view.want) if view.want else "",
        source=_source(view),
        last_good=bool(view.fault) or view.memory.failed is not None,
        stopped=view.intent.stopped,
        actions=tuple(describe(a) for a in view.plan.actions) if view.plan else (),
        init_containers=before,
        started_at=_started(view, INFRA, view.seen.infra if view.seen else None, now),
    )


def _started(view: PodView, name: str, container: ObservedContainer | None, now: Now) -> float:
    """Return when a container was started, 0 for never; what is stale is shown as it was, and so is its clock."""
    if container is None or view.stale:
        return container.started_epoch if container else 0.0
    return dating.started(container, view.memory.containers.get(name, ContainerMemory()), now, view.wall)


def _why(view: PodView, lasting: tuple[ContainerStatus, ...]) -> str:
    """Say why the pod is as it is: what its plan says, and of a plan without anything to do what is lacking still."""
    why = view.plan.why if view.plan else "not looked at yet"
    if view.plan and why == AS_DESIRED and view.want:
        lacking = shortfall.reasons(view.want, view.intent.stopped_containers, lasting, view.probes)
        why = "; ".join(lacking) or why
    return f"{shortfall.STALE}: {why}" if view.stale else why


def _source(view: PodView) -> str:
    if view.want:
        return view.want.source.path
    return view.seen.labels.get(SOURCE_LABEL, "") if view.seen else ""
