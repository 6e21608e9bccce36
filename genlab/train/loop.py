"""The training loop, top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Literal

from genlab.data import Batches
from genlab.seeds import derive, seeded
from genlab.train.callbacks import Callback, Plan
from genlab.train.checkpoints import Checkpoints
from genlab.train.guard import FiniteGuard
from genlab.train.options import CheckpointOptions, TrainOptions
from genlab.train.rate import LearningRate
from genlab.train.records import out_of_patience, record_of
from genlab.train.runners import Runner
from genlab.train.signals import Abandoned, StopRequest
from genlab.train.state import TrainState

Ended = Literal["all epochs done", "step limit", "time limit", "early stopping", "interrupted"]


def fit(
    state: TrainState,
    run_step: Runner,
    rate: LearningRate,
    batches: Batches,
    evaluate: Callable[[], dict[str, float]],
    options: TrainOptions,
    *,
    seed: int,
    stop: StopRequest,
    checkpoints: Checkpoints | None = None,
    every: CheckpointOptions | None = None,
    callbacks: Sequence[Callback] = (),
) -> Ended:
    """Train from ``state`` on until the steps are done, or early stopping, a limit or ``stop`` ends it.

    evaluate: returns the metrics of the model as it stands, without their ``val/`` prefix; it may raise
    ``Abandoned`` once ``stop`` is requested. checkpoints: where the state is saved, as often as ``every`` says.

    Where a step stands in the data follows from its number and the seed, so the state between two steps is all
    that a resumed training needs. Raises ``TrainingError`` naming the step at a loss or gradient that is not
    finite, and ``RunError`` if a checkpoint cannot be written.
    """
    device, steps = state.device, options.steps(state.steps_per_epoch)
    plan = Plan(options.epochs, steps, state.steps_per_epoch, state.step, options.eval_every_steps is None)
    for callback in callbacks:
        callback.on_start(plan)
    guard = FiniteGuard(device, state.scaler)
    groups = batches.after(state.step, options.accumulate)
    started = saved_at = state.clock.start()
    saved = state.position

    with seeded(derive(seed, "train"), device.on):
        state.resume_random()
        state.model.train()
        state.objective.train()
        while True:
            # Between two steps: is it over, is it time to evaluate, to save?
            now = time.monotonic()
            ended = _ended(state, options, now - started)
            if not state.evaluated and (ended or options.evaluates(state.step, state.steps_per_epoch)):
                guard.check(state.step)
                _evaluate(state, evaluate, options, callbacks)
                now = time.monotonic()
                ended = ended or _ended(state, options, now - started)
            if stop:
                ended = "interrupted"
            due = ended or (every and every.due(state.step, state.steps_per_epoch, now - saved_at))
            if checkpoints and due and state.position != saved:
                guard.check(state.step)  # what a bad step has touched is not worth keeping
                checkpoints.save(state.position, state.tree())
                saved, saved_at = state.position, now
            if ended:
                return ended

            # A step. Nothing in it waits for the device.
            group = next(groups)
            rate.set(state.step, state.records)
            state.objective.at_step(state.step)
            outcome = run_step(group)
            state.step += 1
            examples = sum(map(len, group))
            state.mean.add(outcome.terms, examples)
            guard.watch(outcome, state.step)
            for callback in callbacks:
                callback.on_step(state.epoch, state.step, outcome.terms, examples)


def _ended(state: TrainState, options: TrainOptions, seconds: float) -> Ended | None:
    """Say why training is over, if it is."""
    if out_of_patience(state.records, options.early_stopping):
        return "early stopping"
    if state.step >= options.steps(state.steps_per_epoch):
        return "step limit" if state.step < options.epochs * state.steps_per_epoch else "all epochs done"
    if state.step and options.max_time is not None and seconds >= options.max_time:
        return "time limit"
    return None


def _evaluate(
    state: TrainState,
    evaluate: Callable[[], dict[str, float]],
    options: TrainOptions,
    callbacks: Sequence[Callback],
) -> None:
    """Evaluate the model, or its averaged weights, and tell everybody; do nothing if it is abandoned."""
    train = state.mean.read()  # waits for the device
    trained = state.clock.seconds
    with state.ema.applied() if state.ema else nullcontext():
        try:
            val = evaluate()
        except Abandoned:
            return
        metrics = {f"train/{k}": v for k, v in train.items()} | {f"val/{k}": v for k, v in val.items()}
        record = record_of(state, metrics, trained, options.monitor)
        state.take(record)
        for callback in callbacks:
            callback.on_evaluation(record, state)
