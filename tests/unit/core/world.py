"""A Podman in memory: applies a plan's actions to an observed pod, as Podman would, and lets things happen to it."""

from dataclasses import dataclass, field, replace

from podsupd.core.conditions import PodView, derive
from podsupd.core.planner import plan
from podsupd.core.rollout import images_needed
from podsupd.core.stopping import LEAST_S, Rule
from podsupd.core.stuck import KILL
from podsupd.core.troubles import refused, succeeded
from podsupd.model.life import HookFact
from podsupd.model.observed import (
    CONTAINER_LABEL,
    DIGEST_LABEL,
    OWNER_LABEL,
    ContainerState,
    Incarnation,
    ObservedContainer,
    ObservedPod,
)
from podsupd.model.plan import (
    Action,
    CreateContainer,
    CreatePod,
    Facts,
    ImageFact,
    ImageState,
    Intent,
    Note,
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
)
from podsupd.model.spec import (
    ContainerSpec,
    ExecCommand,
    FailureAction,
    FailureStep,
    HttpGet,
    Ladder,
    PodSpec,
    PortSpec,
    ProbeSpec,
    ProbeType,
    Source,
    Vantage,
)
from podsupd.model.status import PodStatus

OWNER = "me"
AWAY = "no route"
MIDNIGHT = 1795305600.0  # 2026-11-22T00:00Z
WEB = ContainerSpec(
    "web",
    "web",
    "nginx",
    ports=(PortSpec(80, host_port=8080),),
    probes=(ProbeSpec("web/liveness", ProbeType.LIVENESS, Vantage.POD, HttpGet(80), "web"),),
)
CLIENT = ContainerSpec(
    "client",
    "client",
    "busybox",
    command=("sleep", "9"),
    probes=(ProbeSpec("client/liveness", ProbeType.LIVENESS, Vantage.CONTAINER, ExecCommand(("true",)), "client"),),
)
RESTART_POD = Ladder((FailureStep(FailureAction.RESTART_POD),))
HOST = ProbeSpec("host", ProbeType.POLICY, Vantage.HOST, HttpGet(8080), on_failure=RESTART_POD)
POD = PodSpec("p", Source("/d/p.yaml"), (WEB, CLIENT), share_process_namespace=True, probes=(HOST,), grace_s=30.0)


