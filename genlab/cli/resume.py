"""``genlab resume``: go on with a run that was interrupted, or died."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import Device, Json, Quiet, split_overrides
from genlab.cli.shown import shown


def command(
    directory: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN_DIRECTORY [KEY=VALUE]...", help="A run directory, and how long it is to go on, if longer."
        ),
    ],
    device: Device = "auto",
    max_time: Annotated[
        str | None, typer.Option("--max-time", help="Stop after so long, as in 90s, 10m or 1h30m.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Go on with a run from its last checkpoint, as if it had never stopped.

    Example: genlab resume runs/mnist_cvae/20261122-103000-1a2b train.epochs=40
    """
    from genlab.experiment import resume
    from genlab.overrides import parse_overrides

    path, tokens = split_overrides(directory, "run directory")
    overrides = parse_overrides(tokens)
    if max_time is not None:
        overrides["train.max_time"] = max_time
    shown(
        lambda display: resume(
            Path(path), overrides, device=device, callbacks=[display], announce=display.announce
        ),
        quiet=quiet,
        json=json,
    )
