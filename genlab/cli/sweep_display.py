"""What a sweep shows: one live table, or a line for each run that ends; and the summary in the end."""

from __future__ import annotations

import shlex
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from genlab.cli.display import Screen, console
from genlab.cli.fitting import Column, fitting, table
from genlab.cli.streams import Surviving
from genlab.folders import from_here
from genlab.space import Json
from genlab.sweep import Watcher
from genlab.sweep.summary import labels
from genlab.units import as_json, counted, duration
from genlab.wording import printable
from genlab.writing import as_yaml

if TYPE_CHECKING:
    from genlab.sweep import Sweep
    from genlab.sweep.outcome import Outcome

LAST = 5  # finished runs that the live table shows
BEST = 20  # combinations that the summary shows
STYLES = {"completed": "dim", "failed": "bold red"}


class QuietWatcher(Screen, Watcher):
    """Shows nothing, for scripts."""


class PlainWatcher(QuietWatcher):
    """A header, then one line for each run that ends: for logs and pipes."""

    def __init__(self) -> None:
        self.console = console()
        self.metric = ""

    def on_start(self, sweep: Sweep) -> None:
        """Print what will be done, and what is done already."""
        self.metric = sweep.spec.metric
        for name, value in header(sweep):
            self.console.print(f"{name:>10}  {value}")
        self.console.print()

    def on_finish(self, outcome: Outcome, done: int, total: int) -> None:
        """Print one line."""
        trial = outcome.trial
        values = "  ".join(f"{key}={said(value)}" for key, value in trial.values.items())
        how = f"{outcome.state} after {duration(outcome.seconds)}"
        if self.metric in outcome.metrics:
            how += f"  epoch {outcome.epoch}  best {self.metric} {outcome.metrics[self.metric]:.3f}"
        if outcome.cause:
            how += f": {printable(outcome.cause)}"
        self.console.print(
            f"{done:>{len(str(total))}}/{total}  trial {trial.number:03d}  {values}  seed={trial.seed}  {how}"
        )


class TerminalWatcher(PlainWatcher):
    """One live table: the runs under way, the last that ended, and how many are left."""

    watches = True

    def __init__(self) -> None:
        super().__init__()
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.last: deque[Outcome] = deque(maxlen=LAST)
        self.keys: list[str] = []
        self.failed, self.finished, self.before = 0, 0, 0
        self.began = self.looked = 0.0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def on_start(self, sweep: Sweep) -> None:
        """Print the header and start the table."""
        super().on_start(sweep)
        self.keys = list(sweep.spec.space)
        self.began = time.monotonic()
        self.live.start()

    def on_finish(self, outcome: Outcome, done: int, total: int) -> None:
        """Remember it for the table."""
        self.last.append(outcome)
        self.finished += 1
        self.failed += outcome.state == "failed"

    def on_tick(self, running: Sequence[Outcome], done: int, total: int) -> None:
        """Renew the table."""
        shown = _table((*self.last, *running), self.keys, self.metric, self.console.width)
        taken = time.monotonic() - self.began
        line = f"{done} of {total} over, {len(running)} running"
        if self.failed:
            line += f", {self.failed} failed"
        line += f"; {duration(taken)}"
        if self.finished and done < total:
            line += f", about {duration(taken / self.finished * (total - done))} left"
        self.live.update(Group(shown, Text(line)), refresh=True)


def swept(train: Callable[[Watcher], Sweep], *, quiet: bool, json: bool) -> None:
    """Sweep under a display, then show what came out; exit with 1 if a run failed, 128 + n after signal n."""
    watcher: QuietWatcher
    if quiet or json:
        watcher = QuietWatcher()
    elif console().is_terminal:
        watcher = TerminalWatcher()
    else:
        watcher = PlainWatcher()
    with redirect_stdout(Surviving(sys.stdout)):
        with watcher:
            sweep = train(watcher)
        if json or not quiet:
            show(sweep, json=json)
        else:
            typer.echo(sweep.path)
    if sweep.signal is not None:
        raise typer.Exit(128 + sweep.signal)
    if sweep.failed:
        raise typer.Exit(1)


