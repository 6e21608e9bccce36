"""``genlab resume``: go on with a run that was interrupted, or died."""

from __future__ import annotations

from pathlib import Path

from genlab.cli.arguments import Device, Json, MaxTime, Quiet, RunAndOverrides, split_overrides
from genlab.cli.shown import shown


def command(
    directory: RunAndOverrides,
    device: Device = "auto",
    max_time: MaxTime = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Go on with a run from its last checkpoint.

    It ends as if it had never stopped.

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
