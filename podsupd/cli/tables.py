"""A table that is readable on any terminal: an 80-column console over ssh is where the worst nights are spent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
ENOUGH = 40
"""Columns in which a long last cell is still readable when it is folded there."""
INDENT = 4


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns and rows, drawn as kubectl does where they fit: no lines, two spaces between columns, the last folds.

    Where that leaves the last cell too little room, it goes onto lines of its own beneath its row. Where even the
    others do not fit, each row is a paragraph of ``COLUMN cell``. Nothing is ever cut off.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the form by the width that there is."""
        widths = [max(len(c), *(r[n].cell_len for r in self.rows), 0) for n, c in enumerate(self.columns)]
        others = sum(width + GAP for width in widths[:-1])
        if not self.rows or options.max_width - others >= min(widths[-1], ENOUGH):
            yield self._table()
        elif options.max_width >= others:
            yield from self._beneath(widths, options.max_width)
        else:
            yield from self._paragraphs(options.max_width)

    def _table(self) -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_edge=False)
        for number, column in enumerate(self.columns):
            last = number == len(self.columns) - 1
            made.add_column(column, no_wrap=not last, overflow="fold" if last else "ignore")
        for row in self.rows:
            made.add_row(*row)
        return made

    def _beneath(self, widths: Sequence[int], most: int) -> Iterator[Text]:
        head = [Text(column, style="bold") for column in self.columns]
        yield _line(
            head if sum(widths[:-1]) + GAP * len(widths[:-1]) + len(self.columns[-1]) <= most else head[:-1], widths
        )
        indent = len(self.rows[0][0].plain) - len(self.rows[0][0].plain.lstrip()) + INDENT
        for row in self.rows:
            line = _line(row, widths)
            if line.cell_len <= most:
                yield line
                continue
            yield _line(row[:-1], widths)
            yield from _folded(row[-1], indent, most)

    def _paragraphs(self, most: int) -> Iterator[Text]:
        for row in self.rows:
            first, *others = row
            indent = len(first.plain) - len(first.plain.lstrip()) + INDENT
            line = first.copy()
            for column, cell in zip(self.columns[1:], others, strict=True):
                piece = Text.assemble((f"{column} ", "dim"), cell)
                if line.cell_len + GAP + piece.cell_len <= most:
                    line = Text("  ").join([line, piece])
                    continue
                yield line
                line = Text(" " * indent) + piece
                if line.cell_len > most:
                    *whole, line = _folded(piece, indent, most)
                    yield from whole
            yield line


def _line(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, start in zip(cells, accumulate((width + GAP for width in widths), initial=0), strict=False):
        line.pad_right(start - line.cell_len)
        line.append_text(cell)
    return line


def _folded(text: Text, indent: int, most: int) -> list[Text]:
    """Return the lines of a text, each indented, none wider than most."""
    lines = text.wrap(Console(width=most), max(most - indent, ENOUGH // 2), overflow="fold")
    return [Text(" " * indent) + line for line in lines]
