"""The smallest useful genlab plugin: an encoder with one hidden layer."""

import math

from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution

import genlab


class TinyEncoder(genlab.Encoder):
    """One hidden layer: x (B, *x_shape) -> q(z|x).

    width: of the hidden layer.
    """

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, width: PositiveInt = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(x_shape), width), nn.SiLU(), nn.Linear(width, 2 * latent)
        )

    def forward(self, x: Tensor) -> Distribution:
        """Map x (B, *x_shape) to q(z|x)."""
        mean, log_var = self.net(x).chunk(2, dim=-1)
        return genlab.diagonal_normal(mean, log_var)


@genlab.hookimpl
def genlab_register(register: genlab.Register) -> None:
    """Register the encoder."""
    register("tiny", TinyEncoder)
