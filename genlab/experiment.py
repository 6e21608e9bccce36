"""A recipe from start to end: prepare, train, keep the best model, draw the plots; and how to go on with one."""

from __future__ import annotations

import logging
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from genlab.assembly import choose_runner, new_state
from genlab.build import build_trackers
from genlab.device import available
from genlab.errors import DeviceError, GenlabError, Interrupted, RecipeError
from genlab.evaluate import active_units, evaluate
from genlab.files import write_text
from genlab.keeper import Keeper, best_of
from genlab.lock import locked
from genlab.model import LatentModel
from genlab.plugins import installed
from genlab.prepare import Prepared, prepare
from genlab.recipe import Recipe, as_typed, overridden, parse_recipe
from genlab.runs import RunDirectory, State, known_runs, record_json, runs_root
from genlab.source import file_text
from genlab.store import load_bundle
from genlab.train.callbacks import Callback, Record
from genlab.train.checkpoints import Checkpoints
from genlab.train.determinism import only_deterministic
from genlab.train.loop import Ended, fit
from genlab.train.options import RunnerOption
from genlab.train.rate import LearningRate
from genlab.train.signals import StopRequest, stop_on_signals, until
from genlab.train.state import TrainState

log = logging.getLogger(__name__)

Announce = Callable[[Prepared, Path], None]

CHANGEABLE = ("train.epochs", "train.max_steps", "train.max_time", "train.early_stopping.patience", "checkpoint")
"""What a resumed run may change: how long it goes on, and how often it is saved."""


OUT_OF_MEMORY = (
    "the device's memory is full; a smaller train.batch_size, with train.accumulate to make up for it, helps"
)
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


def run(
    recipe: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    device: str = "auto",
    runs: str | Path | None = None,
    plots: bool = True,
    resume: str = "never",
    callbacks: Sequence[Callback] = (),
    announce: Announce = lambda prepared, directory: None,
) -> Run:
    """Train a recipe file and leave a run directory.

    overrides: ``{"train.epochs": 3}``. runs: folder of runs, by default ``GENLAB_RUNS`` or ``runs``.
    plots: draw them at the end. resume: with ``auto``, go on with the newest run of this very recipe that is
    not done, if there is one. announce: called once before training with all that is known and the run
    directory.

    An interrupt (Ctrl-C) ends training at the next step, with a checkpoint; the run so far is returned, its
    status "interrupted". Raises ``GenlabError`` for every mistake in the input, ``TrainingError`` if the loss
    stops being finite, the run's status then being "failed", and ``Interrupted`` (a ``KeyboardInterrupt``) if
    a run is interrupted before its first evaluation, when there is no model to keep, or a second time.
    """
    if resume not in ("never", "auto"):
        raise RecipeError(f"resume={resume!r}: 'never' or 'auto' is expected; for one run there is genlab.resume")
    started, path, given = time.monotonic(), Path(recipe), overrides or {}
    written = file_text(path)
    parsed = parse_recipe(written, str(path), given, registry=installed().registry)
    root = Path(runs) if runs else runs_root()
    if resume == "auto" and (found := unfinished(parsed, root)) is not None:
        log.info("going on with %s", found)
        return _resume(RunDirectory(found), parsed, device, plots, callbacks, announce, started)
    command = shlex.join(
        ["genlab", "run", str(path), *(f"{key}={as_typed(value)}" for key, value in given.items())]
    )
    prepared = prepare(parsed, device, where=str(path), command=command)
    directory = RunDirectory.create(root, parsed, written, prepared.environment)
    with locked(directory.path):
        return _train(prepared, directory, parsed.train.runner, plots, callbacks, announce, started)


def resume(
    directory: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    device: str = "auto",
    plots: bool = True,
    callbacks: Sequence[Callback] = (),
    announce: Announce = lambda prepared, directory: None,
) -> Run:
    """Go on with a run from its newest whole checkpoint, as if it had never stopped.

    overrides: of how long it goes on and how often it is saved, ``{"train.epochs": 40}``; nothing else may
    change. device: ``auto`` takes the one that the run was on, if it is there. A run that was over stays as it is.

    The result is that of an uninterrupted run, to the last bit, on the same device, versions and threads; what
    differs is said in a warning. Raises as ``run`` does, and ``RunError`` if this is no run directory, another
    process is at work in it, or no checkpoint in it is whole.
    """
    started, run = time.monotonic(), RunDirectory(Path(directory).absolute())
    run.status()
    recipe = run.recipe()
    for key in overrides or {}:
        if not any(key == name or key.startswith(f"{name}.") for name in CHANGEABLE):
            raise RecipeError(
                f"override {key}: a resumed run can change {', '.join(CHANGEABLE)} and nothing else; "
                "for another recipe start another run"
            )
    if overrides:
        recipe = overridden(recipe, overrides, registry=installed().registry)
    return _resume(run, recipe, device, plots, callbacks, announce, started)


def unfinished(recipe: Recipe, root: Path) -> Path | None:
    """Return the newest run of exactly this recipe under ``root`` that is not done."""
    for run, status in known_runs(recipe.name):
        over = status.status == "running" or (status.status == "completed" and status.message != "time limit")
        with suppress(GenlabError):
            if not over and run.path.is_relative_to(root.absolute()) and run.recipe() == recipe:
                return run.path
    return None


