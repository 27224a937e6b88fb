"""Pods that wait for other pods: PodPolicy's ``after``."""

from collections.abc import Iterable, Mapping

from podsupd.model.plan import Facts
from podsupd.model.spec import PodSpec
from podsupd.model.status import PodStatus

WAITING = "WaitingForPods"


def cycle(after: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return pods that wait for each other in a circle, each for the next, the smallest name first; empty: none."""
    done: set[str] = set()
    for first in sorted(after):
        way: list[str] = []
        # Depth first, by hand: a chain of pods may be longer than Python's stack.
        branches = [iter((first,))]
        while branches:
            pod = next(branches[-1], None)
            if pod is None:
                branches.pop()
                if way:
                    done.add(way.pop())
            elif pod in way:
                circle = way[way.index(pod) :]
                start = circle.index(min(circle))
                return (*circle[start:], *circle[:start])
            elif pod not in done:
                way.append(pod)
                branches.append(iter(sorted(after.get(pod, ()))))
    return ()


def unmet(status: PodStatus | None) -> str:
    """Say why a pod cannot be relied on; empty when it is Ready or has succeeded. None: nobody declares it."""
    if status is None:
        return "no manifest declares it"
    if status.stopped:
        return "stopped by an operator"
    if status.ready or status.phase == "Succeeded":
        return ""
    ready = next((c for c in status.conditions if c.type == "Ready"), None)
    return (ready.message if ready else "") or status.phase


def waits(want: PodSpec, facts: Facts) -> tuple[str, str] | None:
    """Return reason and message while the pod has to wait for another one before it is started."""
    reasons = [f"{pod} ({why})" for pod in want.after if (why := facts.after.get(pod, "not looked at yet"))]
    return (WAITING, f"waits for {', '.join(reasons)}") if reasons else None
