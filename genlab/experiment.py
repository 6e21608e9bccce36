"""A recipe from start to end: read, build, train, keep the best model, draw the plots."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from genlab.build import build_data, build_model, build_objective, build_optimizer
from genlab.card import model_card
from genlab.data import Batches, read_split
from genlab.environment import Environment, capture
from genlab.errors import GenlabError, Interrupted
from genlab.evaluate import active_units, evaluate
from genlab.interfaces import DataSource, Examples
from genlab.model import LatentModel
from genlab.plugins import installed
from genlab.recipe import Recipe, load_recipe
from genlab.runs import RunDirectory, State, record_json, runs_root
from genlab.source import Node
from genlab.store import Metrics, load_bundle, save
from genlab.train.allocator import keep_freed_memory
from genlab.train.callbacks import Callback, Record
from genlab.train.device import Device, resolve
from genlab.train.loop import Fit, fit
from genlab.train.signals import StopRequest, stop_on_signals

PROTOCOL = (
    "`train/*` are means over the epoch's batches while the weights were moving. `val/*` are exact means over "
    "all {count:,} validation examples, with one sample of z each, the same noise at every evaluation."
)


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before the first step."""

    recipe: Recipe
    device: Device
    data: DataSource
    train: Examples
    val: Examples
    model: LatentModel
    environment: Environment
    directory: RunDirectory
    command: str


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
    signal: int | None = None


def run(
    recipe: str | Path,
    overrides: Mapping[str, object] | None = None,
    *,
    device: str = "auto",
    runs: str | Path | None = None,
    plots: bool = True,
    callbacks: Sequence[Callback] = (),
    announce: Callable[[Prepared], None] = lambda _: None,
) -> Run:
    """Train a recipe file and leave a run directory.

    overrides: ``{"train.epochs": 3}``. runs: folder of runs, by default ``GENLAB_RUNS`` or ``runs``.
    plots: draw them at the end. announce: called once before training with all that is known.

    An interrupt (Ctrl-C) ends training at the next step; the run so far is returned, its status
    "interrupted". Raises ``GenlabError`` for every mistake in the input, ``TrainingError`` if the loss stops
    being finite, the run's status then being "failed", and ``Interrupted`` (a ``KeyboardInterrupt``) if a run
    is interrupted before its first evaluation, when there is no model to keep, or a second time.
    """
    prepared = prepare(Path(recipe), overrides or {}, device, Path(runs) if runs else runs_root())
    announce(prepared)
    started = time.perf_counter()
    directory = prepared.directory
    stop = StopRequest()
    try:
        with stop_on_signals(stop):
            outcome = _train(prepared, stop, callbacks)
        return _finish(prepared, outcome, stop, started, plots)
    except KeyboardInterrupt:
        _end(directory, "interrupted", "interrupted")
        raise Interrupted(f"interrupted; {_kept(directory)}", stop.signal or signal.SIGINT) from None
    except Exception as error:
        _end(directory, "failed", str(error).partition("\n")[0])
        if isinstance(error, GenlabError):
            raise type(error)(f"{error}\n{_kept(directory)}") from error
        raise


def _end(directory: RunDirectory, state: State, message: str) -> None:
    """Write how a run ended, if the disk still takes it: the error that ended it matters more."""
    with suppress(GenlabError):
        directory.log(f"{state}: {message}")
        directory.finish(state, message)


def _kept(directory: RunDirectory) -> str:
    if directory.model.is_dir():
        return f"the best model so far is kept in {directory.model}"
    return f"no epoch was finished, so there is no model to keep; see {directory.path / 'log.txt'}"


