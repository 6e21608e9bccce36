"""``genlab runs``: list, show and remove runs."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, Runs

if TYPE_CHECKING:
    from genlab.housekeeping import Listed

app = typer.Typer(
    help="List, show and remove runs.\n\nExample: genlab runs list",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class State(StrEnum):
    """How a run can be found."""

    running = "running"
    completed = "completed"
    interrupted = "interrupted"
    failed = "failed"
    died = "died"
    damaged = "damaged"


@app.command("list")
def list_runs(
    name: Annotated[str | None, typer.Option("--name", help="Only runs of this name.")] = None,
    status: Annotated[list[State] | None, typer.Option("--status", help="Only runs found so; repeatable.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Each trial of a sweep too, not the sweep as one.")] = False,
    runs: Runs = None,
    json: AsJson = False,
) -> None:
    """List runs, newest first; a sweep's trials are one line.

    All of yours, wherever they lie; with --runs those below that folder.

    Example: genlab runs list --name mnist_cvae --status completed
    """
    from genlab.cli.listed import list_as_json, show_list
    from genlab.housekeeping import list_runs
    from genlab.units import as_json

    wanted = [
        one
        for one in list_runs(runs)
        if name in (None, one.run.name) and (not status or one.run.state in [state.value for state in status])
    ]
    if json:
        typer.echo(as_json(list_as_json(wanted)))
    else:
        show_list(wanted, every=every)


@app.command()
def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run: its directory, the directory's own name, or run:NAME. Or a sweep's folder, or its name.",
            autocompletion=completion.run_directories,
        ),
    ],
    json: AsJson = False,
) -> None:
    """Show everything about one run, or how a sweep stands.

    Example: genlab runs show run:mnist_cvae
    """
    from genlab.cli.listed import one_as_json, show_one
    from genlab.digest import digest
    from genlab.finding import find_run, find_sweep
    from genlab.units import as_json

    if sweep := find_sweep(run):
        from genlab.cli.sweep_display import show
        from genlab.sweep import read_sweep

        show(read_sweep(sweep), json=json)
        return
    found = digest(find_run(run))
    if json:
        typer.echo(as_json(one_as_json(found)))
    else:
        show_one(found)


@app.command()
def rm(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Run directories, or those of whole sweeps, by path or the directory's own name.",
            autocompletion=completion.every_run,
        ),
    ],
    yes: Yes = False,
) -> None:
    """Remove runs, or whole sweeps, with all that is in them; asks first.

    What is under way is not removed, nor is anything that is neither a run nor a sweep: then nothing is.

    Example: genlab runs rm runs/mnist_cvae/20261122-103000-1a2b
    """
    from genlab.errors import GenlabError, RunError
    from genlab.housekeeping import removable, remove, runs_in, size
    from genlab.runs import is_sweep
    from genlab.units import bytes_said, counted
    from genlab.wording import printable

    paths: dict[Path, int] = {}
    refused = []
    for ref in runs:
        try:
            path = removable(ref)
            paths[path] = size(path)
        except GenlabError as error:
            refused.append(str(error))
    if refused:
        raise RunError("\n".join([*refused, "nothing was removed"]))
    counts = {path: len(runs_in(path)) for path in paths}
    for path, taken in paths.items():
        whole = f"  a sweep, {counted(counts[path], 'run')}" if is_sweep(path) else ""
        typer.echo(f"{printable(str(path))}  {bytes_said(taken)}{whole}")
    total = counted(sum(counts.values()), "run")
    _confirm(f"Remove {total}, {bytes_said(sum(paths.values()))}?", yes)
    freed = sum(remove(path) for path in paths)
    typer.echo(f"removed {total}, {bytes_said(freed)} freed")


@app.command()
def prune(
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Also completed runs but for the newest N of each name.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Only runs that ended longer ago, as in 30d or 12h.")
    ] = None,
    runs: Runs = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    yes: Yes = False,
) -> None:
    """Remove runs that left nothing of use; asks first.

    Those that failed, died or were interrupted, with neither a model nor a checkpoint.

    Trials of sweeps are left alone, and so is a run that is under way. With --runs, only below that folder.

    Example: genlab runs prune --keep 3 --older-than 30d --dry-run
    """
    from genlab.cli.listed import show_list
    from genlab.housekeeping import delete, leftovers, list_runs, prunable
    from genlab.housekeeping import prune as prune_runs
    from genlab.units import bytes_said, counted

    age = None if older_than is None else _age(older_than)
    chosen: list[Listed] = prunable(list_runs(runs), keep=keep, older_than=age)
    halves = leftovers(runs)
    if not chosen and not halves:
        typer.echo("nothing to remove")
        return
    if chosen:
        show_list(chosen, every=True)
    if halves:
        typer.echo(f"and {counted(len(halves), 'run')} whose removal was cut short")
    total = bytes_said(sum(one.bytes for one in chosen))
    if dry_run:
        typer.echo(f"would remove {counted(len(chosen), 'run')}, {total}; nothing was removed")
        return
    _confirm(f"Remove {counted(len(chosen), 'run')}, {total}?", yes)
    done = prune_runs(chosen)
    for hidden in halves:
        delete(hidden)
    for reason in done.kept:
        typer.echo(f"kept: {reason}", err=True)
    freed = bytes_said(sum(taken for _, taken in done.removed))
    typer.echo(f"removed {counted(len(done.removed), 'run')}, {freed} freed")


def _age(text: str) -> timedelta:
    from genlab.errors import RunError

    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if match is None:
        raise RunError(f"--older-than {text}: a time is expected: 90m, 12h, 30d or 8w")
    return timedelta(**{units[match[2]]: int(match[1])})


def _confirm(question: str, yes: bool) -> None:
    """Go on only if the user says so; without a terminal only ``--yes`` says so."""
    from genlab.errors import RunError

    if yes:
        return
    if not sys.stdin.isatty():
        raise RunError("no terminal to ask on, so nothing was removed; --yes removes without asking")
    if not typer.confirm(question):
        typer.echo("nothing was removed")
        raise typer.Exit
