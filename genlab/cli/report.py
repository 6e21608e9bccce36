"""``genlab report``: one page about a run or a sweep."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import PluginFiles
from genlab.errors import RecipeError, RunError


def command(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="A run or sweep directory, or a name: its newest run, however it went.",
            autocompletion=completion.names_and_runs,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="HTML to write [report.html in that directory].")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Write one HTML page about a run or a sweep.

    It stands alone, images included: how it went, how good it is, and how to repeat it.

    Example: genlab report mnist_cvae -o mnist.html
    """
    from genlab.finding import find_run, find_sweep
    from genlab.report import write_report
    from genlab.sweep.page import write_sweep_report

    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise RecipeError(f"{output}: output is HTML; choose a name that ends in .html")
    if output is not None and not output.parent.is_dir():
        raise RecipeError(f"{output}: there is no folder {output.parent}")
    if _is_model(Path(ref)):
        raise RunError(f"{ref}: a model, not a run; what is known of it is in {Path(ref) / 'README.md'}")
    if sweep := find_sweep(ref):
        typer.echo(write_sweep_report(sweep, output))
    else:
        typer.echo(write_report(find_run(ref), output))


def _is_model(path: Path) -> bool:
    with suppress(OSError, ValueError):  # not to be entered, or no name that a file could have
        return (path / "config.json").is_file()
    return False
