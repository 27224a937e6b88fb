"""Tables on terminals of every width, as an operator over ssh has them."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from podsupd.cli.tables import Rows

LONG = "cannot pull image registry.example/team/app:1.2.3: dial tcp: lookup registry.example: no such host"
PODS = Rows(
    ("POD", "READY", "STATUS", "RESTARTS", "WHY"),
    tuple(
        tuple(map(Text, row))
        for row in (("web", "2/2", "Running", "0", "as desired"), ("app", "0/1", "ImagePullBackOff", "12", LONG))
    ),
)


def drawn(rows: Rows, width: int) -> list[str]:
    """Return the lines on a terminal of this width."""
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with screen.capture() as captured:
        screen.print(rows)
    return captured.get().splitlines()


def test_a_wide_terminal_has_a_table() -> None:
    """Everything of a pod is on its line."""
    head, web, app = drawn(PODS, 160)
    assert head.split() == list(PODS.columns)
    assert web.rstrip() == "web  2/2    Running           0         as desired"
    assert app.rstrip() == f"app  0/1    ImagePullBackOff  12        {LONG}"


def test_a_narrow_terminal_has_the_reason_beneath_its_row() -> None:
    """A long reason is read on a small console, and the columns can still be scanned."""
    assert [line.rstrip() for line in drawn(PODS, 72)] == [
        "POD  READY  STATUS            RESTARTS  WHY",
        "web  2/2    Running           0         as desired",
        "app  0/1    ImagePullBackOff  12",
        "    cannot pull image registry.example/team/app:1.2.3: dial tcp: lookup",
        "    registry.example: no such host",
    ]
    assert drawn(PODS, 41)[0].rstrip() == "POD  READY  STATUS            RESTARTS"


def test_a_very_narrow_terminal_has_a_paragraph_for_each_row() -> None:
    """On a phone each cell has its column's name, and none is cut off."""
    assert [line.rstrip() for line in drawn(PODS, 36)] == [
        "web  READY 2/2  STATUS Running",
        "    RESTARTS 0  WHY as desired",
        "app  READY 0/1",
        "    STATUS ImagePullBackOff",
        "    RESTARTS 12",
        "    WHY cannot pull image",
        "    registry.example/team/app:1.2.3:",
        "    dial tcp: lookup",
        "    registry.example: no such host",
    ]


@pytest.mark.parametrize("width", range(24, 180, 7))
def test_nothing_is_cut_off_at_any_width(width: int) -> None:
    """Whatever the terminal, every word is there, and no line is wider than it."""
    lines = drawn(PODS, width)
    assert all(len(line.rstrip()) <= width for line in lines)
    letters = "".join("".join(lines).split())
    assert all(cell.plain.replace(" ", "") in letters for row in PODS.rows for cell in row)


def test_rows_of_a_section_keep_their_indent() -> None:
    """What belongs to a section stays beneath its title on a narrow terminal."""
    rows = Rows(("  NAME", "STATE", "MESSAGE"), ((Text("  web/liveness"), Text("failing"), Text("refused " * 9)),))
    assert all(line.startswith("      ") for line in drawn(rows, 60)[2:])
    assert len(drawn(rows, 60)) > 3
    assert drawn(rows, 20)[0].rstrip() == "  web/liveness"


def test_a_table_without_rows_has_a_header() -> None:
    """A report without processes is drawn, not a crash."""
    assert drawn(Rows(("PROCESS", "PID"), ()), 14)[0].split() == ["PROCESS", "PID"]
