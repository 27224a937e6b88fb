"""A plan in the making: decisions are taken one by one, and what they have to wait for is kept with them."""

from collections.abc import Iterable
from dataclasses import replace

from podsupd.core import containers, troubles
from podsupd.core.containers import Decision
from podsupd.model.plan import Action, ContainerMemory, Note, Now, Plan, PodMemory
from podsupd.model.spec import PodSpec

AS_DESIRED = "as desired"


class Draft:
    """Collects decisions on the way to a Plan. spec: what is planned for; why: what is to be said besides."""

    def __init__(self, memory: PodMemory, notes: Iterable[Note], now: Now, spec: PodSpec | None) -> None:
        self.spec = spec
        self.why = ""
        self.now = now
        self.memories = dict(memory.containers)
        self.memory = memory
        self.actions: list[Action] = []
        self.waiting: dict[str, tuple[str, str]] = {}
        self.notes = list(notes)
        self.wake_at: float | None = None

    def wake(self, at: float | None) -> None:
        """Look again at this boottime at the latest."""
        if at is not None:
            self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def of(self, name: str) -> ContainerMemory:
        """Return the memory of a container, as it is by now."""
        return self.memories.get(name, ContainerMemory())

    def take(self, name: str, decision: Decision) -> Decision:
        """Take a decision over, or the wait for its next try when Podman refused it; return what was taken."""
        trouble = troubles.active(self.memory.troubles, name, self.now)
        decision = containers.in_earnest(decision, self.memory.troubles.get(name), self.now)
        decision = containers.held_back(decision, self.of(name), trouble)
        self.memories[name] = decision.memory
        self.actions += decision.actions
        self.notes += decision.notes
        if decision.waiting:
            self.waiting[name] = decision.waiting
        self.wake(decision.wake_at)
        return decision

    def plan(self, why: str, *, conflict: str = "", gone: bool = False) -> Plan:
        """Return the plan that was collected."""
        memory = replace(self.memory, containers=self.memories)
        if self.why:
            why = self.why if why == AS_DESIRED else f"{self.why}; {why}"
        return Plan(
            tuple(self.actions),
            self.wake_at,
            memory,
            why,
            tuple(self.notes),
            self.waiting,
            conflict=conflict,
            gone=gone,
            spec=self.spec,
        )
