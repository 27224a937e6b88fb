"""Signals on their way to a record: what is known of one until its fate is settled, and who watches it."""

from dataclasses import dataclass, field

from podsupd.core import signal_words as words
from podsupd.model.signals import Consequence, Party, SignalRecord

WATCHED_MAX = 8192
"""Signals of one watch that are followed, as many as podsupd can send at once and again as many that were sent on: a
relay that goes on for ever fills no memory."""


@dataclass(slots=True)
class Draft:
    """A signal whose fate is not settled yet."""

    id: int
    at: int
    time: str
    number: int
    code: int
    pod: str
    sender: Party
    target: Party
    sender_tgid: int
    target_tgid: int
    container_id: str
    result: str
    disposition: str | None = None
    taken: int | None = None
    cause: int | None = None
    fault: str = ""
    told: bool = False
    led_to: list[Consequence] = field(default_factory=list)
    count: int = 1
    due: int = 0  # when it is told
    root: int = 0  # the id of the first of the chain that it is in
    purpose: str = ""
    watch: "Watch | None" = None

    def record(self) -> SignalRecord:
        """Return it as it is shown."""
        latency = None if self.taken is None else max(0, (self.taken - self.at) // 1000)
        return SignalRecord(
            self.id,
            self.time,
            self.pod,
            words.name(self.number),
            words.code(self.code, self.number),
            self.sender,
            self.target,
            self.result,
            self.disposition,
            latency,
            self.cause,
            tuple(self.led_to),
            self.count,
            self.fault,
            self.purpose,
        )


@dataclass(slots=True)
class Watch:
    """Signals that podsupd sent itself, for one reason, and whatever was sent on from them.

    cause: the signal that they are sent on from.
    """

    purpose: str
    cause: Draft | None = None
    drafts: list[Draft] = field(default_factory=list)

    @property
    def first_purpose(self) -> str:
        """Return why the first of the chain was sent that these stand in: a drill's forwards are the drill's."""
        before = self.cause.watch if self.cause is not None else None
        return self.purpose if before is None else before.first_purpose


@dataclass(frozen=True, slots=True)
class Own:
    """A signal that podsupd sends itself, announced. target: the process on the host. at: ns, as its record's."""

    target: int
    number: int
    at: int
    watch: Watch


def follow(draft: Draft, watch: Watch) -> None:
    """Have a watch see what becomes of a signal, and those whose signals it was sent on from."""
    draft.watch = watch
    at: Watch | None = watch
    while at is not None:
        if len(at.drafts) < WATCHED_MAX:
            at.drafts.append(draft)
        at = at.cause.watch if at.cause is not None else None


def chained(cause: Draft, draft: Draft) -> Consequence:
    """Note that a signal was sent on from another one, and return that as the consequence of the other."""
    draft.cause, draft.root = cause.id, cause.root
    if cause.watch is not None and draft.watch is None:
        follow(draft, cause.watch)
    after = round((draft.at - cause.at) / 1e6, 3)
    target = draft.target
    return Consequence("signal", target.container, target.pid, after, None, words.name(draft.number), draft.id)
