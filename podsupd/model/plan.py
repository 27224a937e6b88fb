"""What the planner reads and answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from podsupd.model.life import (
    Active,
    BootDate,
    CronRun,
    Done,
    Failed,
    Good,
    HookFact,
    HookKind,
    HookRun,
    ImageCheck,
    LadderMemory,
    RestartMark,
    Rollout,
    Stuck,
    Transition,
    Trouble,
)
from podsupd.model.limits import Limits
from podsupd.model.observed import Incarnation, MonitorState
from podsupd.model.signals import DeathCause
from podsupd.model.spec import ContainerSpec, Hook, PodSpec, Resources, StopSpec, Webhook


@dataclass(frozen=True, slots=True)
class Now:
    """CLOCK_BOOTTIME seconds and the boot id, never the wall clock; slept: how many of them the system slept."""

    boottime: float
    boot_id: str
    slept: float = 0.0

    @property
    def awake(self) -> float:
        """The seconds in which something could be done: what a time limit is measured by."""
        return self.boottime - self.slept


@dataclass(frozen=True, slots=True)
class Intent:
    """What an operator asked; kept in state.db. A generation that the pod's memory has not seen is work to do."""

    stopped: bool = False
    stopped_containers: frozenset[str] = frozenset()
    restart_generation: int = 0
    container_restarts: Mapping[str, int] = field(default_factory=dict)


class ImageState(StrEnum):
    """What we know of an image."""

    UNKNOWN = "Unknown"
    PRESENT = "Present"
    PULLING = "Pulling"
    FAILED = "Failed"
    ABSENT = "Absent"


@dataclass(frozen=True, slots=True)
class ImageFact:
    """An image at hand or not.

    UNKNOWN with a message: Podman refuses to show it, until retry_at it is not asked again. image_id: empty when it is
    not here; after a failed pull it may be here all the same. failed_at, retry_at: boottimes of a failed pull and of
    the next one. pulled_at: boottime of the last pull that ended well.
    """

    state: ImageState
    image_id: str = ""
    message: str = ""
    retry_at: float = 0.0
    pulled_at: float = 0.0
    failed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe says of an incarnation: passing None until the first result that counts.

    failed: the failure threshold of a liveness or startup probe was reached, and the prober is on hold until the
    incarnation changes.
    """

    probe: str
    incarnation: Incarnation
    passing: bool | None
    failed: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What else a plan depends on.

    owner: our owner id. images: by reference. verdicts: by probe name.
    gone: container id -> boottime at which a pidfd told that its first process is gone.
    causes: container id -> who ended its first process, where the kernel told.
    durable: state.db can be written; without it nothing destructive is planned.
    words: container id -> what it left at its terminationMessagePath, of those that died since the last plan.
    leftovers: container id -> processes in the cgroup that a stop of ours sheltered them in; 0 is an empty cgroup.
    after: pods that the spec is ``after`` -> why that one cannot be relied on yet, empty when it can.
    hooks: by ``CONTAINER/KIND``. watching_since: boottime since when we see the pod without a break.
    monitors: container id -> how its conmon is, of those whose exit is not recorded. limits: container id -> what the
    kernel enforces, of those where somebody changed it.
    wall: epoch seconds, for the schedules of CronJobs and for dates that are shown, and for nothing else.
    """

    owner: str
    images: Mapping[str, ImageFact] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    gone: Mapping[str, float] = field(default_factory=dict)
    durable: bool = True
    causes: Mapping[str, DeathCause] = field(default_factory=dict)
    leftovers: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    hooks: Mapping[str, HookFact] = field(default_factory=dict)
    watching_since: float = 0.0
    monitors: Mapping[str, MonitorState] = field(default_factory=dict)
    limits: Mapping[str, Limits] = field(default_factory=dict)
    wall: float = 0.0


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make the pod with its infra container, ports and shared namespaces."""

    spec: PodSpec
    digest: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class RemovePod:
    """Remove the pod, which holds nothing but its infra container and dead containers of ours.

    with_volumes: its emptyDirs too, because the pod is deleted, not replaced.
    """

    pod_id: str
    with_volumes: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Make a container in the pod; pod_name is for its labels."""

    pod_id: str
    pod: PodSpec
    container: ContainerSpec
    digest: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Start a created or dead container (or the infra container, with container empty)."""

    container_id: str
    container: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class SignalContainer:
    """Send a signal to the container's first process, whose host pid is pid.

    shelter: before that, move the container's other processes to a cgroup of ours. everyone: signal those too.
    again: it was sent before, and nobody who gets it is told or counted again. step: index in the stop's sequence, for
    nobody gets one step's signal twice.
    """

    container_id: str
    container: str
    signal: str
    why: str = ""
    pid: int = 0
    shelter: bool = False
    everyone: bool = False
    again: bool = False
    step: int = 0


@dataclass(frozen=True, slots=True)
class SignalLeftovers:
    """Send a signal to the processes that a container's first process left behind in a cgroup of ours."""

    container_id: str
    container: str
    signal: str
    why: str = ""
    step: int = 0


