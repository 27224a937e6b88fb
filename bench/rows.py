"""One measured line, and the table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Samples:
    """Repeated measurements of one thing: the median counts, the spread is shown."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.median:.4g}"
        return f"{self.median:.4g} ({min(self.values):.4g} to {max(self.values):.4g}, n={len(self.values)})"


def samples(values: Sequence[float]) -> Samples:
    """Make samples of at least one value."""
    return Samples(tuple(values))


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of ours beside a peer's.

    bound: the largest ratio (ours / peer) that is good. limit: the largest value of ours that is good, in the unit.
    Neither: shown, not judged.
    """

    metric: str
    unit: str
    ours: Samples
    peer: Samples | None = None
    peer_name: str = ""
    bound: float | None = None
    limit: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's: below one is faster."""
        return self.ours.median / self.peer.median if self.peer is not None else None

    @property
    def good(self) -> bool | None:
        """Within its bound, None when there is none."""
        if self.bound is not None and self.ratio is not None:
            return self.ratio <= self.bound
        if self.limit is not None:
            return self.ours.median <= self.limit
        return None


class Scenario(Protocol):
    """A module of ``bench``: a name, and a measurement that leaves nothing behind."""

    name: str

    def run(self, options: "Options") -> list[Row]:
        """Measure."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """What a scenario is run with.

    podsupd: the program. url: Podman's API. prefix: of the names of all that is made. repeats: samples of what varies.
    pods: how many of two containers. window_s: for how long idleness is measured. plots: where SVGs are written to.
    minutes, seed, keep: of the soak; where its directory is kept.
    """

    podsupd: str
    url: str
    prefix: str
    repeats: int
    pods: int
    window_s: float
    plots: Path | None = None
    minutes: float = 20.0
    seed: int = 1
    keep: Path | None = None


def show(console: Console, title: str, rows: Sequence[Row]) -> None:
    """Print a scenario's table."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "unit", "podsupd", "peer", "", "ratio", "bound", ""):
        table.add_column(heading)
    for row in rows:
        bound = f"ratio <= {row.bound:.3g}" if row.bound is not None else ""
        bound = f"<= {row.limit:g}" if row.limit is not None else bound
        verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.good]
        table.add_row(
            row.metric,
            row.unit,
            str(row.ours),
            str(row.peer or ""),
            row.peer_name,
            f"{row.ratio:.3g}" if row.ratio is not None else "",
            bound,
            verdict,
        )
    console.print(table)
