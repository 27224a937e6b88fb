"""Edits of intent and what becomes of them; kept in memory, the intent itself is in state.db."""

import uuid
from collections import OrderedDict
from dataclasses import dataclass, replace

from podsupd.core import naming
from podsupd.core.conditions import PodView
from podsupd.model.observed import Incarnation
from podsupd.model.plan import ContainerMemory
from podsupd.model.status import Change, ChangeState

KEPT = 200
WAITS = "accepted; waits for Podman, which does not answer"


@dataclass(slots=True)
class _Entry:
    change: Change
    before: dict[str, Incarnation]


class Changes:
    """Remembers the newest changes and judges each from the pod's view."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def add(self, verb: str, view: PodView, container: str | None) -> Change:
        """Register an edit; an older one of the same pod that is still pending is superseded."""
        for entry in self._entries.values():
            old = entry.change
            if old.state is ChangeState.PENDING and old.pod == view.name and container in {None, old.container}:
                entry.change = replace(old, state=ChangeState.SUPERSEDED, message=f"superseded by a newer {verb}")
        change = Change(uuid.uuid4().hex[:12], verb, view.name, container, ChangeState.PENDING, "accepted")
        self._entries[change.id] = _Entry(change, _lives(view))
        while len(self._entries) > KEPT:
            self._entries.popitem(last=False)
        return change

    def judge(self, change_id: str, view: PodView | None) -> Change:
        """Return the change as it stands now. Raises LookupError for an unknown id."""
        entry = self._entries.get(change_id)
        if entry is None:
            raise LookupError(f"no change has the id {change_id} (the newest {KEPT} are kept, until podsupd restarts)")
        if entry.change.state is ChangeState.PENDING:
            if view is None:
                entry.change = replace(entry.change, state=ChangeState.SUPERSEDED, message="the pod was removed")
            else:
                done, message = _judge(entry, view) if view.fresh else (False, WAITS if view.stale else "accepted")
                state = ChangeState.DONE if done else ChangeState.PENDING
                entry.change = replace(entry.change, state=state, message=message)
        return entry.change

    def pod(self, change_id: str) -> str:
        """Return the pod that a change is of, empty if the id is unknown."""
        entry = self._entries.get(change_id)
        return entry.change.pod if entry else ""


def _lives(view: PodView) -> dict[str, Incarnation]:
    found = naming.by_name(view.seen, view.owner) if view.seen else {}
    return {name: c.incarnation for name, c in found.items() if c.state.alive}


def _judge(entry: _Entry, view: PodView) -> tuple[bool, str]:
    """Say whether the change is done, and a sentence on how it stands."""
    change = entry.change
    found = naming.by_name(view.seen, view.owner) if view.seen else {}
    wanted = [c.name for c in view.want.lasting] if view.want else list(found)
    names = [change.container] if change.container else wanted
    alive = [n for n in names if n in found and found[n].state.alive]
    waits = view.plan.waiting if view.plan else {}
    if change.verb == "stop":
        # One that is dead may have left processes behind, which still are in their grace period.
        stopping = [n for n in names if n in alive or waits.get(n, ("",))[0] == "Stopping"]
        if stopping:
            return False, f"stopping: {', '.join(stopping)}"
        infra = view.seen.infra if view.seen else None
        if change.container is None and infra is not None and infra.state.alive:
            return False, "stopping the infra container"
        return True, "stopped"
    old = [n for n in alive if change.verb == "restart" and entry.before.get(n) == found[n].incarnation]
    # What is on its way out of an earlier stop is not started yet.
    down = [n for n in names if (n not in alive or waits.get(n, ("",))[0] == "Stopping") and not _completed(view, n)]
    if old or down:
        reasons = [f"{n} ({waits[n][0]}: {waits[n][1]})" if n in waits else n for n in dict.fromkeys([*old, *down])]
        return False, f"waiting for {', '.join(reasons)}"
    return True, "restarted" if change.verb == "restart" else "started"


def _completed(view: PodView, name: str) -> bool:
    """Say whether a container already ended by itself after the change (a short-lived one)."""
    memory = view.memory.containers.get(name, ContainerMemory())
    death = memory.last_death
    settled = view.plan is not None and name not in view.plan.waiting and not view.plan.actions
    return settled and not memory.start_requested and death is not None and not death.ours and death.exit_code == 0