def prepare(path: Path, overrides: Mapping[str, object], device: str, runs: Path) -> Prepared:
    """Do everything short of training; nothing is written until all of it has succeeded."""
    plugins = installed()
    recipe = load_recipe(path, overrides, registry=plugins.registry)
    where = resolve(device)
    tuned = where.can.host_memory and keep_freed_memory()
    data = build_data(recipe, plugins.registry)
    model = build_model(recipe, data.x_shape, plugins.registry)
    train = read_split(data, "train")
    val = read_split(data, "val")
    command = shlex.join(["genlab", "run", str(path), *(f"{key}={_shown(v)}" for key, v in overrides.items())])
    environment = capture(where, plugins.distributions, allocator_tuned=tuned, command=command)
    directory = RunDirectory.create(runs, recipe, path.read_text(), environment)
    where.place(model)
    return Prepared(recipe, where, data, train, val, model, environment, directory, command)


def _shown(value: object) -> str:
    """An override's value as it would be typed."""
    plain = value.plain() if isinstance(value, Node) else value
    return plain if isinstance(plain, str) else json.dumps(plain, default=str)


def _train(prepared: Prepared, stop: StopRequest, callbacks: Sequence[Callback]) -> Fit:
    recipe, device, registry = prepared.recipe, prepared.device, installed().registry
    model, prepare_batch = prepared.model, prepared.data.prepare
    objective = build_objective(recipe, registry).to(device.on)
    params = [p for p in (*model.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = build_optimizer(recipe, params, registry, fused=device.can.fused)
    options = recipe.train
    train = Batches(prepared.train.x, prepare_batch, options.batch_size, device=device, seed=recipe.seed)
    val = Batches(prepared.val.x, prepare_batch, options.eval_batch_size, device=device)
    return fit(
        model,
        objective,
        optimizer,
        train,
        lambda: evaluate(model, objective, val, device, seed=recipe.seed),
        options,
        device=device,
        seed=recipe.seed,
        stop=stop,
        callbacks=[_Keeper(prepared), *callbacks],
    )


class _Keeper(Callback):
    """Writes each evaluation, and the model whenever it is the best so far."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        stored = prepared.val.x[:1000]
        x = prepared.data.prepare(stored)
        self.grey = bool(((x > 0) & (x < 1)).any())

    def on_evaluation(self, record: Record) -> None:
        prepared = self.prepared
        directory = prepared.directory
        directory.add_record(record)
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in record.metrics.items())
        directory.log(f"epoch {record.epoch}  {numbers}{'  best' if record.best else ''}")
        if record.best:
            self.keep(record)

    def keep(self, record: Record) -> None:
        prepared = self.prepared
        protocol = PROTOCOL.format(count=len(prepared.val))
        metrics = Metrics(
            metrics=dict(record.metrics),
            epoch=record.epoch,
            protocol=protocol,
            command=prepared.command,
            seed=prepared.recipe.seed,
            device=prepared.device.label,
        )
        card = model_card(
            prepared.model,
            prepared.recipe,
            metrics.metrics,
            epoch=record.epoch,
            protocol=protocol,
            command=prepared.command,
            data=prepared.data.origin,
            grey=self.grey,
        )
        save(prepared.directory.path / "model", prepared.model, metrics, card)


def _finish(prepared: Prepared, outcome: Fit, stop: StopRequest, started: float, plots: bool) -> Run:
    directory = prepared.directory
    status: State = "interrupted" if stop else "completed"
    best = [record for record in outcome.records if record.best]
    if not best:
        raise KeyboardInterrupt
    model = load_bundle(directory.path / "model", str(prepared.device.on))
    x = prepared.data.prepare(prepared.val.x)
    active = active_units(model.encode(x))
    if plots and not stop:
        from genlab.plots import Subject, draw_all

        rows = [record_json(record) for record in outcome.records]
        draw_all(Subject(model, x, prepared.val.label, rows, best_epoch=best[-1].epoch), directory.plots)
    directory.log(f"{status}: {outcome.ended}; {active} of {model.latent} latents active")
    directory.finish(status, outcome.ended)
    return Run(
        recipe=prepared.recipe,
        directory=directory.path,
        status=status,
        ended=outcome.ended,
        model=model,
        metrics=best[-1].metrics,
        epoch=best[-1].epoch,
        records=outcome.records,
        seconds=time.perf_counter() - started,
        active_units=active,
        signal=stop.signal,
    )
