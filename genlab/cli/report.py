"""``genlab report``: one page about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.errors import RecipeError


def command(
    ref: Annotated[str, typer.Argument(help="A run directory, or a name: its newest run, however it ended.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML to write [report.html in the run directory].")
    ] = None,
) -> None:
    """Write one self-contained HTML page about a run: how it went, how good, and how to repeat it.

    Example: genlab report mnist_cvae -o mnist.html
    """
    from genlab.report import find_run, write_report

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise RecipeError(f"{output}: output is HTML; choose a name that ends in .html")
    if output is not None and not output.parent.is_dir():
        raise RecipeError(f"{output}: there is no folder {output.parent}")
    typer.echo(write_report(find_run(ref), output))
