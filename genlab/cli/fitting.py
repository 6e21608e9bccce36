"""Tables that leave out their least important columns where the terminal is too narrow for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table

GAP = 2  # blanks between columns


@dataclass(frozen=True)
class Column:
    """A column of texts. rank: how soon it is left out, the highest first; 0 never is. right: numbers."""

    title: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = False

    @property
    def width(self) -> int:
        """In terminal cells."""
        return max(map(cell_len, (self.title, *self.cells)))


def without_empty(columns: Sequence[Column]) -> list[Column]:
    """Leave out columns in which nothing stands."""
    return [column for column in columns if any(column.cells)]


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Leave out columns, the highest rank first, until the rest fit into ``width``."""
    shown = list(columns)
    while sum(column.width + GAP for column in shown) - GAP > width:
        least = max(shown, key=lambda column: column.rank)
        if least.rank == 0:
            break
        shown.remove(least)
    return shown


def table(columns: Sequence[Column], styles: Sequence[str] = ()) -> Table:
    """Return columns as a table that is never wrapped or cut. styles: of each row."""
    made = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP // 2), collapse_padding=True
    )
    for column in columns:
        made.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=True, min_width=column.width
        )
    rows = list(zip(*(column.cells for column in columns), strict=True))
    for row, style in zip(rows, styles or [""] * len(rows), strict=True):
        made.add_row(*row, style=style)
    return made
