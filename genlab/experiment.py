"""A recipe from start to end: read, build, train, keep the best model, draw the plots."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genlab.build import build_data, build_model, build_objective, build_optimizer
from genlab.card import model_card
from genlab.data import Batches, checked
from genlab.environment import Environment, capture
from genlab.errors import GenlabError
from genlab.evaluate import evaluate
from genlab.interfaces import DataSource, Examples
from genlab.model import LatentModel
from genlab.plugins import installed
from genlab.recipe import Recipe, load_recipe
from genlab.runs import RunDirectory, State, record_json, runs_root
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


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    model: the best model, in eval mode. metrics: of that model, nats per example. records: every evaluation.
    signal: the one that interrupted it, if any.
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
    being finite, the run's status then being "failed", and ``KeyboardInterrupt`` if a run is interrupted
    before its first evaluation, when there is no model to keep.
    """
    prepared = prepare(Path(recipe), overrides or {}, device, Path(runs) if runs else runs_root())
    announce(prepared)
    started = time.perf_counter()
    directory = prepared.directory
    try:
        with stop_on_signals() as stop:
            outcome = _train(prepared, stop, callbacks)
        status: State = "interrupted" if outcome.ended == "interrupted" else "completed"
        finished = _finish(prepared, outcome, status, started, plots and status == "completed")
    except KeyboardInterrupt:
        directory.finish("interrupted", "interrupted before there was a model to keep")
        raise
    except Exception as error:
        first_line = str(error).partition("\n")[0]
        directory.log(f"failed: {first_line}")
        directory.finish("failed", first_line)
        if isinstance(error, GenlabError) and directory.model.is_dir():
            raise type(error)(f"{error}\nthe best model so far is kept in {directory.model}") from error
        raise
    return replace(finished, signal=stop.signal)


def prepare(path: Path, overrides: Mapping[str, object], device: str, runs: Path) -> Prepared:
    """Do everything short of training; nothing is written until all of it has succeeded."""
    plugins = installed()
    recipe = load_recipe(path, overrides, registry=plugins.registry)
    where = resolve(device)
    tuned = keep_freed_memory() if where.on.type == "cpu" else False
    data = build_data(recipe, plugins.registry)
    model = build_model(recipe, data.x_shape, plugins.registry)
    train = checked(data.split("train"), data, "train")
    val = checked(data.split("val"), data, "val")
    environment = capture(where, plugins.distributions, allocator_tuned=tuned)
    directory = RunDirectory.create(runs, recipe, path.read_text(), environment)
    where.place(model)
    return Prepared(recipe, where, data, train, val, model, environment, directory)


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
        protocol, command = PROTOCOL.format(count=len(prepared.val)), shlex.join(sys.argv)
        metrics = Metrics(
            metrics=dict(record.metrics),
            epoch=record.epoch,
            protocol=protocol,
            command=command,
            seed=prepared.recipe.seed,
            device=prepared.device.label,
        )
        card = model_card(
            prepared.model,
            prepared.recipe,
            metrics.metrics,
            epoch=record.epoch,
            protocol=protocol,
            command=command,
            data=prepared.data.origin,
            grey=self.grey,
        )
        save(prepared.directory.path / "model", prepared.model, metrics, card)


def _finish(prepared: Prepared, outcome: Fit, status: State, started: float, plots: bool) -> Run:
    directory = prepared.directory
    best = [record for record in outcome.records if record.best]
    if not best:
        raise KeyboardInterrupt
    model = load_bundle(directory.path / "model", str(prepared.device.on))
    if plots:
        from genlab.plots import Subject, draw_all

        rows = [record_json(record) for record in outcome.records]
        x = prepared.data.prepare(prepared.val.x)
        draw_all(Subject(model, x, prepared.val.label, rows), directory.plots)
    directory.log(f"{status}: {outcome.ended}")
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
    )
