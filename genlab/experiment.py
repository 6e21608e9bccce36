"""A recipe from start to end: prepare, train, keep the best model, draw the plots."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genlab.errors import GenlabError, Interrupted
from genlab.evaluate import active_units, evaluate
from genlab.keeper import Keeper
from genlab.model import LatentModel
from genlab.prepare import Prepared, prepare
from genlab.recipe import Recipe
from genlab.runs import RunDirectory, State, record_json, runs_root
from genlab.store import load_bundle
from genlab.train.callbacks import Callback, Record
from genlab.train.loop import fit
from genlab.train.signals import StopRequest, stop_on_signals


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    model: the best model, in eval mode. metrics: of that model, nats per example. records: every evaluation.
    active_units: how many latents it uses. signal: the one that interrupted it, if any.
    """

    recipe: Recipe
    directory: Path
    status: State
    ended: str
    model: LatentModel
    metrics: Mapping[str, float]
    epoch: int
    records: Sequence[Record]
    seconds: float
    active_units: int
    signal: int | None


def run(
    recipe: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    device: str = "auto",
    runs: str | Path | None = None,
    plots: bool = True,
    callbacks: Sequence[Callback] = (),
    announce: Callable[[Prepared, Path], None] = lambda prepared, directory: None,
) -> Run:
    """Train a recipe file and leave a run directory.

    overrides: ``{"train.epochs": 3}``. runs: folder of runs, by default ``GENLAB_RUNS`` or ``runs``.
    plots: draw them at the end. announce: called once before training with all that is known and the run
    directory.

    An interrupt (Ctrl-C) ends training at the next step; the run so far is returned, its status
    "interrupted". Raises ``GenlabError`` for every mistake in the input, ``TrainingError`` if the loss stops
    being finite, the run's status then being "failed", and ``Interrupted`` (a ``KeyboardInterrupt``) if a run
    is interrupted before its first evaluation, when there is no model to keep, or a second time.
    """
    started = time.perf_counter()
    prepared = prepare(Path(recipe), overrides or {}, device)
    root = Path(runs) if runs else runs_root()
    directory = RunDirectory.create(root, prepared.recipe, prepared.written, prepared.environment)
    stop = StopRequest()
    try:
        with stop_on_signals(stop):
            directory.log(f"data: {prepared.data.origin}")
            announce(prepared, directory.path)
            outcome = _train(prepared, directory, stop, callbacks, started)
        if plots and not stop:
            _draw(prepared, directory, outcome)
    except KeyboardInterrupt:
        _end(directory, "interrupted", "interrupted")
        raise Interrupted(f"interrupted; {_kept(directory)}", stop.signal or signal.SIGINT) from None
    except BaseException as error:
        _end(directory, "failed", str(error).partition("\n")[0])
        if isinstance(error, GenlabError):
            raise type(error)(f"{error}\n{_kept(directory)}") from error
        raise
    return outcome


def _train(
    prepared: Prepared, directory: RunDirectory, stop: StopRequest, callbacks: Sequence[Callback], started: float
) -> Run:
    """Train, and write how it ended: from here on the run is complete, whatever becomes of its plots."""
    recipe, model, objective, device = prepared.recipe, prepared.model, prepared.objective, prepared.device
    keeper = Keeper(prepared, directory)
    done = fit(
        model,
        objective,
        prepared.optimizer,
        prepared.train,
        lambda: evaluate(model, objective, prepared.val, device, seed=recipe.seed),
        recipe.train,
        device=device,
        seed=recipe.seed,
        stop=stop,
        callbacks=[keeper, *callbacks],
    )
    if keeper.best is None:
        raise KeyboardInterrupt
    best = load_bundle(directory.model, str(device.on))
    active = active_units(best.encode(prepared.data.prepare(prepared.val_examples.x)))
    status: State = "interrupted" if done.ended == "interrupted" else "completed"
    directory.log(f"{status}: {done.ended}; {active} of {best.latent} latents active")
    directory.finish(status, done.ended)
    return Run(
        recipe=recipe,
        directory=directory.path,
        status=status,
        ended=done.ended,
        model=best,
        metrics=keeper.best.metrics,
        epoch=keeper.best.epoch,
        records=done.records,
        seconds=time.perf_counter() - started,
        active_units=active,
        signal=stop.signal,
    )


def _draw(prepared: Prepared, directory: RunDirectory, outcome: Run) -> None:
    from genlab.plots import Subject, draw_all

    x, label = prepared.data.prepare(prepared.val_examples.x), prepared.val_examples.label
    rows = [record_json(record) for record in outcome.records]
    draw_all(Subject(outcome.model, x, label, rows, best_epoch=outcome.epoch), directory.plots)


def _end(directory: RunDirectory, state: State, message: str) -> None:
    """Write how a run ended, if the disk still takes it: the error that ended it matters more."""
    with suppress(GenlabError):
        directory.log(f"{state}: {message}")
        if directory.status().status == "running":
            directory.finish(state, message)


def _kept(directory: RunDirectory) -> str:
    if directory.model.is_dir():
        return f"the best model so far is kept in {directory.model}"
    return f"no model was kept: no epoch was finished, or none could be written; see {directory.path / 'log.txt'}"