@dataclass
class World:
    """One pod's Podman, clock and worker state. ``turn`` plans and applies like the worker does.

    litter: processes that each container has besides its first one; they outlive it only in a cgroup of ours, where
    leftovers counts them. left_obey: they end at the first signal. codes: containers that end at once, with this code.
    wall: what Podman dates starts and ends by.
    hooks: how hooks end: ok, fail, or hang. spec: what the last plan was made for. registry: the ids that pulls bring,
    or AWAY. slept: how much of now the system slept. ahead: how far the wall clock is ahead of now, at midnight when
    a world begins.
    """

    want: PodSpec | None = POD
    intent: Intent = field(default_factory=Intent)
    seen: ObservedPod | None = None
    memory: PodMemory = field(default_factory=PodMemory)
    now: float = 1000.0
    ahead: float = MIDNIGHT - 1000.0
    boot: str = "boot"
    slept: float = 0.0
    images: dict[str, ImageFact] = field(
        default_factory=lambda: {
            "nginx": ImageFact(ImageState.PRESENT, pulled_at=1.0),
            "busybox": ImageFact(ImageState.PRESENT, pulled_at=1.0),
        }
    )
    registry: dict[str, str] = field(default_factory=dict)
    facts: Facts = field(default_factory=lambda: Facts(OWNER))
    obeys: bool = True
    litter: int = 0
    left_obey: bool = True
    leftovers: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    hooks: str = "ok"
    spec: PodSpec | None = None
    sandboxes: dict[Incarnation, set[str]] = field(default_factory=dict)
    killing: dict[str, float] = field(default_factory=dict)
    made: int = 0
    done: list[Action] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    foreign: bool = False
    wall: float = 1_790_000_000.0

    def plan(self) -> Plan:
        """Plan on what is there now."""
        images = {}
        if self.want is not None:
            for image in images_needed(self.want, self.seen, self.memory, OWNER):
                images[image] = self.fact(image)
        facts = replace(self.facts, images=images, leftovers=dict(self.leftovers), wall=self.now + self.ahead)
        return plan(self.want, self.intent, self.seen, facts, self.memory, Now(self.now, self.boot, self.slept))

    def fact(self, image: str) -> ImageFact:
        """Return what is known of an image, by its name or its id."""
        if image in self.images:
            return self.images[image]
        ids = {fact.image_id for fact in self.images.values()}
        return ImageFact(ImageState.PRESENT, image) if image in ids else ImageFact(ImageState.ABSENT)

    def status(self) -> PodStatus:
        """Return what is shown of the pod."""
        made = self.plan()
        view = PodView("p", self.want and made.spec, self.intent, self.seen, made, made.memory, owner=OWNER)
        return derive(view, Now(self.now, self.boot, self.slept))

    def turn(self, limit: int | None = None) -> Plan:
        """Plan, take over the memory, and apply up to limit actions (all by default)."""
        made = self.plan()
        self.memory, self.spec = made.memory, made.spec
        self.notes += made.notes
        for action in made.actions[:limit]:
            self.apply(action)
        return made

    def settle(self, turns: int = 60) -> Plan:
        """Turn, going to wake_at when there is nothing to do, until the plan is settled."""
        for _ in range(turns):
            made = self.turn()
            if made.settled or made.gone or made.conflict:
                return made
            if not made.actions and made.wake_at is not None:
                self.now = max(self.now, made.wake_at)
        raise AssertionError(f"not settled after {turns} turns: {made.why} {made.actions}")

    def refuse(self, action: Action, message: str) -> None:
        """Have an action fail as Podman's refusal."""
        self.memory = refused(self.memory, action, message, Now(self.now, self.boot, self.slept), stale=False)

    # -- what Podman does

    def _stamp(self) -> str:
        self.made += 1
        return f"t{self.made}"

    def apply(self, action: Action) -> None:  # noqa: PLR0915  one arm for each action
        """Do what Podman would; asserts that nobody else's things are touched."""
        self.done.append(action)
        match action:
            case PullImage(image=image):
                self.pull(image)
            case CreatePod(spec=spec, digest=digest):
                assert self.seen is None, "a second pod of the same name"
                stamp = self._stamp()
                infra = ObservedContainer(f"infra{stamp}", f"infra{stamp}", ContainerState.CREATED)
                shared = {"net", "pid"} if spec.share_process_namespace else {"net"}
                labels = {OWNER_LABEL: OWNER, DIGEST_LABEL: digest}
                self.seen = ObservedPod(f"pod{stamp}", spec.name, labels, infra, (), frozenset(shared))
            case CreateContainer(pod_id=pod_id, container=spec, digest=digest):
                assert self.seen is not None
                assert pod_id in {self.seen.id, self.seen.name}
                assert all(c.name != spec.runtime_name for c in self.seen.containers), "created twice"
                labels = {OWNER_LABEL: OWNER, CONTAINER_LABEL: spec.name, DIGEST_LABEL: digest}
                container = ObservedContainer(
                    f"c{self._stamp()}",
                    spec.runtime_name,
                    ContainerState.CREATED,
                    labels,
                    image=spec.image,
                    image_id=self.fact(spec.reference).image_id,
                )
                self.seen = replace(self.seen, containers=(*self.seen.containers, container))
            case StartContainer(container_id=container_id):
                assert self.of(container_id).id not in self.leftovers, "started among what its last life left behind"
                # Podman starts a pod's infra container with its first one, and takes a name for an id.
                infra = self.seen.infra if self.seen else None
                if infra and infra.id != container_id and not infra.state.alive:
                    self.change(infra.id, self._started)
                self.check_order(self.of(container_id))
                self.change(self.of(container_id).id, self._started)
                code = self.codes.get(self.of(container_id).label(CONTAINER_LABEL))
                if code is not None:
                    self.crash(self.of(container_id).label(CONTAINER_LABEL), code)
            case UpdateContainer(container_id=container_id):
                assert self.of(container_id).state is ContainerState.RUNNING
            case RunHook(container=name, kind=kind, incarnation=life):
                assert self.of(action.container_id).incarnation == life
                assert self.of(action.container_id).state.alive
                ended = {"ok": "", "fail": "exit code 1"}.get(self.hooks)
                fact = HookFact(life, ended=ended is not None, failed=ended or "")
                self.facts = replace(self.facts, hooks={**self.facts.hooks, f"{name}/{kind}": fact})
            case SignalContainer() | SignalLeftovers() | RemoveShelter():
                self.apply_stop(action)
            case RemoveContainer(container_id=container_id, force=force):
                assert self.seen is not None
                assert container_id not in self.leftovers, "removed before what it left behind"
                self.mine(container_id)
                assert self.seen.infra is None or container_id != self.seen.infra.id, "Podman refuses that"
                state = self.of(container_id).state
                assert force or not (state.alive or state is ContainerState.UNKNOWN), "removed while it runs"
                kept = tuple(c for c in self.seen.containers if c.id != container_id)
                self.seen = replace(self.seen, containers=kept)
            case RemovePod():
                assert self.seen is not None
                assert self.seen.owned_by(OWNER), "somebody else's pod"
                assert all(c.labels.get(OWNER_LABEL) == OWNER for c in self.seen.containers)
                assert not any(c.state.alive for c in self.seen.containers)
                assert not self.leftovers, "removed before what its containers left behind"
                self.seen = None
        self.memory = succeeded(self.memory, action)

    def pull(self, image: str) -> None:
        """Bring what the registry has."""
        found = self.registry.get(image, "")
        self.images[image] = ImageFact(ImageState.PRESENT, found, pulled_at=self.now)
        if found == AWAY:
            self.images[image] = ImageFact(ImageState.FAILED, "", AWAY, self.now + 10, failed_at=self.now)

    def apply_stop(self, action: SignalContainer | SignalLeftovers | RemoveShelter) -> None:
        """Do what Podman and the kernel would at a step of a stop."""
        container_id = action.container_id
        match action:
            case SignalContainer(signal=signal):
                assert self.of(container_id).state.alive
                self.check_in_time(action)
                if action.shelter and self.litter:
                    self.leftovers[container_id] = self.litter
                if action.everyone and container_id in self.leftovers and (self.left_obey or signal == "SIGKILL"):
                    self.leftovers[container_id] = 0
                # Podman finds nobody to signal where its process is gone, and its state stays.
                if (self.obeys or signal == "SIGKILL") and container_id not in self.facts.gone:
                    self.die(container_id, 137 if signal == "SIGKILL" else 143)
            case SignalLeftovers(signal=signal):
                assert self.leftovers[container_id] > 0
                assert self.ended(container_id), "its first process is there"
                self.check_in_time(action)
                if self.left_obey or signal == "SIGKILL":
                    self.leftovers[container_id] = 0
            case RemoveShelter():
                assert self.leftovers.pop(container_id) == 0
                assert self.ended(container_id), "its first process is there"

    def ended(self, container_id: str) -> bool:
        """Say whether a container's first process is gone, maybe with the container."""
        containers = self.seen.containers if self.seen else ()
        return not any(c.id == container_id and c.state.alive for c in containers)

    def check_in_time(self, action: SignalContainer | SignalLeftovers) -> None:
        """Assert that nobody is killed before the deadline of the newest wish."""
        stuck = self.memory.containers[action.container].stuck
        if stuck and KILL in stuck.done:
            return
        if action.signal != "SIGKILL" or not any(c.id == action.container_id for c in self.of_all()):
            return
        memory = self.memory.containers[action.container]
        assert memory.stop is not None
        known = self.spec is not None and (not action.container or self.spec.container(action.container) is not None)
        grace = self.spec.grace_s if self.spec and known else memory.grace_s
        if memory.mark is not None and memory.mark.grace_s is not None:
            grace = memory.mark.grace_s
        spec = self.spec.stop if self.spec else memory.stop_spec
        grace = 30.0 if grace is None else grace
        if memory.sidecar is not None and self.memory.ending_since is not None:
            grace = max(grace - (memory.stop.started_at - self.memory.ending_since), min(grace, LEAST_S))
        total = Rule(grace, spec).total_s
        # A kill that was due by an earlier wish goes on whatever is wished then.
        due = min(total, self.killing.get(action.container_id, total))
        self.killing[action.container_id] = due
        assert self.now >= memory.stop.started_at + due, "killed within its grace period"

    def check_order(self, container: ObservedContainer) -> None:
        """Assert that the init containers did their work in this sandbox before a container is started in it."""
        name = container.label(CONTAINER_LABEL)
        infra = self.seen.infra if self.seen else None
        if not name or self.spec is None or infra is None:
            return
        began = self.sandboxes.setdefault(infra.incarnation, set())
        before = self.spec.init_containers
        if name in {c.name for c in before}:
            before = before[: [c.name for c in before].index(name)]
        for spec in before if not began & {c.name for c in self.spec.containers} else ():
            assert spec.name in began, f"{name} before {spec.name}"
            assert spec in self.spec.sidecars or not self.named(spec.name).state.alive, f"{name} while {spec.name} runs"
        began.add(name)

    def of_all(self) -> list[ObservedContainer]:
        """Return the pod's containers and its infra container."""
        return [*self.seen.containers, *([self.seen.infra] if self.seen.infra else [])] if self.seen else []

    def mine(self, container_id: str) -> None:
        """Assert that a container is ours (or the pod's infra)."""
        container = self.of(container_id)
        assert self.seen is not None
        assert container is self.seen.infra or container.labels.get(OWNER_LABEL) == OWNER, "somebody else's container"

    def of(self, container_id: str) -> ObservedContainer:
        """Find a container by id or by its name in Podman."""
        assert self.seen is not None
        return next(c for c in self.of_all() if container_id in {c.id, c.name})

    def named(self, name: str) -> ObservedContainer:
        """Find a container by its manifest name."""
        assert self.seen is not None
        return next(c for c in self.seen.containers if c.label(CONTAINER_LABEL) == name)

    def change(self, container_id: str, how: "object") -> None:
        """Replace a container by what how makes of it."""
        assert self.seen is not None
        assert callable(how)
        if self.seen.infra and self.seen.infra.id == container_id:
            self.seen = replace(self.seen, infra=how(self.seen.infra))
        else:
            self.seen = replace(
                self.seen, containers=tuple(how(c) if c.id == container_id else c for c in self.seen.containers)
            )

    def _started(self, container: ObservedContainer) -> ObservedContainer:
        stamp = self._stamp()
        self.facts = replace(self.facts, gone={i: at for i, at in self.facts.gone.items() if i != container.id})
        return replace(
            container,
            state=ContainerState.RUNNING,
            pid=self.made,
            started_at=stamp,
            started_epoch=self.wall + self.made,
        )

    def die(self, container_id: str, code: int) -> None:
        """End a container's process with an exit code."""
        self.change(
            container_id,
            lambda c: replace(
                c, state=ContainerState.EXITED, pid=0, exit_code=code, finished_epoch=self.wall + self.made
            ),
        )

    def stick(self, container_id: str, state: ContainerState) -> None:
        """Have Podman hold a container in a state that it does not leave; RUNNING: its process is gone all the same."""
        self.change(container_id, lambda c: replace(c, state=state, pid=c.pid or 1))
        if state is ContainerState.RUNNING:
            self.facts = replace(self.facts, gone={**self.facts.gone, container_id: self.now})

    def crash(self, name: str, code: int = 1) -> None:
        """End a container by itself."""
        self.die(self.named(name).id, code)

    def kill_infra(self) -> None:
        """End the infra container, and with it everything in the shared PID namespace."""
        assert self.seen is not None
        assert self.seen.infra is not None
        self.die(self.seen.infra.id, 137)
        self.leftovers = dict.fromkeys(self.leftovers, 0)
        for container in self.seen.containers:
            if container.state.alive:
                self.die(container.id, 137)


def running() -> World:
    """Return a world whose pod is up."""
    world = World()
    world.settle()
    world.done.clear()
    world.notes.clear()
    return world


def kinds(world: World) -> list[str]:
    """Name what was done."""
    return [type(a).__name__ for a in world.done]
