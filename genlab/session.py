"""One stretch of training in a run directory: from the newest checkpoint, if there is one, to an outcome."""

from __future__ import annotations

import logging
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from genlab.assembly import choose_runner, new_state
from genlab.build import build_trackers
from genlab.distributions import default_validation
from genlab.errors import DeviceError, GenlabError, Interrupted, TrainingError
from genlab.evaluate import active_units, evaluate
from genlab.exits import exit_of_part
from genlab.keeper import Keeper, best_of
from genlab.model import LatentModel
from genlab.plugins import installed
from genlab.prepare import Prepared
from genlab.recipe import Recipe
from genlab.runfiles import State
from genlab.runs import RunDirectory, record_json
from genlab.selection import selected
from genlab.store import load_bundle
from genlab.train.callbacks import Callback, Record
from genlab.train.checkpoints import Checkpoints
from genlab.train.choice import Choice
from genlab.train.determinism import only_deterministic
from genlab.train.loop import Ended, fit
from genlab.train.options import RunnerOption
from genlab.train.rate import LearningRate
from genlab.train.signals import StopRequest, stop_on_signals, until
from genlab.train.state import TrainState

log = logging.getLogger(__name__)

OUT_OF_MEMORY = "the device's memory is full; try a smaller train.batch_size, and train.accumulate with it"
NOT_DETERMINISTIC = "train.deterministic allows only operations that repeat to the last bit"

DRAWN = 20_000  # validation examples that plots are drawn from, at most


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    model: the best model, in eval mode. metrics: of that model, nats per example. epoch, step: where it was
    evaluated. records: every evaluation. active_units: how many latents it uses. signal: the one that
    interrupted it, if any.
    """

    recipe: Recipe
    directory: Path
    status: State
    ended: str
    model: LatentModel
    metrics: Mapping[str, float]
    epoch: int
    step: int
    records: Sequence[Record]
    seconds: float
    active_units: int
    signal: int | None


@dataclass(frozen=True)
class Watched:
    """What a caller wants to see and hear of a run.

    announce: is called once before training. plots: whether they are drawn at the end, and the report written.
    started: the time (``time.monotonic``) that the run's seconds are counted from.
    """

    callbacks: Sequence[Callback] = ()
    announce: Callable[[Prepared, Path], None] = lambda prepared, directory: None
    plots: bool = True
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Session:
    """Trains what was prepared in a run directory whose lock is held."""

    prepared: Prepared
    directory: RunDirectory
    runner: RunnerOption
    watched: Watched
    stop: StopRequest = field(default_factory=StopRequest)

    def run(self) -> Run:
        """Train, and write how it ended: after that the run is complete, whatever becomes of its plots."""
        try:
            with accounted_for(self.directory, self.stop):
                with (
                    only_deterministic(self.prepared.recipe.train.deterministic),
                    default_validation(),
                    stop_on_signals(self.stop),
                ):
                    self.directory.log(f"data: {self.prepared.data.origin}")
                    self.watched.announce(self.prepared, self.directory.path)
                    outcome = self._outcome(*self._fit())
                if self.watched.plots and not self.stop:
                    self._draw(outcome)
        finally:
            if self.watched.plots:
                self._report()
        return outcome

    def _fit(self) -> tuple[TrainState, Ended]:
        """Take up the newest checkpoint, if there is one, and train from there."""
        prepared, recipe, stop = self.prepared, self.prepared.recipe, self.stop
        state = new_state(prepared)
        rate = LearningRate(prepared.optimizer, prepared.schedule, recipe.train.steps(state.steps_per_epoch))
        checkpoints = Checkpoints(self.directory.checkpoints, recipe.checkpoint.keep)
        saved = checkpoints.load()
        if saved is not None:
            state.restore(saved)
            self.directory.log(f"resumed after step {state.step}")
        choice = choose_runner(prepared, state, self.runner)
        self._record(choice)

        trackers = build_trackers(recipe, installed().registry, self.directory.path, state.step)
        keeper = Keeper(prepared, self.directory, trackers)
        with ExitStack() as closing:  # each, whatever becomes of the others
            for tracker in trackers:
                closing.callback(tracker.close)
            keeper.restore(state)
            ended = fit(
                state,
                choice.runner,
                rate,
                prepared.train,
                self._evaluate,
                recipe.train,
                seed=recipe.seed,
                stop=stop,
                checkpoints=checkpoints,
                every=recipe.checkpoint,
                callbacks=[keeper, *self.watched.callbacks],
            )
        if not state.records:
            raise KeyboardInterrupt
        return state, ended

    def _evaluate(self) -> dict[str, float]:
        prepared = self.prepared
        batches = until(self.stop, prepared.val)
        return evaluate(prepared.model, prepared.objective, batches, prepared.device, seed=prepared.recipe.seed)

    def _record(self, choice: Choice) -> None:
        """Write which runner was chosen, and what each was measured to take."""
        figures = {name: str(measured) for name, measured in choice.figures.items()}
        chosen = {"runner": choice.name, "runner_figures": figures}
        self.directory.write_environment(self.prepared.environment.model_copy(update=chosen))
        for name, figure in figures.items():
            self.directory.log(f"runner {name}: {figure}{' (chosen)' if name == choice.name else ''}")

    def _outcome(self, state: TrainState, ended: Ended) -> Run:
        status: State = "interrupted" if ended == "interrupted" else "completed"
        self.directory.finish(status, ended)
        kept = load_bundle(self.directory.model, str(self.prepared.device.on))
        active = active_units(torch.cat([kept.encode(x) for x in self.prepared.val]))
        self.directory.write_active_units(active)
        self.directory.log(f"{status}: {ended}; {active} of {kept.latent} latents active")
        record = best_of(state.records)
        return Run(
            recipe=self.prepared.recipe,
            directory=self.directory.path,
            status=status,
            ended=ended,
            model=kept,
            metrics=record.metrics,
            epoch=record.epoch,
            step=record.step,
            records=state.records,
            seconds=time.monotonic() - self.watched.started,
            active_units=active,
            signal=self.stop.signal,
        )

    def _draw(self, outcome: Run) -> None:
        from genlab.plots import Subject, draw_all

        x, label = self.prepared.val_examples.x[:DRAWN], self.prepared.val_examples.label
        x, label = self.prepared.data.prepare(x), None if label is None else label[:DRAWN]
        rows = [record_json(record) for record in outcome.records]
        draw_all(Subject(outcome.model, x, label, rows, best_epoch=outcome.epoch), self.directory.plots)

    def _report(self) -> None:
        """Write the run's page, however it ended. A run without one is a run all the same."""
        from genlab.report import write_report

        try:
            write_report(self.directory.path)
        except Exception as error:  # whatever it is, the run's own outcome matters more
            log.warning("warning: no report was written: %s", error)
            with suppress(GenlabError):
                self.directory.log(f"no report was written: {error}")