def _resume(
    directory: RunDirectory, recipe: Recipe, device: str, plots: bool,
    callbacks: Sequence[Callback], announce: Announce, started: float,
) -> Run:  # fmt: skip
    with locked(directory.path):
        before = directory.environment()
        same = device == "auto" and before.on in [str(d.on) for d in available()]
        prepared = prepare(
            recipe,
            before.on if same else device,
            where=str(directory.path / "resolved.yaml"),
            command=before.command,
        )
        runner: RunnerOption = before.runner if prepared.environment.on == before.on else recipe.train.runner
        now = prepared.environment.model_copy(update={"runner": runner})
        with _accounted_for(directory, StopRequest()):
            directory.restart()
            write_text(directory.path / "resolved.yaml", recipe.to_yaml())
        if differences := before.differences(now):
            warning = (
                f"not what the run was done with so far, so the last bits may differ: {'; '.join(differences)}"
            )
            log.warning("warning: %s", warning)
            directory.log(warning)
        return _train(prepared, directory, runner, plots, callbacks, announce, started)


def _train(
    prepared: Prepared, directory: RunDirectory, runner: RunnerOption, plots: bool,
    callbacks: Sequence[Callback], announce: Announce, started: float,
) -> Run:  # fmt: skip
    """Train, and write how it ended: after that the run is complete, whatever becomes of its plots."""
    stop = StopRequest()
    with _accounted_for(directory, stop):
        with only_deterministic(prepared.recipe.train.deterministic), stop_on_signals(stop):
            directory.log(f"data: {prepared.data.origin}")
            announce(prepared, directory.path)
            state, ended = _fit(prepared, directory, runner, stop, callbacks)
            outcome = _outcome(prepared, directory, state, ended, stop, time.monotonic() - started)
        if plots and not stop:
            _draw(prepared, directory, outcome)
    return outcome


def _fit(
    prepared: Prepared,
    directory: RunDirectory,
    runner: RunnerOption,
    stop: StopRequest,
    callbacks: Sequence[Callback],
) -> tuple[TrainState, Ended]:
    """Take up the newest checkpoint, if there is one, and train from there."""
    recipe, model, objective, device = prepared.recipe, prepared.model, prepared.objective, prepared.device
    state = new_state(prepared)
    rate = LearningRate(prepared.optimizer, prepared.schedule, recipe.train.steps(state.steps_per_epoch))
    checkpoints = Checkpoints(directory.checkpoints, recipe.checkpoint.keep)
    saved = checkpoints.load()
    if saved is not None:
        state.restore(saved)
        directory.log(f"resumed after step {state.step}")

    choice = choose_runner(prepared, state, runner)
    figures = {name: str(measured) for name, measured in choice.figures.items()}
    chosen = {"runner": choice.name, "runner_figures": figures}
    directory.write_environment(prepared.environment.model_copy(update=chosen))
    for name, figure in figures.items():
        directory.log(f"runner {name}: {figure}{' (chosen)' if name == choice.name else ''}")

    trackers = build_trackers(recipe, installed().registry, directory.path, state.step)
    keeper = Keeper(prepared, directory, trackers)
    try:
        keeper.restore(state)
        ended = fit(
            state,
            choice.runner,
            rate,
            prepared.train,
            lambda: evaluate(model, objective, until(stop, prepared.val), device, seed=recipe.seed),
            recipe.train,
            seed=recipe.seed,
            stop=stop,
            checkpoints=checkpoints,
            every=recipe.checkpoint,
            callbacks=[keeper, *callbacks],
        )
    finally:
        with ExitStack() as closing:  # each, whatever becomes of the others
            for tracker in trackers:
                closing.callback(tracker.close)
    if not state.records:
        raise KeyboardInterrupt
    return state, ended


def _outcome(
    prepared: Prepared, directory: RunDirectory, state: TrainState, ended: Ended, stop: StopRequest, seconds: float
) -> Run:
    status: State = "interrupted" if ended == "interrupted" else "completed"
    directory.finish(status, ended)
    kept, record = load_bundle(directory.model, str(prepared.device.on)), best_of(state.records)
    active = active_units(torch.cat([kept.encode(x) for x in prepared.val]))
    directory.log(f"{status}: {ended}; {active} of {kept.latent} latents active")
    return Run(
        recipe=prepared.recipe,
        directory=directory.path,
        status=status,
        ended=ended,
        model=kept,
        metrics=record.metrics,
        epoch=record.epoch,
        step=record.step,
        records=state.records,
        seconds=seconds,
        active_units=active,
        signal=stop.signal,
    )


def _draw(prepared: Prepared, directory: RunDirectory, outcome: Run) -> None:
    from genlab.plots import Subject, draw_all

    x, label = prepared.val_examples.x[:DRAWN], prepared.val_examples.label
    x, label = prepared.data.prepare(x), None if label is None else label[:DRAWN]
    rows = [record_json(record) for record in outcome.records]
    draw_all(Subject(outcome.model, x, label, rows, best_epoch=outcome.epoch), directory.plots)


@contextmanager
def _accounted_for(directory: RunDirectory, stop: StopRequest) -> Iterator[None]:
    """Write how a block ended if it did not end well, and tell the user what is kept and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        _end(directory, "interrupted", "interrupted")
        raise Interrupted(f"interrupted; {_kept(directory)}", stop.signal or signal.SIGINT) from None
    except BaseException as error:
        _end(directory, "failed", str(error).partition("\n")[0])
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
        kept.append(f"to go on from the last checkpoint: genlab resume {shlex.quote(str(directory.path))}")
    return "\n".join(kept) or f"nothing was kept: no checkpoint was due yet; see {directory.path / 'log.txt'}"
