"""One training step: a batch in, its terms out, and nothing that makes the host wait."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from genlab.interfaces import Objective, Terms
from genlab.model import LatentModel


def train_step(model: LatentModel, objective: Objective, optimizer: Optimizer, x: Tensor) -> Terms:
    """Move the parameters once against the gradient at x ``(B, *x_shape)``; return the terms, detached."""
    terms = objective(model, x)
    optimizer.zero_grad(set_to_none=True)
    terms.loss.backward()
    optimizer.step()
    return Terms(terms.loss.detach(), {name: value.detach() for name, value in terms.logs.items()})
