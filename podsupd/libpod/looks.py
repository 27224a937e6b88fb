"""What one pod looks like, at the price of one list call while nothing changes.

The inspect of a container that lives is kept for as long as its line in the list stays the same: everything that
changes in an inspect (state, pid, times, exit code) changes the line too, and what is fixed at creation cannot change
under an id. That of a dead one is not kept: the list has its times in whole seconds, and no pid, so that two lives
that crash within one second have the same line (measured: two of six containers that exit at once lost a death).
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from podsupd.model.observed import ContainerState

Json = Mapping[str, Any]


@dataclass(slots=True)
class Look:
    """The pod's inspect and the inspects of its containers, each with the line that it was made on."""

    pod: Json
    containers: dict[str, tuple[Hashable, Json]] = field(default_factory=dict)


def line_key(line: Json) -> Hashable | None:
    """Return what of a line of ``containers/json`` tells that an inspect still holds; None: nothing does."""
    if str(line.get("State")).lower() in {ContainerState.EXITED, ContainerState.STOPPED}:
        return None
    keys = ("Id", "State", "Pid", "StartedAt", "ExitedAt", "ExitCode")
    return tuple(line.get(key) for key in keys)


class Looks:
    """The newest look at each pod, by name."""

    def __init__(self) -> None:
        self._pods: dict[str, Look] = {}

    def of(self, name: str, lines: list[Json]) -> Look | None:
        """Return the look that still stands for these lines: same pod, whichever containers."""
        look = self._pods.get(name)
        if look is None or not lines or any(line.get("Pod") != look.pod["Id"] for line in lines):
            return None
        return look

    def last(self, name: str) -> Look | None:
        """Return the newest look at a pod, None when it was not looked at."""
        return self._pods.get(name)

    def put(self, name: str, look: Look) -> None:
        """Keep a look."""
        self._pods[name] = look

    def drop(self, name: str) -> None:
        """Forget a pod that is gone."""
        self._pods.pop(name, None)
