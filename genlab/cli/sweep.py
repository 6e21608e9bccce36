"""``genlab sweep``: train a recipe with many values and compare."""

from __future__ import annotations

from typing import Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, Device, PluginFiles, Quiet, Runs, split_overrides
from genlab.errors import RecipeError


def command(
    context: typer.Context,
    recipe: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [KEY=VALUE,VALUE]",
            autocompletion=completion.recipe_and_keys,
            help="A recipe file, and what to sweep over: values, as in latent=2,8,32, or a range, as in "
            "optimizer.lr=log:1e-4..1e-2; a single value holds for every run. Or a sweep's folder, to look at.",
        ),
    ],
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Runs of each combination, each with a seed of its own.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="How many runs at once.")] = 1,
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            help="grid, random, or another that is installed, as '{use: optuna, sampler: tpe}'.",
            autocompletion=completion.parts("search"),
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", "--samples", min=1, help="How many combinations a search tries; not for a grid."),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help="What decides which is best; lower is better.",
            autocompletion=completion.metrics,
        ),
    ] = "val/loss",
    device: Device = "auto",
    runs: Runs = None,
    resume: Annotated[
        str, typer.Option("--resume", help="auto: go on with the newest unfinished sweep that asks for the same.")
    ] = "never",
    plugin: PluginFiles = None,
    quiet: Quiet = False,
    json: AsJson = False,
) -> None:
    """Train a recipe with many values and seeds, and compare them.

    Each run is a process of its own.

    Example: genlab sweep recipes/bars.yaml 'latent=2,8,32' 'objective.beta=0.5,1,4' --seeds 3 --jobs 2
    """
    from genlab.cli.sweep_display import show, swept
    from genlab.finding import find_sweep
    from genlab.sweep import read_sweep, sweep
    from genlab.sweep.tokens import read_tokens

    path, tokens = split_overrides(recipe, "recipe")
    if folder := find_sweep(path):
        if tokens:
            raise RecipeError(f"{path}: a sweep, which stays what it is; to go on with it: genlab resume {path}")
        if ignored := _typed(context):
            raise RecipeError(
                f"{path}: a sweep, which is only looked at: {', '.join(ignored)} would do nothing; leave it out "
                f"(to go on with the sweep: genlab resume {path})"
            )
        show(read_sweep(folder), json=json)
        return
    given = read_tokens(tokens)
    if seeds is not None and given.seeds is not None:
        raise RecipeError("seed=... and --seeds: one of them says which seeds there are")
    swept(
        lambda watcher: sweep(
            path,
            given.space,
            overrides=given.overrides,
            seeds=seeds if given.seeds is None else given.seeds,
            search=search,
            trials=trials,
            metric=metric,
            jobs=jobs,
            device=device,
            runs=runs,
            resume=resume,
            watcher=watcher,
        ),
        quiet=quiet,
        json=json,
    )


def _typed(context: typer.Context) -> list[str]:
    """Return the options that were typed and mean nothing where a sweep is looked at."""
    return [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in ("recipe", "json")
        and getattr(context.get_parameter_source(parameter.name or ""), "name", "") == "COMMANDLINE"
    ]