@contextmanager
def accounted_for(directory: RunDirectory, stop: StopRequest) -> Iterator[None]:
    """Write how a block ended if it did not end well, and tell the user what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        _end(directory, "interrupted", "interrupted")
        raise Interrupted(f"interrupted; {_kept(directory)}", stop.signal or signal.SIGINT) from None
    except BaseException as error:
        exited = exit_of_part(error) if isinstance(error, SystemExit) else ""
        reason = exited or (f"sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error))
        _end(directory, "failed", reason.partition("\n")[0])
        if exited:
            raise TrainingError(f"{exited}\n{_kept(directory)}") from error
        if isinstance(error, torch.OutOfMemoryError):
            raise DeviceError(f"{OUT_OF_MEMORY}\n{_kept(directory)}") from error
        if isinstance(error, RuntimeError) and "deterministic" in str(error):
            raise DeviceError(f"{NOT_DETERMINISTIC}: {error}\n{_kept(directory)}") from error
        if isinstance(error, GenlabError):
            error.args = (f"{error}\n{_kept(directory)}",)
        raise


def _end(directory: RunDirectory, state: State, message: str) -> None:
    """Write how a run ended, if the disk still takes it: the error that ended it matters more."""
    with suppress(GenlabError):
        directory.log(f"{state}: {message}")
        if directory.status().status == "running":
            directory.finish(state, message)


def _kept(directory: RunDirectory) -> str:
    kept = []
    if directory.model.is_dir():
        kept.append(f"the best model so far is kept in {directory.model}")
    if any(directory.checkpoints.glob("[0-9]*")):
        command = shlex.join(["genlab", "resume", str(directory.path), *selected().arguments()])
        kept.append(f"to go on from the last checkpoint: {command}")
    return "\n".join(kept) or f"nothing was kept: no checkpoint was due yet; see {directory.path / 'log.txt'}"
