"""Where words go: tables and colour for a terminal, plain aligned text otherwise."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from podsupd.cli.tables import Rows

Part = Rows | Table | Text | str

_UNBOUNDED = 100_000
"""Columns of an output that is not a terminal: nothing is cut or wrapped there."""

_GOOD = frozenset({"Running", "Ready", "Done", "Loaded", "Succeeded", "Completed", "passing"})
_BAD = frozenset(
    {"Failed", "Error", "OOMKilled", "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "Invalid", "Conflict"}
    | {"failing"}
)


def console() -> Console:
    """Return a console for now's stdout: colour and wrapping on a terminal only; rich honours NO_COLOR itself."""
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(file=sys.stdout, width=width, highlight=False, emoji=False, markup=False, legacy_windows=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Rows:
    """Return a table of these rows, with the colours of their words."""
    return Rows(columns, tuple(tuple(coloured(cell) for cell in row) for row in rows))


def one_line(text: str, most: int = 160) -> str:
    """Return a text on one line and cut: what a command wrote is shown in a table, not instead of it."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def printable(text: str) -> str:
    """Return a text that a terminal shows and does not obey: escapes, newlines and the like by their numbers."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def coloured(word: str) -> Text:
    """Return a word with the colour of its meaning, if it has one."""
    if word in _BAD:
        return Text(word, style="red")
    return Text(word, style="green") if word in _GOOD else Text(word)


def show(*parts: Part) -> None:
    """Print tables and lines; without a terminal no line ends in spaces."""
    screen = console()
    if screen.is_terminal:
        for part in parts:
            _print(screen, part)
        return
    with screen.capture() as captured:
        for part in parts:
            _print(screen, part)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def _print(screen: Console, part: Part) -> None:
    if isinstance(part, Rows | Table):
        screen.print(part)
    else:
        screen.print(part, soft_wrap=True)


def age(seconds: float | None) -> str:
    """Render a duration as kubectl does: the two largest units that matter."""
    if seconds is None:
        return "-"
    total = max(0, int(seconds))
    days, hours, minutes = total // 86400, total // 3600, total // 60
    if days >= 10:  # noqa: PLR2004  from here hours say nothing
        return f"{days}d"
    if days >= 1:
        return f"{days}d{hours % 24}h"
    if hours >= 1:
        return f"{hours}h{minutes % 60}m"
    return f"{minutes}m{total % 60}s" if minutes >= 1 else f"{total}s"
