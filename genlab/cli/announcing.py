"""What is said of a recipe that was written for the user."""

from __future__ import annotations

import shlex

import typer

from genlab.placing import Placed
from genlab.wording import printable


def announce(placed: Placed) -> None:
    """Name the files, and what to type next."""
    recipe = shlex.quote(str(placed.recipe))
    what = {
        "written": "written; editors with a YAML language server complete and check the recipe by it",
        "refreshed": "refreshed: other parts or versions are installed than when it was written",
        "unchanged": "as it should be",
    }
    typer.echo(f"{printable(str(placed.recipe))}: written")
    typer.echo(f"{printable(str(placed.schema))}: {what[placed.became]}")
    typer.echo(f"\ntrain it:      genlab run {recipe}")
    typer.echo(f"look at it:    genlab show {recipe}")
