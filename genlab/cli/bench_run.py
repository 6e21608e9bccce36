"""``genlab bench run``, or ``genlab bench RECIPE``: speed and agreement of a recipe in every way it can be run."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, PluginFiles, RecipeAndOverrides, Seed, split_overrides
from genlab.errors import RecipeError

LONGEST = 366 * 24 * 3600.0  # seconds


def command(
    recipe: RecipeAndOverrides,
    device: Annotated[
        str,
        typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, xpu ...", autocompletion=completion.devices),
    ] = "all",
    precision: Annotated[
        str,
        typer.Option(
            "--precision",
            help="Some of fp32, tf32, bf16, fp16.",
            autocompletion=completion.words("all", "fp32", "tf32", "bf16", "fp16"),
        ),
    ] = "all",
    runner: Annotated[
        str,
        typer.Option(
            "--runner",
            help="Some of eager, compile, graph.",
            autocompletion=completion.words("all", "eager", "compile", "graph"),
        ),
    ] = "all",
    batch_size: Annotated[
        str | None, typer.Option("--batch-size", help="As in 32,256 [the recipe's].", show_default=False)
    ] = None,
    what: Annotated[
        str | None,
        typer.Option(
            "--what",
            help="Some of train, sample, encode, eval, load, start [train].",
            show_default=False,
            autocompletion=completion.words("train", "sample", "encode", "eval", "load", "start", "all"),
        ),
    ] = None,
    quality: Annotated[
        float | None,
        typer.Option("--quality", help="Measure the time that training takes to this val/loss."),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Instead: a trace and the ten largest costs, of the recipe's own way by default."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="JSON file to write [a new one in runs/bench].", show_default=False),
    ] = None,
    limit: Annotated[
        str, typer.Option("--limit", help="Start nothing that would end later, as in 90s or 1h.")
    ] = "5m",
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Of each combination, at least, if time allows.")
    ] = 7,
    bound: Annotated[
        float, typer.Option("--bound", min=0.001, max=1, help="More processes until intervals are this narrow.")
    ] = 0.05,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Threads of torch [its choice].", show_default=False),
    ] = None,
    seed: Seed = None,
    plugin: PluginFiles = None,
    json: AsJson = False,
) -> None:
    """Measure how fast a recipe is, and whether fast ways agree.

    Every combination of --device, --precision, --runner and --batch-size (lists, as in cpu,cuda) that this
    machine can do, each in several processes of its own that take turns.

    Example: genlab bench run recipes/mnist_cvae.yaml --device cpu --precision fp32,bf16 --limit 10m
    """
    from genlab.bench.plan import Wanted
    from genlab.bench.running import Options
    from genlab.bench.running import bench as measure
    from genlab.bench.running import profile as measure_costs
    from genlab.cli.bench_display import shown
    from genlab.overrides import parse_overrides

    path, tokens = split_overrides(recipe, "recipe")
    if output is not None and output.suffix.lower() != ".json":
        raise RecipeError(f"{output}: output is JSON; choose a name that ends in .json")
    if output is not None and not output.parent.is_dir():
        raise RecipeError(f"{output}: there is no folder {output.parent}")
    if profile and quality is not None:
        raise RecipeError("--profile and --quality: one measures nothing, the other a time; choose one")
    wanted = Wanted(
        devices=_words("--device", device, "cpu,cuda"),
        precisions=_words("--precision", precision, "fp32,bf16"),
        runners=_words("--runner", runner, "eager,compile"),
        batch_sizes=_sizes(batch_size),
        whats=_words("--what", what, "train,sample") if what is not None else ["train"] if quality is None else [],
    )
    options = Options(
        processes=processes,
        most=max(15, processes),
        bound=bound,
        limit=_limit(limit),
        threads=threads,
        quality=quality,
        seed=seed or 0,
    )
    typed = shlex.join(["genlab", *sys.argv[1:]])
    given = parse_overrides(tokens)
    done = measure_costs if profile else measure
    shown(
        lambda watcher: done(
            path, given, wanted=wanted, options=options, output=output, command=typed, watcher=watcher
        ),
        json=json,
    )


def _words(option: str, text: str, example: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise RecipeError(f"{option} {text!r}: words separated by commas are expected, as in {example}")
    return words


def _sizes(text: str | None) -> list[int]:
    if text is None:
        return []
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[1-9]\d{0,8}", word) for word in words):
        raise RecipeError(
            f"--batch-size {text}: whole numbers from 1 are expected, separated by commas, as in 32,256"
        )
    return [int(word) for word in words]


def _limit(text: str) -> float:
    from genlab.train.options import seconds

    try:
        found = seconds(text)
    except ValueError as error:
        raise RecipeError(f"--limit {text}: {error}") from None
    assert isinstance(found, float)
    if not found <= LONGEST:
        raise RecipeError(f"--limit {text}: a year at most")
    return found
