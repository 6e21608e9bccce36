"""Decoders z -> h that suit any shape of x."""

from __future__ import annotations

import math

from pydantic import PositiveInt
from torch import Tensor

from genlab.interfaces import Decoder
from genlab.parts.mlp import mlp


class MLPDecoder(Decoder):
    """Fully connected network.

    hidden: the width of each hidden layer.
    """

    def __init__(
        self, latent: int, out_shape: tuple[int, ...], *, hidden: tuple[PositiveInt, ...] = (256,)
    ) -> None:
        super().__init__()
        self.out_shape = out_shape
        self.net = mlp(latent, hidden, math.prod(out_shape))

    def forward(self, z: Tensor) -> Tensor:
        """Map z ``(B, Z)`` to h ``(B, *out_shape)``."""
        return self.net(z).unflatten(1, self.out_shape)
