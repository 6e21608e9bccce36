"""``genlab bench report``: one page about all results in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.errors import RecipeError


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of results of genlab bench, or one result.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML to write [report.html in that folder].")
    ] = None,
) -> None:
    """Write one HTML page about the results in a folder.

    It stands alone: speeds, roofline, scaling over batch size, agreement, environments.

    Example: genlab bench report benchmarks/results/bench -o bench.html
    """
    from genlab.bench.page import write_page

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise RecipeError(f"{output}: output is HTML; choose a name that ends in .html")
    if output is not None and not output.parent.is_dir():
        raise RecipeError(f"{output}: there is no folder {output.parent}")
    typer.echo(write_page(folder, output))
