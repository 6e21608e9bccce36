"""``genlab plot``: draw a plot again from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import Device, RefAndOverrides, png_path, split_overrides


def command(
    kind: Annotated[str, typer.Argument(help="losses, reconstructions, samples, latent ... or all.")],
    ref: RefAndOverrides,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG to write (with all: a folder).")
    ] = None,
    device: Device = "auto",
) -> None:
    """Draw one kind of plot, or all, from a trained model.

    Example: genlab plot manifold mnist_cvae -o manifold.png
    """
    from genlab.cli.subject import load_with_data
    from genlab.data import read_split
    from genlab.plots import Subject, check_kind, draw, draw_all, save_png
    from genlab.runs import read_metrics
    from genlab.store import find
    from genlab.store import read_metrics as read_bundle_metrics

    name, tokens = split_overrides(ref, "model")
    if kind != "all":
        check_kind(kind)
        if output is not None:
            png_path(output)
    subject = load_with_data(name, tokens, device)
    found = find(name)
    run = found.folder.parent
    val = read_split(subject.data, "val")
    records = read_metrics(run) if (run / "metrics.jsonl").exists() else []
    about = Subject(
        subject.model,
        subject.data.prepare(val.x),
        val.label,
        records,
        best_epoch=read_bundle_metrics(found.folder).epoch,
    )
    if kind == "all":
        folder = output or Path(f"{subject.recipe.name}-plots")
        for path in draw_all(about, folder):
            typer.echo(path)
        return
    path = output or Path(f"{subject.recipe.name}-{kind}.png")
    save_png(draw(kind, about), path)
    typer.echo(path)
