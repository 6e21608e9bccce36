"""One training step: a batch in, its terms out, and nothing that makes the host wait."""

from __future__ import annotations

from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from genlab.interfaces import Objective, Terms
from genlab.model import LatentModel


def train_step(
    model: LatentModel, objective: Objective, optimizer: Optimizer, scaler: GradScaler, x: Tensor
) -> Terms:
    """Move the parameters once against the gradient at x ``(B, *x_shape)``; return the terms, detached.

    scaler: scales the loss where gradients would underflow in fp16, and withholds a step whose gradients
    overflowed; a disabled one does nothing. With a fused optimizer it decides on the device.
    """
    with model.precision.mathematics():
        terms = objective(model, x)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(terms.loss).backward()
    scaler.step(optimizer)
    scaler.update()
    return Terms(terms.loss.detach(), {name: value.detach() for name, value in terms.logs.items()})
