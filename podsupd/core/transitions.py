"""Since when a condition is as it is, Kubernetes' lastTransitionTime: a time of the wall clock, for showing only."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from podsupd.model.life import Transition
from podsupd.model.status import Condition


def stamped(conditions: Iterable[Condition], known: Mapping[str, Transition], wall: float) -> tuple[Condition, ...]:
    """Give each condition the time of its last change of status: the known one, or wall for one that changed since.

    Another reason or message is no transition, as in Kubernetes.
    """
    return tuple(replace(c, since=_since(c, known.get(c.type), wall)) for c in conditions)


def _since(condition: Condition, known: Transition | None, wall: float) -> float:
    return known.at if known and known.status == condition.status else wall


def remembered(conditions: Iterable[Condition]) -> dict[str, Transition]:
    """Return what is to be kept of conditions that were stamped."""
    return {c.type: Transition(c.status, c.since) for c in conditions}
