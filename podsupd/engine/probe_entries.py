"""What the scheduler of probes keeps of each of them."""

from dataclasses import dataclass, field

from podsupd.core.probing import ProbeState
from podsupd.core.sparing import Telling
from podsupd.model.observed import Incarnation
from podsupd.model.spec import ProbeSpec, ProbeType
from podsupd.ports import ProbeTarget


@dataclass(frozen=True, slots=True)
class Registration:
    """A probe that a worker wants.

    started_age_s: how long ago the incarnation started, for initialDelaySeconds. suspended: make no attempts now
    (the container is paused). For a policy probe the incarnation is that of the whole pod.
    """

    spec: ProbeSpec
    incarnation: Incarnation
    target: ProbeTarget
    suspended: bool = False
    started_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SavedProbe:
    """A probe's state as it is kept over a restart of podsupd; fingerprint is core.probing's, of the spec."""

    name: str
    fingerprint: str
    state: ProbeState


@dataclass(slots=True, eq=False)
class Entry:
    """One registered probe; dropped and made anew when the spec or the incarnation changes.

    due: boottime of the next attempt. last: of the beginning of the last one that we made.
    """

    pod: str
    registration: Registration
    state: ProbeState
    due: float
    last: float | None = None
    ticket: int = 0  # the one turn that is current; 0: none
    running: bool = False
    gone: bool = False
    telling: Telling = field(default_factory=Telling)

    @property
    def spec(self) -> ProbeSpec:
        """The probe."""
        return self.registration.spec

    @property
    def key(self) -> str:
        """What its splay is made of."""
        return f"{self.pod}/{self.spec.name}"

    def is_for(self, other: Registration) -> bool:
        """Say whether a registration asks for this probe on this incarnation."""
        return self.spec == other.spec and self.registration.incarnation == other.incarnation


@dataclass(slots=True, eq=False)
class Pod:
    """A pod's probes by name, and states that were saved and have not been asked for yet."""

    entries: dict[str, Entry] = field(default_factory=dict)
    saved: dict[str, SavedProbe] = field(default_factory=dict)

    def startups(self) -> dict[str | None, bool]:
        """Return container -> its startup probe has passed, for the containers that have one."""
        return {
            e.spec.container: e.state.passing is True for e in self.entries.values() if e.spec.type is ProbeType.STARTUP
        }