@dataclass(frozen=True, slots=True)
class RemoveShelter:
    """Remove the empty cgroup of ours that held a container's leftovers."""

    container_id: str
    container: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Remove a dead or never started container; force: whatever Podman takes it for, and its processes with it."""

    container_id: str
    container: str
    why: str = ""
    force: bool = False


@dataclass(frozen=True, slots=True)
class WakeMonitor:
    """Let a container's conmon go on that was stopped by a signal; pid: the host's."""

    container_id: str
    container: str
    pid: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class PullImage:
    """Ask the puller for an image; returns at once. quiet: without events, for it is only looked up."""

    image: str
    why: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class RunHook:
    """Begin a hook of a container's life, which is given up after timeout_s; returns at once, the end is a fact."""

    container_id: str
    container: str
    kind: HookKind
    hook: Hook
    incarnation: Incarnation
    timeout_s: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class CallWebhook:
    """Have a webhook called about a failed probe; returns at once. step: of how many steps of the probe's ladder."""

    probe: str
    webhook: Webhook
    message: str
    step: int
    steps: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class UpdateContainer:
    """Set the limits of a container that runs; pid: of its first process. mark: digest of the resources."""

    container_id: str
    container: str
    resources: Resources
    pid: int
    mark: str
    why: str = ""


Action = (
    CreatePod
    | RemovePod
    | CreateContainer
    | StartContainer
    | SignalContainer
    | SignalLeftovers
    | RemoveShelter
    | RemoveContainer
    | WakeMonitor
    | PullImage
    | RunHook
    | UpdateContainer
    | CallWebhook
)


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in flight of one incarnation: signalled at started_at, killed at the deadline, then waited for.

    step: index in the sequence of signals. sheltered: its other processes are kept in a cgroup of ours.
    sent: the stage's signal went out. Saved as False before: one that was lost between (a newer wish, kill -9 of
    podsupd) is sent again rather than never. signals_at: when the preStop hook had ended, None without one.
    """

    incarnation: Incarnation
    started_at: float
    boot_id: str
    why: str
    stage: str = "Signalled"
    stage_at: float = 0.0
    sent: bool = False
    step: int = 0
    sheltered: bool = False
    signals_at: float | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """How an incarnation ended; reason is Kubernetes' word (Completed, Error, OOMKilled).

    ours: podsupd stopped it on a wish (an edit, an operator), so it says nothing of the container's health.
    words: its own last words (terminationMessagePath), which stand for the message where there are any.
    cause: who ended it, by the kernel's word (``SIGKILL from host process 'bash' (root)``), and its
    origin (container, exec, host, podsupd, podman, kernel ...); empty: not known. cause_signal: that signal's name.
    """

    incarnation: Incarnation
    exit_code: int
    signal: str | None
    reason: str
    message: str
    started_epoch: float = 0.0
    finished_epoch: float = 0.0
    ours: bool = False
    cause: str = ""
    sender_origin: str = ""
    cause_signal: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class ContainerMemory:
    """What the worker remembers of a container, by manifest name; kept across restarts of podsupd.

    failures: in a row, for the back-off. restarts: ever, what restartCount shows. not_before: boottime of the next
    start. running_since: boottime at which the current incarnation was first seen running. start_requested: an operator
    wants it started whatever its restartPolicy says. pull_asked_at: boottime of the pull that its next creation needs.
    grace_s, stop_spec, stop_signal: the manifest's last word, for a removal when the manifest is gone (Podman keeps
    those of the creation). stop_signal: empty for what Podman says, the image's. sidecar: the manifest's last word too,
    its place among the pod's sidecars, None for any other container. sandbox: the life of the infra container in which
    current was first seen.
    limited: the life whose limits were set in place, and the digest of the resources that they were set to.
    remade: one that could not be started was made anew for that, and none has run since.
    """

    failures: int = 0
    restarts: int = 0
    not_before: float = 0.0
    boot_id: str = ""
    last_death: Death | None = None
    current: Incarnation | None = None
    running_since: float = 0.0
    stop: Stop | None = None
    mark: RestartMark | None = None
    recreate: bool = False
    restart_generation: int = 0
    start_requested: bool = False
    pull_asked_at: float | None = None
    grace_s: float | None = None
    stop_spec: StopSpec = field(default_factory=StopSpec)
    stop_signal: str = ""
    sidecar: int | None = None
    sandbox: Incarnation | None = None
    post_start: HookRun | None = None
    pre_stop: Hook | None = None
    limited: tuple[Incarnation, str] | None = None
    stuck: Stuck | None = None
    remade: bool = False


@dataclass(frozen=True, slots=True)
class PodMemory:
    """The worker's memory of a pod: crash memory and operations in flight, written before the action it covers.

    initialized: the life of the infra container in which all init containers have done their work. ending_since:
    boottime at which the pod's containers began to be stopped together; boot_id is that of this time. good, rollout,
    failed: of a pod whose PodPolicy says how updates prove themselves. conditions: by type, since when each is so.
    images: by container the image's name and the id that it was last found to have; check: of a pod whose images are
    looked up at an interval. made_of: by container the image id that it was made of in this pod, of a pod whose updates
    prove themselves. cron: of a CronJob. slept: what the system had slept when the beginnings of what is under way were
    moved on by it. boot: by which clock deaths and conditions are dated.
    """

    containers: Mapping[str, ContainerMemory] = field(default_factory=dict)
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    restart_generation: int = 0
    ladders: Mapping[str, LadderMemory] = field(default_factory=dict)
    initialized: Incarnation | None = None
    active: Active | None = None
    done: Done | None = None
    good: Good | None = None
    rollout: Rollout | None = None
    failed: Failed | None = None
    ending_since: float | None = None
    boot_id: str = ""
    conditions: Mapping[str, Transition] = field(default_factory=dict)
    images: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    made_of: Mapping[str, str] = field(default_factory=dict)
    check: ImageCheck | None = None
    cron: CronRun | None = None
    slept: float = 0.0
    boot: BootDate | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth an event: Kubernetes' type (Normal, Warning) and reason, and a sentence."""

    type: str
    reason: str
    message: str
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions to apply in order, when to look again at the latest (boottime), and why.

    waiting: by container (empty: the pod) what is waited for, as Kubernetes' reason and a message.
    spec: what was planned for, the file's or one that is rolled back to. conflict: somebody else's pod has the name.
    gone: nothing is wanted and nothing of ours is there.
    """

    actions: tuple[Action, ...]
    wake_at: float | None
    memory: PodMemory
    why: str
    notes: tuple[Note, ...] = ()
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    conflict: str = ""
    gone: bool = False
    spec: PodSpec | None = None

    @property
    def settled(self) -> bool:
        """Nothing left to do."""
        return not self.actions and not self.waiting and not self.conflict
