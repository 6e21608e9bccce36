"""Tables and lines that several commands print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from genlab.wording import printable

if TYPE_CHECKING:
    from genlab.model import LatentModel
    from genlab.prepare import Prepared


def header(prepared: Prepared, directory: Path) -> list[tuple[str, str]]:
    """Return what stands above a run: recipe, device, precision, data, folder."""
    recipe = prepared.recipe
    about = f"{recipe.name}{f': {recipe.description}' if recipe.description else ''}"
    return [
        ("recipe", about),
        ("device", prepared.device.label),
        ("precision", prepared.environment.precision),
        (
            "data",
            f"{recipe.data.use}: {prepared.train.examples:,} to train, {prepared.val.examples:,} to validate",
        ),
        ("", prepared.data.origin),
        ("run", str(directory)),
    ]


def layer_table(model: LatentModel) -> Table:
    """Return the layers with output shapes and parameter counts."""
    from genlab.summary import layers, parameter_count

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("output", justify="right", no_wrap=True)
    table.add_column("parameters", f"{parameter_count(model):,}", justify="right", no_wrap=True)
    for layer in layers(model):
        shape = "x".join(map(str, layer.shape)) if layer.shape is not None else ""
        table.add_row(layer.path, layer.kind, shape, f"{layer.parameters:,}" if layer.parameters else "")
    return table


def listing(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return aligned columns as text; the last is never cut, so that a path can be copied at any width."""
    # What stands in files, names for example, must not reach a terminal as control sequences.
    table = [columns, *(tuple(cell and printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in table
    ]
    return "\n".join(line.rstrip() for line in lines)
