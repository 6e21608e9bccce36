"""``genlab run``: train a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import (
    AsJson,
    Device,
    MaxTime,
    Parent,
    PluginFiles,
    Quiet,
    RecipeAndOverrides,
    Runs,
    split_overrides,
)
from genlab.cli.displayed import displayed
from genlab.cli.orphans import stop_with
from genlab.errors import RecipeError


def command(
    recipe: RecipeAndOverrides,
    device: Device = "auto",
    runs: Runs = None,
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help="fp32, tf32, bf16 or fp16; wins over the recipe's.",
            autocompletion=completion.words("fp32", "tf32", "bf16", "fp16"),
        ),
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(
            "--runner",
            help="auto, eager, compile or graph; wins over the recipe's.",
            autocompletion=completion.words("auto", "eager", "compile", "graph"),
        ),
    ] = None,
    max_time: MaxTime = None,
    resume: Annotated[
        str,
        typer.Option(
            "--resume",
            help="auto: go on with the newest unfinished run of this recipe.",
            autocompletion=completion.words("auto", "never"),
        ),
    ] = "never",
    plugin: PluginFiles = None,
    quiet: Quiet = False,
    json: AsJson = False,
    parent: Parent = None,
) -> None:
    """Train a recipe; leave a run with model, metrics and plots.

    Example: genlab run recipes/mnist_cvae.yaml train.epochs=3 --device cpu
    """
    stop_with(parent)
    from genlab.experiment import run
    from genlab.overrides import overrides_of, parse_overrides

    path, tokens = split_overrides(recipe, "recipe")
    flags = {"train.precision": precision, "train.runner": runner, "train.max_time": max_time}
    given = {key: value for key, value in flags.items() if value is not None}
    overrides = (*parse_overrides(tokens), *overrides_of(given))
    if resume not in ("never", "auto"):
        raise RecipeError(f"--resume {resume}: never or auto is expected; for one run: genlab resume DIRECTORY")
    displayed(
        lambda display: run(
            path,
            overrides,
            device=device,
            runs=runs,
            resume=resume,
            callbacks=[display],
            announce=display.announce,
        ),
        quiet=quiet,
        json=json,
    )
