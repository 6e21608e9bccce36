"""``genlab sample``: draw from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import Device, PluginFiles, Ref, Seed, png_path


def command(
    ref: Ref,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many.")] = 16,
    output: Annotated[Path, typer.Option("-o", "--output", help="The PNG to write.")] = Path("samples.png"),
    seed: Seed = None,
    draw: Annotated[bool, typer.Option("--draw", help="Draw pixels instead of showing their mean.")] = False,
    device: Device = "auto",
    plugin: PluginFiles = None,
) -> None:
    """Sample from a trained model into one picture.

    Example: genlab sample mnist_cvae -n 16 -o digits.png
    """
    path = png_path(output)
    from genlab.plots import sample_sheet, save_png
    from genlab.store import load

    images = load(ref, device).sample(n, seed=seed, draw=draw)
    save_png(sample_sheet(images), path)
    typer.echo(path)
