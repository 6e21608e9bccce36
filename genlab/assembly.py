"""From prepared parts to what ``fit`` runs: the state, the step, and the runner that executes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from genlab.interfaces import Terms
from genlab.prepare import Prepared
from genlab.train.choice import Choice, choose
from genlab.train.ema import EMA
from genlab.train.options import RunnerOption
from genlab.train.runners import Transform, build_runner
from genlab.train.state import TrainState
from genlab.train.step import TrainStep


def new_state(prepared: Prepared) -> TrainState:
    """Return the state before the first step."""
    options, optimizer = prepared.recipe.train, prepared.optimizer
    params = [p for group in optimizer.param_groups for p in group["params"]]
    return TrainState(
        model=prepared.model,
        objective=prepared.objective,
        optimizer=optimizer,
        scaler=prepared.model.precision.scaler(),
        ema=EMA(params, options.ema.decay) if options.ema else None,
        device=prepared.device,
        steps_per_epoch=prepared.train.steps_per_epoch(options.accumulate),
    )


def loss_of(prepared: Prepared) -> Callable[[Tensor], Terms]:
    """Return the loss of a batch: the objective of the model, outside any autocast of the caller's."""
    model, objective = prepared.model, prepared.objective

    def loss(x: Tensor) -> Terms:
        with model.precision.mathematics():
            return objective(model, x)

    return loss


def choose_runner(prepared: Prepared, state: TrainState, name: RunnerOption) -> Choice:
    """Return the runner of that name, or with ``auto`` the one that measures fastest for the steps left."""
    options, device = prepared.recipe.train, prepared.device
    loss = loss_of(prepared)
    fused = getattr(state.optimizer, "_step_supports_amp_scaling", False)
    waits = not (device.can.asynchronous and fused)  # other optimizers cannot withhold an update by themselves
    state.model.train()  # what is recorded or compiled is a training step
    state.objective.train()

    def step_of(transform: Transform | None) -> TrainStep:
        return TrainStep(
            loss if transform is None else transform(loss),
            state.optimizer,
            state.scaler,
            waits=waits,
            clip_norm=options.clip_norm,
            ema=state.ema,
        )

    batches = next(prepared.train.after(0, options.accumulate))
    if name != "auto":
        return Choice(name, build_runner(name, state, step_of, batches, device))
    builders = {kind: partial(build_runner, kind, state, step_of, batches, device) for kind in device.runners}
    return choose(builders, state, batches, options.steps(state.steps_per_epoch) - state.step)
