"""``genlab run``: train a recipe."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from genlab.cli.arguments import Device, Json, RecipeAndOverrides, split_overrides
from genlab.cli.streams import Surviving


def command(
    recipe: RecipeAndOverrides,
    device: Device = "auto",
    runs: Annotated[str | None, typer.Option("--runs", help="Folder of runs [GENLAB_RUNS, else runs].")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="fp32, tf32, bf16 or fp16; wins over the recipe's.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only the run directory.")] = False,
    json: Json = False,
) -> None:
    """Train a recipe and leave a run directory with model, metrics and plots.

    Example: genlab run recipes/mnist_cvae.yaml train.epochs=3 --device cpu
    """
    from genlab.cli.display import JsonDisplay, PlainDisplay, QuietDisplay, TerminalDisplay, console
    from genlab.experiment import run
    from genlab.recipe import parse_overrides

    path, tokens = split_overrides(recipe, "recipe")
    overrides = parse_overrides(tokens)
    if precision is not None:
        overrides["train.precision"] = precision
    display: JsonDisplay | PlainDisplay | QuietDisplay | TerminalDisplay
    if json:
        display = JsonDisplay()
    elif quiet:
        display = QuietDisplay()
    else:
        display = TerminalDisplay() if console().is_terminal else PlainDisplay()
    with redirect_stdout(Surviving(sys.stdout)), display:
        result = run(
            path,
            overrides,
            device=device,
            runs=runs,
            callbacks=[display],
            announce=display.announce,
        )
        display.conclude(result)
    if result.signal is not None:
        raise typer.Exit(128 + result.signal)
