"""What a run shows while it runs: a live display, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from genlab.cli.tables import header, layer_table
from genlab.folders import from_here
from genlab.runs import record_json, timing_json
from genlab.selection import selected
from genlab.train.callbacks import Callback, Plan, Record
from genlab.units import as_json, counted, duration
from genlab.wording import printable

if TYPE_CHECKING:
    from genlab.interfaces import Terms
    from genlab.prepare import Prepared
    from genlab.session import Run
    from genlab.train.state import TrainState

REFRESH = 0.25  # seconds between looks at the loss: each makes the host wait for the device

LEAST_WIDTH = 20  # columns; with COLUMNS=0, as some programs set it, nothing at all would be printed


def console() -> Console:
    """Return the console on standard output; numbers are not coloured, names not wrapped in markup."""
    made = Console(highlight=False, markup=False, soft_wrap=True)
    if made.width < LEAST_WIDTH:
        made.width = LEAST_WIDTH
    return made


class Screen:
    """What is open while something is shown on it: nothing, for those that only print."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class QuietDisplay(Screen, Callback):
    """Prints the run directory at the end, for scripts."""

    def announce(self, prepared: Prepared, directory: Path) -> None:
        """Say what is about to be trained."""

    def conclude(self, run: Run) -> None:
        """Say how it went."""
        typer.echo(run.directory)


class JsonDisplay(QuietDisplay):
    """Prints one JSON object per evaluation, and nothing else, on standard output."""

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Print the evaluation as JSON."""
        typer.echo(as_json(record_json(record) | timing_json(record)))

    def conclude(self, run: Run) -> None:
        """Print nothing: the lines are all there is. The run directory goes to standard error."""
        typer.echo(f"{run.status}: {run.directory}", err=True)


class PlainDisplay(QuietDisplay):
    """Prints one line per evaluation: for logs and pipes."""

    def __init__(self) -> None:
        self.console = console()
        self.epochs, self.whole_epochs = 0, True

    def announce(self, prepared: Prepared, directory: Path) -> None:
        """Print recipe, device, precision, data and the table of layers."""
        for name, value in header(prepared, directory):
            self.console.print(f"{name:>10}  {value and printable(value)}")
        self.console.print()
        self.console.print(layer_table(prepared.model))
        self.console.print()

    def on_start(self, plan: Plan) -> None:
        """Remember how many epochs there may be; say where a resumed run goes on."""
        self.epochs, self.whole_epochs = plan.epochs, plan.by_epochs
        if plan.start:
            self.console.print(f"resumed after step {plan.start:,} of {plan.steps:,}")

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Print the evaluation in one line."""
        self.console.print(self.line(record))

    def line(self, record: Record) -> str:
        """One evaluation in one line."""
        metrics = record.metrics
        step = "" if self.whole_epochs else f" step {record.step}"
        shown = "  ".join(f"{name} {metrics[name]:8.3f}" for name in metrics if name.endswith("/loss"))
        val = "  ".join(
            f"{name.removeprefix('val/')} {metrics[name]:.3f}"
            for name in metrics
            if name.startswith("val/") and name != "val/loss"
        )
        return (
            f"epoch {record.epoch:>{len(str(self.epochs))}}/{self.epochs}{step}  {shown}  ({val})  "
            f"{record.images_per_second:,.0f} images/s  {record.seconds:.1f} s{'  best' if record.best else ''}"
        )

    def conclude(self, run: Run) -> None:
        """Print the outcome, the files, and what to try next."""
        best, last = run.metrics["val/loss"], run.records[-1].metrics["val/loss"]
        speed = sum(r.images_per_second for r in run.records) / len(run.records)
        out = self.console.print
        out()
        outcome = run.status if run.ended == run.status else f"{run.status}: {run.ended}"
        last_record = run.records[-1]
        done = f"{counted(last_record.epoch, 'epoch')}, {counted(last_record.step, 'step')}"
        out(f"{outcome} after {done}, {duration(run.seconds)}, {speed:,.0f} images/s")
        out(f"best val/loss {best:.3f} after epoch {run.epoch}, last {last:.3f}")
        if run.active_units < run.recipe.latent:
            out(
                f"only {run.active_units} of {run.recipe.latent} latents are in use: the rest carry nothing of x "
                "(posterior collapse); another seed may do better"
            )
        out()
        out(f"files in {printable(from_here(run.directory))}")
        for entry in sorted(run.directory.rglob("*")):
            if entry.is_file() and not entry.name.startswith("."):
                out(f"  {printable(str(entry.relative_to(run.directory)))}")
        name = run.recipe.name if run.status == "completed" else shlex.quote(from_here(run.directory))
        out()
        out("try next")
        same = "".join(f" {word}" for word in map(shlex.quote, selected().arguments()))  # plugins as here
        out(f"  genlab sample {name} -n 16 -o samples.png{same}")
        out(f"  genlab eval {name}{same}")
        out(f"  genlab plot all {name}{same}")
        if not selected().files:  # which are for commands alone
            out(f"  python -c 'import genlab; print(genlab.load(\"{name}\").sample(16).shape)'")


class TerminalDisplay(PlainDisplay):
    """A live line for the epoch under way, above it one line per epoch that is done."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TextColumn("step {task.fields[step]}  {task.fields[speed]} images/s  {task.fields[terms]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left at most"),
            console=self.console,
            transient=True,
            expand=False,
            refresh_per_second=4,
        )
        self.looked = 0.0
        self.seen = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def on_start(self, plan: Plan) -> None:
        """Start the live line."""
        super().on_start(plan)
        self.plan = plan
        self.task = self.progress.add_task(
            "", total=plan.steps, completed=plan.start, epoch=f"-/{plan.epochs}", step="", speed="", terms=""
        )
        self.progress.start()
        self.looked = time.monotonic()

    def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
        """Renew the live line a few times a second."""
        self.seen += examples
        now = time.monotonic()
        if now - self.looked < REFRESH:
            return
        values = {"loss": terms.loss, **terms.logs}
        shown = "  ".join(f"{name} {value.item():.1f}" for name, value in values.items())  # waits for the device
        in_epoch = step - (epoch - 1) * self.plan.steps_per_epoch
        self.progress.update(
            self.task,
            completed=step,
            epoch=f"{epoch}/{self.plan.epochs}",
            step=f"{in_epoch}/{self.plan.steps_per_epoch}",
            speed=f"{self.seen / (now - self.looked):,.0f}",
            terms=shown,
        )
        self.looked, self.seen = now, 0

    def conclude(self, run: Run) -> None:
        """Take the live line away, then print the outcome."""
        self.progress.stop()
        super().conclude(run)

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Print the evaluation above the live line."""
        self.progress.console.print(self.line(record))
        self.looked, self.seen = time.monotonic(), 0
