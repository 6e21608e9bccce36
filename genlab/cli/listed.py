"""Runs as a list, and one run in full, for people and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from genlab.cli.display import console
from genlab.cli.fitting import Column, fitting, table, without_empty
from genlab.digest import Digest, instant
from genlab.folders import from_here
from genlab.housekeeping import Listed, size
from genlab.runs import RunDirectory, sweep_of, trials_of
from genlab.units import bytes_said, counted, duration
from genlab.wording import printable


def show_list(runs: Sequence[Listed], *, every: bool) -> None:
    """Print a line a run; unless ``every``, a line for all trials of a sweep."""
    out = console()
    rows = [_Row(one.run.path, [one]) for one in runs] if every else _by_sweep(runs)
    if not rows:
        out.print("no runs")
        return
    columns = [
        Column("name", [printable(row.runs[0].run.name) for row in rows], 1),
        Column("status", [_status(row) for row in rows]),
        Column("val/loss", [_best(row) for row in rows], right=True),
        Column("epoch", [str(_lowest(row).run.best_epoch or "") for row in rows], 4, right=True),
        Column("started (UTC)", [_time(min(one.run.started for one in row.runs)) for row in rows], 5),
        Column("time", [_seconds(row) for row in rows], 3, right=True),
        Column("size", [bytes_said(sum(one.bytes for one in row.runs)) for row in rows], 2, right=True),
        Column("run", [printable(row.folder.name) for row in rows]),
    ]
    out.print(table(fitting(without_empty(columns), out.width)))
    out.print()
    total = bytes_said(sum(one.bytes for one in runs))
    roots = ", ".join(printable(from_here(root)) for root in _roots(runs))
    out.print(f"{counted(len(runs), 'run')}, {total}, in {roots}")


def list_as_json(runs: Sequence[Listed]) -> list[dict[str, object]]:
    """Return each run with its size and the sweep that it belongs to."""
    return [
        {
            **_facts(one.run),
            "bytes": one.bytes,
            "sweep": None if one.sweep is None else str(one.sweep),
        }
        for one in runs
    ]


def show_one(run: Digest) -> None:
    """Print everything about a run."""
    out = console()
    description = str(run.recipe.get("description") or "")
    out.print(printable(run.name) + (f": {printable(description)}" if description else ""), style="bold")
    made = run.made
    versions = (
        {"genlab": made.genlab, "python": made.python, "torch": made.libraries.get("torch", "")} if made else {}
    )
    sweep = sweep_of(run.path)
    lines = {
        "status": run.state + (f": {run.message}" if run.message not in ("", run.state) else ""),
        "folder": str(run.path),
        "sweep": str(sweep or ""),
        "command": made.command if made else "",
        "started": _time(run.started) + (f" UTC, ended {_time(run.finished)}" if run.finished else " UTC"),
        "time": "" if run.seconds is None else f"{duration(run.seconds)}{_speed(run)}",
        "epochs": f"{run.epochs} of {run.planned}, {run.steps:,} steps" if run.planned else "",
        "device": f"{made.device}, {counted(made.threads, 'thread')}, {made.precision}, runner {made.runner}"
        if made
        else "",
        "made with": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "plugins": ", ".join(f"{n} {v}" for n, v in (made.plugins if made else {}).items() if n != "genlab"),
        "parameters": "" if run.parameters is None else f"{run.parameters:,}",
        "latents": "" if run.active_units is None else f"{run.active_units} of {run.recipe.get('latent')} in use",
    }
    for name, value in lines.items():
        if value:
            out.print(f"  {name:<11} {printable(value)}")
    if run.best:
        last = run.rows[-1] if run.rows else {}
        out.print("\nmetrics, nats per example", style="bold")
        out.print(
            table(
                [
                    Column("metric", list(run.best)),
                    Column(f"best, epoch {run.best_epoch}", [f"{v:.3f}" for v in run.best.values()], right=True),
                    Column(
                        f"last, epoch {run.epochs}",
                        [f"{last[name]:.3f}" if name in last else "" for name in run.best],
                        right=True,
                    ),
                ]
            )
        )
    out.print("\nfiles", style="bold")
    names, sizes = zip(*_files(run.path), strict=True)
    out.print(table([Column("file", names), Column("size", sizes, right=True)]))
    for note in run.notes:
        out.print(f"note: {printable(note)}")
    if run.state in ("interrupted", "failed", "died"):
        out.print("\n" + _how_to_go_on(run))


def one_as_json(run: Digest) -> dict[str, object]:
    """Return everything about a run."""
    return {
        **_facts(run),
        "recipe": dict(run.recipe),
        "made_with": run.made.model_dump() if run.made else None,
        "last": dict(run.rows[-1]) if run.rows else {},
        "protocol": run.protocol,
        "bytes": size(run.path),
        "notes": list(run.notes),
    }


def _facts(run: Digest) -> dict[str, object]:
    return {
        "path": str(run.path),
        "name": run.name,
        "status": run.state,
        "message": run.message,
        "started": run.started,
        "finished": run.finished,
        "steps": run.steps,
        "epochs": run.epochs,
        "best_epoch": run.best_epoch,
        "best": dict(run.best),
        "seconds": run.seconds,
        "images_per_second": run.images_per_second,
        "parameters": run.parameters,
        "active_units": run.active_units,
    }


@dataclass(frozen=True)
class _Row:
    """One line of the list. folder: of the run, or of the sweep whose trials ``runs`` are."""

    folder: Path
    runs: Sequence[Listed]
    sweep: bool = False


def _by_sweep(runs: Sequence[Listed]) -> list[_Row]:
    """Put the trials of a sweep together, in the place of its newest."""
    rows: dict[Path, list[Listed]] = {}
    for one in runs:
        rows.setdefault(one.sweep or one.run.path, []).append(one)
    return [_Row(folder, found, found[0].sweep is not None) for folder, found in rows.items()]


def _status(row: _Row) -> str:
    states = [one.run.state for one in row.runs]
    if not row.sweep:
        return states[0]
    planned = max(len(states), trials_of(row.folder) or 0)
    return f"{states.count('completed')}/{counted(planned, 'trial')}"


def _lowest(row: _Row) -> Listed:
    return min(row.runs, key=lambda one: one.run.best.get("val/loss", float("inf")))


def _best(row: _Row) -> str:
    loss = _lowest(row).run.best.get("val/loss")
    return "" if loss is None else f"{loss:.2f}"


def _seconds(row: _Row) -> str:
    known = [one.run.seconds for one in row.runs if one.run.seconds is not None]
    return duration(sum(known)) if known else ""


def _time(text: str) -> str:
    time: datetime | None = instant(text)
    return f"{time:%Y-%m-%d %H:%M}" if time else ""


def _speed(run: Digest) -> str:
    return "" if run.images_per_second is None else f", {run.images_per_second:,.0f} images/s in training"


def _roots(runs: Sequence[Listed]) -> list[Path]:
    """The folders of runs that these lie in: two up, or where the sweeps are."""
    return list(dict.fromkeys(one.sweep.parents[1] if one.sweep else one.run.path.parents[1] for one in runs))


def _files(folder: Path) -> list[tuple[str, str]]:
    """Files at the top one by one, folders as a whole."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            count = sum(1 for inside in path.rglob("*") if inside.is_file())
            if count:
                found.append((f"{printable(path.name)}/ ({counted(count, 'file')})", bytes_said(size(path))))
        else:
            found.append((printable(path.name), bytes_said(path.lstat().st_size)))
    return found


def _how_to_go_on(run: Digest) -> str:
    directory = RunDirectory(run.path)
    if any(directory.checkpoints.glob("[0-9]*")):
        return f"to go on from its last checkpoint: genlab resume {shlex.quote(from_here(run.path))}"
    return "it left no checkpoint to go on from"
