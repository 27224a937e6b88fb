"""What is kept: durable state, expendable history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from podsupd.model.plan import Intent, PodMemory
from podsupd.model.signals import SignalRecord
from podsupd.model.status import Event


@dataclass(frozen=True, slots=True)
class Persisted:
    """What state.db held at the start.

    last_good: absolute path -> text of the file when it last parsed well. probes: pod -> what save_probes was given;
    expectations: pod -> what save_expectations was given. images: id -> name of those that podsupd pulled.
    """

    memories: Mapping[str, PodMemory] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    last_good: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[str, str] = field(default_factory=dict)
    expectations: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[int, int] | None = None
    messages: tuple[str, ...] = ()


class State(Protocol):
    """The durable state. Each save returns when the bytes are on disk, or raises StateUnavailable."""

    async def load(self) -> Persisted:
        """Read everything once, at the start; a corrupt file is set aside and named in messages."""
        ...

    async def save_memory(self, pod: str, memory: PodMemory) -> None:
        """Save a pod's memory, before the action it covers."""
        ...

    async def save_probes(self, pod: str, text: str) -> None:
        """Save a pod's probe states, as text of the engine's own making."""
        ...

    async def save_expectations(self, pod: str, text: str) -> None:
        """Save what a pod expects of signals that it got, as text of the engine's own making."""
        ...

    async def forget_pod(self, pod: str) -> None:
        """Drop memory, intent, probe states and expectations of a pod that is gone."""
        ...

    async def save_intent(self, pod: str, intent: Intent) -> None:
        """Save what an operator asked."""
        ...

    async def save_files(self, last_good: Mapping[str, str], identity: tuple[int, int] | None) -> None:
        """Save the last good texts (the whole map replaces what was there) and the directory's identity."""
        ...

    async def save_images(self, images: Mapping[str, str]) -> None:
        """Save which images podsupd pulled, by id (the whole map replaces what was there)."""
        ...


class History(Protocol):
    """The expendable history: recording never blocks and never fails; reading may be empty."""

    def record(self, event: Event) -> None:
        """Queue an event for the next batch."""
        ...

    async def events(self, pod: str | None, since: int, limit: int, *, oldest: bool = False) -> list[Event]:
        """Read the newest ``limit`` events with an id above ``since``, or the oldest; oldest first."""
        ...


class SignalHistory(Protocol):
    """The ledger's rows in the history: recording never blocks and never fails; reading may be empty."""

    def record_signal(self, record: SignalRecord) -> None:
        """Queue a record; one with an id that is there already replaces it."""
        ...

    async def signals(self, pod: str | None, since: int, limit: int, *, oldest: bool = False) -> list[SignalRecord]:
        """Read the newest ``limit`` records with an id above ``since``, or the oldest; oldest first."""
