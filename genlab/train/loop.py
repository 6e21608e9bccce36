"""The training loop, top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer

from genlab.data import Batches
from genlab.device import Device
from genlab.errors import TrainingError
from genlab.evaluate import Mean
from genlab.interfaces import Objective
from genlab.model import LatentModel
from genlab.seeds import derive, seeded
from genlab.train.callbacks import Callback, Plan, Record
from genlab.train.guard import FiniteGuard
from genlab.train.options import EarlyStopping, TrainOptions
from genlab.train.signals import StopRequest
from genlab.train.step import train_step


@dataclass(frozen=True)
class Fit:
    """How training went: every evaluation, and why it ended."""

    records: Sequence[Record]
    ended: Literal["all epochs done", "early stopping", "interrupted"]


def fit(
    model: LatentModel,
    objective: Objective,
    optimizer: Optimizer,
    batches: Batches,
    evaluate: Callable[[], dict[str, float]],
    options: TrainOptions,
    *,
    device: Device,
    seed: int,
    stop: StopRequest,
    callbacks: Sequence[Callback] = (),
) -> Fit:
    """Train ``model`` in place until the epochs are done, early stopping says so, or ``stop`` is requested.

    evaluate: returns the metrics of the model as it stands, without their ``val/`` prefix.
    Raises ``TrainingError`` naming the step at a loss that is not finite.
    """
    for callback in callbacks:
        callback.on_start(Plan(options.epochs, len(batches)))
    monitor = options.early_stopping or EarlyStopping(patience=options.epochs)
    scaler = model.precision.scaler()
    records: list[Record] = []
    best, since_best, step = math.inf, 0, 0

    with seeded(derive(seed, "train"), device.on):
        for epoch in range(1, options.epochs + 1):
            started = time.perf_counter()
            model.train()
            mean, guard = Mean(device), FiniteGuard(device)
            for x in batches.shuffled(epoch):
                terms = train_step(model, objective, optimizer, scaler, x)
                step += 1
                mean.add(terms, len(x))
                guard.watch(terms.loss, step)
                for callback in callbacks:
                    callback.on_step(epoch, step, terms, len(x))
                if stop:
                    return Fit(records, "interrupted")
            guard.check()
            metrics = {f"train/{name}": value for name, value in mean.read().items()}  # waits for the device
            trained = time.perf_counter()

            metrics |= {f"val/{name}": value for name, value in evaluate().items()}
            now = _monitored(metrics, monitor.monitor, step)
            since_best = 0 if now < best else since_best + 1
            best = min(now, best)
            record = Record(
                epoch=epoch,
                step=step,
                seconds=time.perf_counter() - started,
                images_per_second=mean.count / (trained - started),
                metrics=metrics,
                best=since_best == 0,
            )
            records.append(record)
            for callback in callbacks:
                callback.on_evaluation(record)
            if stop:
                return Fit(records, "interrupted")
            if options.early_stopping and since_best >= monitor.patience:
                return Fit(records, "early stopping")
    return Fit(records, "all epochs done")


def _monitored(metrics: dict[str, float], name: str, step: int) -> float:
    """Return the monitored metric, or raise ``TrainingError`` if it is not finite."""
    if not math.isfinite(metrics[name]):
        raise TrainingError(f"{name} is not finite after step {step}: {metrics[name]}")
    return metrics[name]
