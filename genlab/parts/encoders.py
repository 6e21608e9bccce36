"""Encoders q(z|x) that suit any shape of x."""

from __future__ import annotations

import math

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

from genlab.distributions import diagonal_normal
from genlab.interfaces import Encoder
from genlab.parts.mlp import mlp


class MLPEncoder(Encoder):
    """Fully connected network with a diagonal normal posterior (Kingma & Welling 2014, appendix C.2).

    hidden: the width of each hidden layer.
    """

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, hidden: tuple[PositiveInt, ...] = (256,)) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), mlp(math.prod(x_shape), hidden, 2 * latent))

    def forward(self, x: Tensor) -> Distribution:
        """Map x ``(B, *x_shape)`` to q(z|x): batch ``(B,)``, event ``(Z,)``."""
        mean, log_var = self.net(x).chunk(2, dim=-1)
        return diagonal_normal(mean, log_var)
