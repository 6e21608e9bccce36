"""What suits the width of a terminal: tables that leave out their least important columns, and paragraphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genlab.wording import escaped

GAP = 2  # blanks between columns


@dataclass(frozen=True)
class Column:
    """A column of texts.

    rank: how soon it is left out, the highest first; 0 never is. right: numbers. style: as rich calls it.
    """

    title: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = False
    style: str = ""

    @property
    def width(self) -> int:
        """In terminal cells."""
        return max(map(cell_len, (self.title, *self.cells)))


def without_empty(columns: Sequence[Column]) -> list[Column]:
    """Leave out columns in which nothing stands."""
    return [column for column in columns if any(column.cells)]


def fits(columns: Sequence[Column], width: int) -> bool:
    """Whether columns have room beside one another."""
    return _width(columns) <= width


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + GAP for column in columns) - GAP


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Leave out columns, the highest rank first, until the rest fit into ``width``."""
    shown = list(columns)
    while not fits(shown, width):
        least = max(shown, key=lambda column: column.rank)
        if least.rank == 0:
            break
        shown.remove(least)
    return shown


def table(columns: Sequence[Column], styles: Sequence[str] = ()) -> Table:
    """Return columns as a table that is never wrapped or cut, however narrow the terminal. styles: of each row."""
    made = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, GAP // 2),
        collapse_padding=True,
        width=_width(columns),
    )
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        made.add_column(column.title, justify=justify, no_wrap=True, min_width=column.width, style=column.style)
    rows = list(zip(*(column.cells for column in columns), strict=True))
    for row, style in zip(rows, styles or [""] * len(rows), strict=True):
        made.add_row(*row, style=style)
    return made


def paragraph(out: Console, text: str, indent: int = 2, mark: str = "") -> None:
    """Print a paragraph, wrapped and indented; a mark stands before its first line."""
    for line in Text(escaped(text)).wrap(out, max(out.width - indent - len(mark), 20)):
        out.print(" " * indent + mark + line.plain.rstrip())
        mark = " " * len(mark)
