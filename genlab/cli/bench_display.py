"""What a benchmark shows while it runs: a live table, or a line for each process; and its tables in the end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from types import FrameType, TracebackType

import typer
from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from genlab.bench.plan import Plan
from genlab.bench.result import Combination, RecipeFacts, Result
from genlab.bench.running import Watcher
from genlab.bench.statistics import spread_of
from genlab.bench.summary import Gathered
from genlab.bench.texts import agreement_said, time_said
from genlab.cli.bench_tables import show_cells, show_notes, show_profile
from genlab.cli.display import console
from genlab.cli.streams import Surviving
from genlab.errors import Interrupted
from genlab.folders import from_here
from genlab.units import duration
from genlab.wording import printable


class Silent(Watcher):
    """Shows nothing; remembers where the result goes."""

    output = Path()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def on_start(self, made: Plan, recipe: RecipeFacts, limit: float, output: Path) -> None:
        """Remember it."""
        self.output = output


class Plain(Silent):
    """A header, then a line for each process that ends: for logs and pipes."""

    def __init__(self) -> None:
        self.console = console()

    def on_start(self, made: Plan, recipe: RecipeFacts, limit: float, output: Path) -> None:
        """Print what will be measured."""
        super().on_start(made, recipe, limit, output)
        count = len(made.combinations)
        out = self.console.print
        out(f"    recipe  {printable(recipe.ref)}")
        out(f"  measured  {count} combination{'s' * (count != 1)}, for {duration(limit)} at most")
        out(f"    result  {printable(from_here(output))}\n")

    def on_process(self, gathered: Gathered, number: int, failure: str) -> None:
        """Print one line."""
        self.console.print(
            f"round {number:>2}  {printable(gathered.combination.label)}  {_found(gathered, failure)}"
        )


class Terminal(Plain):
    """One live table: each combination, what is known of it, and what its process is at."""

    def __init__(self) -> None:
        super().__init__()
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.known: dict[Combination, str] = {}
        self.at: tuple[Combination, str] | None = None
        self.began, self.limit, self.processes = time.monotonic(), 0.0, 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def on_start(self, made: Plan, recipe: RecipeFacts, limit: float, output: Path) -> None:
        """Print the header and start the table."""
        super().on_start(made, recipe, limit, output)
        self.known = dict.fromkeys(made.combinations, "")
        self.began, self.limit = time.monotonic(), limit
        self.live.start()

    def on_stage(self, combination: Combination, number: int, stage: str) -> None:
        """Show what the process is at."""
        self.at = combination, stage
        self._show()

    def on_process(self, gathered: Gathered, number: int, failure: str) -> None:
        """Show what is known now."""
        self.known[gathered.combination] = _found(gathered, failure)
        self.processes += 1
        self.at = None
        self._show()

    def _show(self) -> None:
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("combination", "so far", ""):
            shown.add_column(title, no_wrap=True)
        for combination, found in self.known.items():
            stage = self.at[1] if self.at is not None and self.at[0] == combination else ""
            shown.add_row(Text(combination.label), Text(found), Text(stage, style="cyan"))
        passed = duration(time.monotonic() - self.began)
        line = f"{self.processes} processes done; {passed} of {duration(self.limit)}; Ctrl-C keeps what there is"
        self.live.update(Group(shown, Text(line)), refresh=True)


def shown(measure: Callable[[Watcher], Result], *, json: bool) -> None:
    """Measure under a display, then show what came out; exit with 130 if Ctrl-C ended it, 143 if SIGTERM did."""
    watcher = Silent() if json else Terminal() if console().is_terminal else Plain()
    with redirect_stdout(Surviving(sys.stdout)), _ended_like_ctrl_c() as signals:
        try:
            with watcher:
                result = measure(watcher)
        except Interrupted as interrupted:
            typer.echo(str(interrupted), err=True)
            raise typer.Exit(128 + signals[-1]) from None
        except KeyboardInterrupt:  # before the first process, or while the last is written
            typer.echo("interrupted", err=True)
            raise typer.Exit(128 + signals[-1]) from None
        if json:
            typer.echo(result.model_dump_json())
        else:
            _show(result, watcher.output)
    if result.ended == "interrupted":
        raise typer.Exit(128 + signals[-1])


@contextmanager
def _ended_like_ctrl_c() -> Iterator[list[int]]:
    """Have SIGTERM end a block as Ctrl-C does, so that what is temporary goes; yield SIGINT and what has come."""
    seen: list[int] = [signal.SIGINT]

    def end(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(result: Result, output: Path) -> None:
    out = console().print
    for profile in result.profiles:
        show_profile(profile)
    if result.cells:
        out(f"\n{printable(result.recipe.name)}: median of processes, ± half its 95 % interval")
        show_cells(result)
    show_notes(result)
    endings = {
        "complete": "complete",
        "time limit": "ended by the time limit (--limit gives it longer)",
        "interrupted": "interrupted; what was measured until then is kept",
    }
    out(f"\n{endings[result.ended]}; written: {printable(from_here(output))}")


def _found(gathered: Gathered, failure: str) -> str:
    """Say what is known of a combination."""
    if failure:
        return f"failed: {printable(failure)}"
    seconds = gathered.seconds
    if not seconds:
        return "the val/loss was not reached" if gathered.processes else "profiled"
    words = []
    if gathered.agreement is not None and gathered.agreement.disagrees:
        words.append(agreement_said(gathered.agreement))
    words.append(f"{time_said(median(seconds))} a call")
    if len(seconds) > 1:
        words.append(f"±{spread_of(seconds).half_width:.0%}")
    count = len(seconds)
    return "  ".join([*words, f"{count} process{'es' * (count != 1)}"])
