"""``genlab plot``: draw a plot again from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import Device, PluginFiles, RefAndOverrides, png_path, split_overrides


def command(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="losses, reconstructions, samples, latent ... or all.",
            autocompletion=completion.plots,
        ),
    ],
    ref: RefAndOverrides,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG to write (with all: a folder).")
    ] = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Draw one kind of plot, or all, from a trained model.

    Example: genlab plot manifold mnist_cvae -o manifold.png
    """
    from genlab.cli.with_data import load_with_data
    from genlab.data import read_split
    from genlab.plots import Subject, check_kind, draw, draw_all, save_png
    from genlab.store import find, read_metrics

    name, tokens = split_overrides(ref, "model")
    if kind != "all":
        check_kind(kind)
        if output is not None:
            png_path(output)
    loaded = load_with_data(name, tokens, device)
    val = read_split(loaded.data, "val")
    kept = read_metrics(find(name).folder)
    subject = Subject(loaded.model, loaded.data.prepare(val.x), val.label, kept.history, best_epoch=kept.epoch)
    if kind == "all":
        for path in draw_all(subject, output or Path(f"{loaded.recipe.name}-plots")):
            typer.echo(path)
        return
    path = output or Path(f"{loaded.recipe.name}-{kind}.png")
    save_png(draw(kind, subject), path)
    typer.echo(path)
