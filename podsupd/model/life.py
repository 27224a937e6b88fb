"""Hooks and updates of a pod, as they are known and remembered."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from podsupd.model.observed import Incarnation
from podsupd.model.spec import Ladder


class HookKind(StrEnum):
    """Kubernetes' two moments in a container's life at which something of the manifest's is done."""

    POST_START = "PostStart"
    PRE_STOP = "PreStop"


@dataclass(frozen=True, slots=True)
class HookFact:
    """A hook that this daemon began: how it ended, if it did. failed: a sentence; warning: it could not be run here."""

    incarnation: Incarnation
    ended: bool = False
    failed: str = ""
    warning: str = ""


@dataclass(frozen=True, slots=True)
class HookRun:
    """The postStart hook of an incarnation: began_at is boottime."""

    incarnation: Incarnation
    began_at: float
    boot_id: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Stuck:
    """A life of a container in a state that it does not leave: of this kind since this boottime.

    done: the steps that were taken against it, the last one at ``at``. told: that none of them helped.
    """

    kind: str
    incarnation: Incarnation
    since: float
    boot_id: str
    done: tuple[str, ...] = ()
    at: float = 0.0
    told: bool = False


@dataclass(frozen=True, slots=True)
class RestartMark:
    """This incarnation has to go and come again. counts: as a failure, for the back-off.

    grace_s: of the stop, from the probe that asked for it; None: the pod's.
    """

    incarnation: Incarnation
    reason: str
    message: str
    counts: bool
    grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class LadderMemory:
    """Where a PodPolicy probe stands on its ladder, by probe name; there is none before the first step.

    taken: steps taken; at: boottime of the last one, incarnation: the pod's life then, message: the probe's words.
    failing: no attempt has passed since. passing_since: boottime; None while it fails. sent: a webhook that is the last
    step was handed over. Saved as False before: one that was lost between is called again rather than never.
    """

    ladder: Ladder
    taken: int
    at: float
    boot_id: str
    incarnation: Incarnation
    message: str = ""
    failing: bool = True
    passing_since: float | None = None
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Trouble:
    """Podman refused an action on a subject (container name, or empty for the pod): next try not before retry_at.

    reason: Kubernetes' word for it where the refusal has one of its own. failures: in a row, of this kind of action.
    """

    message: str
    failures: int
    retry_at: float
    boot_id: str
    reason: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Transition:
    """The status that a condition has had since this moment, in epoch seconds."""

    status: str
    at: float


@dataclass(frozen=True, slots=True)
class BootDate:
    """When a boot began by the wall clock as it was when last looked at, in epoch seconds."""

    boot_id: str
    began: float


@dataclass(frozen=True, slots=True)
class Good:
    """What a pod ran well: core.specs' text and fingerprint of the spec, its whole digest, image ids by container."""

    fingerprint: str
    digest: str
    spec: str
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rollout:
    """An update under way. began_at: boottime of the first change, None while it is prepared.

    healthy_since: boottime since when the lives that ``life`` names are Ready. late: that its time is over was told.
    """

    fingerprint: str
    began_at: float | None = None
    boot_id: str = ""
    healthy_since: float | None = None
    life: str = ""
    late: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A spec that did not prove itself, by its fingerprint, and why."""

    fingerprint: str
    message: str


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """When a pod's images are looked up in their registries next. Times are boottimes of the boot with this id.

    asked_at: of the check under way, None between two. failed: why the last one could not be made.
    """

    due_at: float
    boot_id: str
    asked_at: float | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Active:
    """For how long a pod runs as this fingerprint says: since the boottime at which it was first seen so."""

    pod_id: str
    fingerprint: str
    since: float
    boot_id: str
    expired: bool = False


@dataclass(frozen=True, slots=True)
class CronRun:
    """Where a CronJob stands. Times are epoch seconds of its schedule, not of the moment at which a run began.

    since: of the newest run that was begun or given up; before the first, when the job was first seen. run: of the run
    in force, None before the first. fresh: what the one before it left is still to be removed.
    """

    since: float
    run: float | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A job that came to its end: of the spec with this fingerprint, at this boottime; succeeded or not."""

    fingerprint: str
    at: float
    boot_id: str
    succeeded: bool
