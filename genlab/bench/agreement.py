"""Does a fast way compute the same? Its loss, gradients and training, beside float32, eager, on the CPU.

Both sides start from the same weights, see the same batches in the same order and draw the same noise. On the CPU
the random streams are the same anyway. An accelerator has streams of its own, so there both sides take their noise
from ``HostNoise``.

What a precision promises (``TOLERANCES``) follows from its unit roundoff u: 2^-24 for fp32, 2^-11 for tf32 and
fp16, 2^-8 for bf16. A loss is a sum of hundreds of terms whose errors mostly cancel: about u of it, and no less
than the order of summation costs. A gradient's error is relative to its norm and grows with depth: some ten u.
After a number of steps a difference has been through every update, so what is promised is that training goes on
as well: a share of val/loss that lies below what two seeds differ by. (fp16 withholds its first updates until its
scale no longer overflows, and so lags by a few steps.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from genlab.assembly import new_state
from genlab.bench.noise import HostNoise
from genlab.bench.result import Agreement, Tolerance
from genlab.bench.works import Side, runner_of, trained
from genlab.prepare import Prepared
from genlab.seeds import derive, seeded
from genlab.train.callbacks import Callback, Record
from genlab.train.runners import Runner
from genlab.train.signals import StopRequest
from genlab.train.state import TrainState
from genlab.train.step import Outcome

TOLERANCES = {
    "fp32": Tolerance(loss=1e-5, gradient=1e-4, val_loss=5e-3),
    "tf32": Tolerance(loss=1e-3, gradient=1e-2, val_loss=1e-2),
    "fp16": Tolerance(loss=1e-3, gradient=1e-2, val_loss=2e-2),
    "bf16": Tolerance(loss=5e-3, gradient=3e-2, val_loss=2e-2),
}
SCALES = 20  # halvings of a gradient scale, at most, until nothing overflows
VALIDATED = 2000  # validation examples, at most

Prepare = Callable[[], Prepared]


@dataclass(frozen=True)
class Numbers:
    """What one side computes. gradient: of all parameters, one after the other, float64 on the host."""

    loss: float
    gradient: Tensor
    val_loss: float


def agreement(candidate: Side, reference: Prepare, again: Prepare, steps: int) -> Agreement:
    """Compare a candidate, whose state is as it was before the first step, with its reference.

    reference: prepares the same recipe in fp32, eager, on the CPU. again: prepares the candidate anew, where its
    own runner cannot be given the host's noise.
    """
    ours, device = candidate.prepared, candidate.prepared.device
    seed = ours.recipe.seed
    if device.can.host_memory:
        found = numbers(candidate, steps)
        told = numbers(side_of(reference()), steps)
    else:
        noise = HostNoise(seed, device.on)
        with noise.drawn():
            found = numbers(side_of(again(), noise), steps, noise)
        noise = HostNoise(seed, torch.device("cpu"))
        with noise.drawn():
            told = numbers(side_of(reference(), noise), steps, noise)
    return compared(found, told, TOLERANCES[ours.recipe.train.precision], steps)


def compared(found: Numbers, told: Numbers, tolerance: Tolerance, steps: int) -> Agreement:
    """Return how far two sides are apart. A number that is not finite is as far as can be."""
    errors = {
        "loss": _share(found.loss - told.loss, told.loss),
        "gradient": _share(
            float(torch.linalg.vector_norm(found.gradient - told.gradient)),
            float(torch.linalg.vector_norm(told.gradient)),
        ),
        "val/loss": _share(found.val_loss - told.val_loss, told.val_loss),
    }
    allowed = {"loss": tolerance.loss, "gradient": tolerance.gradient, "val/loss": tolerance.val_loss}
    return Agreement(
        loss=_finite(found.loss),
        reference_loss=told.loss,
        loss_error=errors["loss"],
        gradient_error=errors["gradient"],
        steps=steps,
        val_loss=_finite(found.val_loss),
        reference_val_loss=told.val_loss,
        val_loss_error=errors["val/loss"],
        tolerance=tolerance,
        disagrees=[name for name, error in errors.items() if error > allowed[name]],
    )


FARTHEST = 1e9  # what stands for an error that is not finite


def _share(difference: float, of: float) -> float:
    share = abs(difference) / max(abs(of), 1e-30)
    return min(share, FARTHEST) if math.isfinite(share) else FARTHEST


def _finite(value: float) -> float:
    return value if math.isfinite(value) else FARTHEST


def side_of(prepared: Prepared, noise: HostNoise | None = None) -> Side:
    """Make a side ready, its runner built; the host's noise is laid out before, so that a runner finds it."""
    state = new_state(prepared)
    if noise is not None:
        with state.unchanged(), torch.no_grad():
            for x in next(prepared.train.after(0, prepared.recipe.train.accumulate)):
                prepared.objective(prepared.model, x)
    return Side(prepared, state, runner_of(prepared, state))


def numbers(side: Side, steps: int, noise: HostNoise | None = None) -> Numbers:
    """Compute one side: a step on the first batch, undone, then ``steps`` of training and an evaluation."""
    prepared, state = side.prepared, side.state
    seed, device = prepared.recipe.seed, prepared.device
    group = next(prepared.train.after(0, prepared.recipe.train.accumulate))
    state.model.train()
    with state.unchanged():
        for _ in range(SCALES):
            with seeded(derive(seed, "agreement"), device.on):
                outcome = side.runner(group)
            loss, gradient = outcome.terms.loss.item(), _gradient(prepared)
            if bool(gradient.isfinite().all()) or not state.scaler.is_enabled():
                break  # else the scale of fp16 was too large: it is halved, the update was withheld
    runner = side.runner if noise is None else partial(_refilled, noise, side.runner)
    return Numbers(loss, gradient, _trained(side, runner, steps, noise))


def _refilled(noise: HostNoise, runner: Runner, group: Sequence[Tensor]) -> Outcome:
    noise.refill()
    return runner(group)


def _gradient(prepared: Prepared) -> Tensor:
    params = (*prepared.model.parameters(), *prepared.objective.parameters())
    pieces = [p.grad.detach().flatten().double().cpu() for p in params if p.grad is not None]
    return torch.cat(pieces) if pieces else torch.zeros(0, dtype=torch.float64)


class _Last(Callback):
    """Remembers the last evaluation."""

    loss = math.nan

    def on_evaluation(self, record: Record, state: TrainState) -> None:
        """Take it."""
        self.loss = record.metrics["val/loss"]


def _trained(side: Side, runner: Runner, steps: int, noise: HostNoise | None) -> float:
    """Train for some steps; return val/loss then, over the first validation examples."""
    prepared, seen = side.prepared, _Last()
    limited = {"max_steps": steps, "eval_every_steps": steps, "early_stopping": None}
    options = prepared.recipe.train.model_copy(update=limited)
    few = max(1, VALIDATED // options.eval_batch_size)

    def batches() -> Iterable[Tensor]:
        for x in islice(prepared.val, few):
            if noise is not None:
                noise.refill()
            yield x

    trained(Side(prepared, side.state, runner), StopRequest(), seen, options=options, batches=batches)
    return seen.loss
