"""``genlab resume``: go on with a run, or a sweep, that was interrupted, or died."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import (
    AsJson,
    Device,
    MaxTime,
    Parent,
    PluginFiles,
    Quiet,
    RunAndOverrides,
    split_overrides,
)
from genlab.cli.displayed import displayed
from genlab.cli.orphans import stop_with
from genlab.errors import RecipeError


def command(
    run: RunAndOverrides,
    device: Device = "auto",
    max_time: MaxTime = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Of a sweep: how many runs at once.")] = None,
    plugin: PluginFiles = None,
    quiet: Quiet = False,
    json: AsJson = False,
    parent: Parent = None,
) -> None:
    """Go on with a run, or a sweep's unfinished runs.

    A run goes on from its last checkpoint and ends as if it had never stopped. A name stands for the newest run of
    that name, however it went.

    Example: genlab resume runs/mnist_cvae/20261122-103000-1a2b train.epochs=40
    """
    stop_with(parent)
    from genlab.experiment import resume
    from genlab.finding import find_run, find_sweep
    from genlab.overrides import overrides_of, parse_overrides
    from genlab.sweep import resume_sweep

    path, tokens = split_overrides(run, "run")
    overrides = parse_overrides(tokens)
    if sweep := find_sweep(path):
        from genlab.cli.sweep_display import swept

        if overrides or max_time is not None:
            raise RecipeError(
                f"{path}: a sweep; its runs are what they were begun as: no overrides, no --max-time"
            )
        swept(
            lambda watcher: resume_sweep(sweep, jobs=jobs, device=device, watcher=watcher),
            quiet=quiet,
            json=json,
        )
        return
    if jobs is not None:
        raise RecipeError(f"{path}: --jobs is for sweeps, and this is none")
    if max_time is not None:
        overrides += overrides_of({"train.max_time": max_time})
    found = Path(path) if (Path(path) / "status.json").is_file() else find_run(path)
    displayed(
        lambda display: resume(found, overrides, device=device, callbacks=[display], announce=display.announce),
        quiet=quiet,
        json=json,
    )