def show(sweep: Sweep, *, json: bool) -> None:
    """Print how a sweep stands: the combinations, the best first, what failed and how to go on."""
    if json:
        typer.echo(as_json({"folder": str(sweep.path), "completed": sweep.completed, **sweep.summary()}))
        return
    out = console().print
    rows, metric = sweep.rows, sweep.spec.metric
    known = [row for row in rows if metric in row.metrics]
    if known:
        several = ", mean ± standard deviation over seeds" if len(sweep.spec.seeds) > 1 else ""
        out(f"{metric} of each run's best epoch{several}")
        out(_summary(sweep, console().width))
        if len(known) > BEST:
            out(f"... and {len(known) - BEST} more in summary.csv")
    if different := sweep.incomparable:
        out(f"{metric} may not be compared among all of these runs: compare with that in mind")
        for reason in different:
            out(f"  {printable(reason)}")
    _failures(sweep)
    done = sum(outcome.state == "completed" for outcome in sweep.outcomes)
    ended = "interrupted; " if sweep.signal is not None else ""
    out(f"{ended}{done} of {sweep.total} runs completed")
    out(f"files in {printable(from_here(sweep.path))}")
    for path in sorted([*sweep.path.glob("*.*"), *sweep.path.glob("plots/*.png")]):
        if not path.name.startswith("."):
            out(f"  {printable(str(path.relative_to(sweep.path)))}")
    if sweep.best is not None and sweep.best.run is not None:
        out(f"best run {printable(from_here(sweep.best.run))}")
    if not sweep.completed:
        out(f"\nto go on: genlab resume {shlex.quote(from_here(sweep.path))}")


def _failures(sweep: Sweep) -> None:
    """Print each cause, and the runs that failed of it."""
    causes: dict[str, list[Outcome]] = {}
    for outcome in sweep.failed:
        causes.setdefault(outcome.cause, []).append(outcome)
    out = console().print
    for cause, outcomes in causes.items():
        out(f"{len(outcomes)} of {sweep.total} runs failed: {printable(cause)}")
        for outcome in outcomes:
            values = [f"{key}={said(value)}" for key, value in outcome.trial.values.items()]
            output = sweep.path / "trials" / f"{outcome.trial.number:03d}" / "output.txt"
            out(f"  {' '.join([*values, f'seed={outcome.trial.seed}'])}  {printable(from_here(output))}")


def header(sweep: Sweep) -> list[tuple[str, str]]:
    """Return what stands above a sweep."""
    spec = sweep.spec
    swept = ", ".join(map(printable, spec.space)) or "seeds only"
    combinations = sweep.total // len(spec.seeds)
    of = f"{counted(combinations, 'combination')} x {counted(len(spec.seeds), 'seed')}"
    done = sum(outcome.state == "completed" for outcome in sweep.outcomes)
    return [
        ("recipe", printable(spec.recipe)),
        ("sweep", f"{swept}; {spec.search.use} search"),
        ("runs", f"{counted(sweep.total, 'run')}: {of}{f'; {done} completed before' if done else ''}"),
        ("folder", printable(str(sweep.path))),
    ]


def said(value: Json) -> str:
    """Return a swept value as one would type it, of other than whole numbers four digits."""
    return f"{value:.4g}" if isinstance(value, float) else as_yaml(value)


def _table(outcomes: Sequence[Outcome], keys: Sequence[str], metric: str, width: int) -> Table:
    """Return a line for each trial; where it is narrow, what is swept and how it stands go last."""
    best = [f"{each.metrics[metric]:.3f}" if metric in each.metrics else "" for each in outcomes]
    columns = [
        Column("trial", [f"{each.trial.number:03d}" for each in outcomes], 2, right=True),
        *_swept(keys, [each.trial.values for each in outcomes]),
        Column("seed", [str(each.trial.seed) for each in outcomes], 1, right=True),
        Column("status", [each.state for each in outcomes]),
        Column("epoch", [str(each.epoch or "") for each in outcomes], 4, right=True),
        Column(f"best {metric}", best, 3, right=True),
        Column("time", [duration(each.seconds) for each in outcomes], 5, right=True),
    ]
    return table(fitting(columns, width), [_style(each) for each in outcomes])


def _style(outcome: Outcome) -> str:
    return STYLES.get(outcome.state, "")


def _swept(keys: Sequence[str], values: Sequence[Mapping[str, Json]]) -> list[Column]:
    named = zip(labels(keys), keys, strict=True)
    return [Column(printable(label), [said(each[key]) for each in values], right=True) for label, key in named]


def _summary(sweep: Sweep, width: int) -> Table:
    """Return a line for each combination; where it is narrow, its values and the metric go last."""
    metric, rows = sweep.spec.metric, sweep.rows[:BEST]
    others = [name for name in rows[0].metrics if name.startswith("val/") and name != metric]
    runs = [f"{len(row.seeds)}{f' ({row.failed} failed)' if row.failed else ''}" for row in rows]
    columns = [
        *_swept(list(sweep.spec.space), [row.values for row in rows]),
        Column("runs", runs, 1, right=True),
        *(
            Column(printable(name), [str(row.metrics.get(name, "")) for row in rows], 3 * (name != metric), True)
            for name in (metric, *others)
        ),
        Column("training", [duration(row.seconds) if row.seeds else "" for row in rows], 2, right=True),
    ]
    return table(fitting(columns, width))
