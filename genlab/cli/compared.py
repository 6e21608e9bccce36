"""A comparison as tables for people, and as JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from rich.console import Console

from genlab.cli.display import console
from genlab.cli.fitting import Column, fits, fitting, paragraph, table, without_empty
from genlab.comparison import Comparison, by_value, numbers
from genlab.difference import ABSENT, Absent, Varied, said
from genlab.digest import Digest
from genlab.tree import Json
from genlab.units import duration
from genlab.wording import printable


def show(comparison: Comparison) -> None:
    """Print the runs, what differs, what may be compared, and what to bear in mind."""
    out = console()
    runs = comparison.runs
    names = list(dict.fromkeys(printable(run.name) for run in runs))
    out.print(f"{len(runs)} runs of {', '.join(names)}\n", style="bold")
    columns = _columns(comparison, one_name=len(names) == 1)
    kept, common = _constants(columns)
    fit = fitting(kept, out.width)
    out.print(table(fit))
    out.print()
    if comparison.best:
        paragraph(
            out, "* the lowest val/loss" + (" of those it may be compared with" * (len(comparison.best) > 1)), 0
        )
    if common:
        paragraph(out, f"the same in all: {', '.join(common)}", 0)
    if left_out := [column.title for column in kept if column not in fit]:
        left = f"left out for want of room: {', '.join(left_out)} (a wider terminal, --json or --csv has all)"
        paragraph(out, left, 0)
    _show_differences(comparison.differences, len(runs), out)
    _show_verdicts(comparison, out)
    out.print("\nbear in mind", style="bold")
    for remark in comparison.remarks:
        paragraph(out, remark, mark="- ")


def _columns(comparison: Comparison, *, one_name: bool) -> list[Column]:
    runs = comparison.runs
    terms = dict.fromkeys(name for run in runs for name in run.best if name.startswith("val/"))
    order: list[str] = [name for name in ("val/loss", "val/nll", "val/kl") if name in terms]
    order += [name for name in terms if name not in order]

    def value(run: Digest, name: str) -> str:
        return f"{run.best[name]:.2f}" if name in run.best else ""

    columns = [
        Column("#", [str(index + 1) for index in range(len(runs))], right=True),
        Column("run", _names(runs, one_name=one_name)),
        Column("status", [run.state for run in runs], rank=1),
    ]
    for rank, name in enumerate(order):
        marked = name == "val/loss"
        cells = [
            value(run, name) + (("*" if i in comparison.best else " ") if marked else "")
            for i, run in enumerate(runs)
        ]
        columns.append(
            Column(name.removeprefix("val/") if rank else name, [c.strip() and c for c in cells], rank, right=True)
        )
    return without_empty(
        [
            *columns,
            Column("best at", [str(run.best_epoch or "") for run in runs], rank=11, right=True),
            Column("epochs", [_epochs(run) for run in runs], rank=5, right=True),
            Column("time", ["" if run.seconds is None else duration(run.seconds) for run in runs], 6, right=True),
            Column("images/s", [_count(run.images_per_second) for run in runs], rank=10, right=True),
            Column("parameters", [_count(run.parameters) for run in runs], rank=8, right=True),
            Column("active", [_count(run.active_units) for run in runs], rank=9, right=True),
        ]
    )


def _names(runs: Sequence[Digest], *, one_name: bool) -> list[str]:
    """Call runs by their folders, by name and folder if they are of several names."""
    return [printable(run.path.name if one_name else f"{run.path.parent.name}/{run.path.name}") for run in runs]


def _constants(columns: Sequence[Column]) -> tuple[list[Column], list[str]]:
    """Take out the columns that say the same of every run, as words."""
    words = {"status": "{}", "parameters": "{} parameters", "active": "{} latents in use", "epochs": "{} epochs"}
    constant = [column for column in columns if column.title in words and len(set(column.cells)) == 1]
    return (
        [column for column in columns if column not in constant],
        [words[column.title].format(column.cells[0]) for column in constant],
    )


def _epochs(run: Digest) -> str:
    return f"{run.epochs}/{run.planned}" if run.planned else str(run.epochs or "")


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _show_differences(differences: Sequence[Varied], count: int, out: Console) -> None:
    out.print("\nwhat differs in the recipes", style="bold")
    if not differences:
        out.print("  nothing")
        return
    columns = [Column("key", [printable(one.key) for one in differences])]
    columns += [Column(str(i + 1), [said(one.values[i]) for one in differences], right=True) for i in range(count)]
    if fits(columns, out.width):
        out.print(table(columns))
        return
    for one in differences:  # too many runs, or too long values, for a column each
        out.print(f"  {printable(one.key)}")
        found = by_value(one.values)
        if len(found) == count:
            paragraph(out, f"{', '.join(value for value, _ in found)}, in the order of the runs", indent=4)
            continue
        for value, which in found:
            paragraph(out, f"{value}: {numbers(which)}", indent=4)


def _show_verdicts(comparison: Comparison, out: Console) -> None:
    out.print("\nwhich numbers may be compared", style="bold")
    if not comparison.verdicts:
        out.print("  none: fewer than two of these runs have been evaluated")
    for verdict in comparison.verdicts:
        if verdict.comparable:
            out.print(f"  {verdict.metric:<9} yes")
            continue
        groups = [f"among {numbers(group)}" for group in verdict.groups if len(group) > 1]
        out.print(f"  {verdict.metric:<9} {'only ' + ', or '.join(groups) if groups else 'no'}")
        for reason in verdict.reasons:
            paragraph(out, reason, indent=12)


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return all that is known, for programs. A run that lacks a key has none in ``values``."""
    return {
        "runs": [
            {
                "run": index + 1,
                "path": str(run.path),
                "name": run.name,
                "status": run.state,
                "epochs": run.epochs,
                "best_epoch": run.best_epoch,
                "metrics": dict(run.best),
                "seconds": run.seconds,
                "images_per_second": run.images_per_second,
                "parameters": run.parameters,
                "active_units": run.active_units,
                "best": index in comparison.best,
                "notes": list(run.notes),
            }
            for index, run in enumerate(comparison.runs)
        ],
        "differences": [
            {
                "key": one.key,
                "values": {str(i + 1): value for i, value in enumerate(one.values) if value is not ABSENT},
            }
            for one in comparison.differences
        ],
        "metrics": [
            {
                "metric": verdict.metric,
                "comparable": verdict.comparable,
                "groups": [[index + 1 for index in group] for group in verdict.groups],
                "best": [index + 1 for index in verdict.best],
                "reasons": list(verdict.reasons),
            }
            for verdict in comparison.verdicts
        ],
        "remarks": list(comparison.remarks),
    }


def as_csv(comparison: Comparison) -> str:
    """Return a row a run: its numbers in full, and a column for each key in which the recipes differ."""
    metrics = list(dict.fromkeys(name for run in comparison.runs for name in run.best))
    head = ["run", "path", "name", "status", "epochs", "best_epoch", *metrics, "seconds", "images_per_second"]
    head += ["parameters", "active_units", "best", *(f"recipe.{one.key}" for one in comparison.differences)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for i, run in enumerate(comparison.runs):
        row: list[Json] = [i + 1, str(run.path), run.name, run.state, run.epochs, run.best_epoch]
        row += [run.best.get(name) for name in metrics]
        row += [run.seconds, run.images_per_second, run.parameters, run.active_units, int(i in comparison.best)]
        row += ["" if isinstance(one.values[i], Absent) else said(one.values[i]) for one in comparison.differences]
        writer.writerow(row)
    return text.getvalue()
