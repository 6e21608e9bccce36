"""The tables of benchmarks in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from genlab.bench.comparing import Comparison
from genlab.bench.estimates import seconds_of
from genlab.bench.result import Cell, Profile, Result
from genlab.bench.statistics import paired_ratio
from genlab.bench.texts import (
    agreement_said,
    both_said,
    interval_said,
    level_said,
    memory_said,
    ratio_said,
    speed_said,
    time_said,
)
from genlab.cli.display import console
from genlab.cli.fitting import Column, fitting, table, without_empty
from genlab.wording import printable


def labels(paths: Sequence[Path]) -> list[str]:
    """Return what results are called: the shortest ends of their paths that differ."""
    for count in range(1, 20):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return [printable(name) for name in names]
    return [f"{printable(str(path))} ({number})" for number, path in enumerate(paths, start=1)]


def show_cells(result: Result) -> None:
    """Print what was measured, each combination in a line: whether it agrees, then how fast it is."""
    cells = [cell for cell in result.cells if cell.seconds is not None]
    sizes = [str(cell.combination.batch_size or "") for cell in cells]
    columns = [
        Column("what", [cell.combination.what for cell in cells]),
        Column("device", [cell.combination.device for cell in cells]),
        Column("precision", [cell.combination.precision or "" for cell in cells]),
        Column("runner", [cell.combination.runner or "" for cell in cells]),
        Column("batch", sizes, rank=2 if len(set(sizes)) == 1 else 0, right=True),
        Column("agrees", [agreement_said(cell.agreement) for cell in cells]),
        Column("images/s", [_speed(cell) for cell in cells], right=True),
        Column("a call", [_time(cell) for cell in cells], right=True),
        Column("", [_interval(cell) for cell in cells], right=True),
        Column("times as fast", [_times(cell, cells) for cell in cells], rank=3, right=True),
        Column(
            "processes", [str(cell.seconds.processes if cell.seconds else 0) for cell in cells], rank=1, right=True
        ),
        Column("cold", [_cold(cell) for cell in cells], rank=4, right=True),
        Column("compiling", [_built(cell) for cell in cells], rank=5, right=True),
        Column("memory", [memory_said(cell) for cell in cells], rank=6, right=True),
    ]
    out = console()
    out.print(table(fitting(without_empty(columns), out.width)))


def show_notes(result: Result) -> None:
    """Print what a reader should be warned of, and what was not measured."""
    out = console().print
    for warning in result.warnings:
        out(f"warning: {printable(warning)}")
    notes: dict[str, list[str]] = {}
    for cell in result.cells:
        for warning in [*cell.warnings, *(f"a process failed: {failure}" for failure in cell.failures)]:
            notes.setdefault(warning, []).append(cell.combination.label)
    for warning, labels in notes.items():
        who = labels[0] if len(labels) == 1 else f"{len(labels)} combinations"
        out(f"{printable(who)}: {printable(warning)}")
    for skipped in result.skipped:
        out(f"not measured: {printable(skipped.combination.label)}: {printable(skipped.reason)}")


def show_profile(profile: Profile) -> None:
    """Print the largest costs of a combination."""
    out = console()
    out.print(f"\n{profile.combination.label}: own time of the largest costs, a call")
    columns = [
        Column("operator", [printable(cost.name[:60]) for cost in profile.costs]),
        Column("calls", [f"{cost.calls / profile.steps:.3g}" for cost in profile.costs], rank=1, right=True),
        Column("time", [time_said(cost.seconds) for cost in profile.costs], right=True),
        Column("share", [f"{cost.share:.1%}" for cost in profile.costs], right=True),
    ]
    out.print(table(columns))
    out.print(f"trace {printable(profile.trace)}, for chrome://tracing or Perfetto")


def show_comparison(comparison: Comparison) -> None:
    """Print ratios and verdicts, then what else differs."""
    out = console()
    names = comparison.names
    out.print(f"{comparison.verdict}  (first: {comparison.said(0)})\n")
    if not comparison.same_recipe:
        out.print("the recipes differ: these are times of different things\n")
    rows = comparison.rows
    columns = [
        Column("combination", [row.combination.label for row in rows]),
        Column("result", [names[row.after] for row in rows], rank=0 if len(names) > 2 else 1),
        Column("agrees", [both_said(row) for row in rows]),
        Column("first", [_time(row.first) for row in rows], rank=3, right=True),
        Column("then", [_time(row.other) for row in rows], rank=2, right=True),
        Column("times as long", [ratio_said(row) for row in rows], right=True),
        Column("verdict", [row.ratio.verdict for row in rows]),
    ]
    out.print(table(fitting(columns, out.width)))
    for line in comparison.alone:
        out.print(f"{printable(line)}")
    if comparison.differences:
        out.print("\nwhat else differs")
        for each in comparison.differences:
            out.print(f"  {printable(each.name)}: {printable(' | '.join(each.values))}")


def _speed(cell: Cell) -> str:
    return speed_said(cell.images_per_second.median) if cell.images_per_second else ""


def _time(cell: Cell) -> str:
    return time_said(cell.seconds.median) if cell.seconds else ""


def _interval(cell: Cell) -> str:
    return interval_said(cell.seconds) if cell.seconds else ""


def _cold(cell: Cell) -> str:
    return time_said(cell.cold_seconds) if cell.cold_seconds is not None else ""


def _built(cell: Cell) -> str:
    return time_said(cell.build_seconds) if cell.build_seconds is not None else ""


def _times(cell: Cell, cells: Sequence[Cell]) -> str:
    """How many times as fast a cell is as the first of its kind, formed round by round."""
    own = cell.combination
    same = (c for c in cells if (c.combination.what, c.combination.batch_size) == (own.what, own.batch_size))
    first = next(same)
    if first is cell or len(seconds_of(first.processes)) < 2:
        return ""
    before, after = _by_round(first), _by_round(cell)
    rounds = sorted(before.keys() & after.keys())
    if len(rounds) < 2:
        return ""
    ratio, low, high, level = paired_ratio([after[r] for r in rounds], [before[r] for r in rounds])
    return f"{ratio:.2f} ({low:.2f} to {high:.2f}{level_said(level)})"


def _by_round(cell: Cell) -> dict[int, float]:
    measured = [process for process in cell.processes if process.windows]
    return dict(zip([process.round for process in measured], seconds_of(measured), strict=True))
