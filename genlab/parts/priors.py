"""Priors p(z)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from genlab.distributions import StandardDiagonalNormal
from genlab.interfaces import Prior


class StandardNormal(Prior):
    """N(0, I), the prior of Kingma & Welling (2014), "Auto-Encoding Variational Bayes"."""

    mean: Tensor
    log_var: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        # Buffers follow the model to its device; constants need not be saved with the weights.
        self.register_buffer("mean", torch.zeros(latent), persistent=False)
        self.register_buffer("log_var", torch.zeros(latent), persistent=False)

    def forward(self) -> Distribution:
        """Return p(z): batch ``()``, event ``(Z,)``."""
        return StandardDiagonalNormal(self.mean, self.log_var)
