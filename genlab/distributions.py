"""Constructors of distributions that keep argument validation, which branches on tensors, out of the step."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal


def diagonal_normal(mean: Tensor, log_var: Tensor) -> Distribution:
    """Return N(mean, diag(exp(log_var))) over the last dimension, in float32.

    mean, log_var: ``(B, Z)``; the result has batch ``(B,)`` and event ``(Z,)``.
    """
    mean, log_var = mean.float(), log_var.float()
    return Independent(Normal(mean, (0.5 * log_var).exp(), validate_args=False), 1, validate_args=False)
