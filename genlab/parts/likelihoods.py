"""Likelihoods p(x|z): they read the decoder's unconstrained output h."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.nn import Parameter

from genlab.distributions import BernoulliPixels
from genlab.interfaces import Likelihood


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels; h are logits.

    A likelihood of binary x. For grey x in [0, 1], ``log_prob`` is the negative cross-entropy
    x log p + (1 - x) log(1 - p), which is widely used as a score but is not normalised over [0, 1]
    (Loaiza-Ganem & Cunningham 2019, "The continuous Bernoulli").
    """

    params: ClassVar[int] = 1

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()

    def forward(self, h: Tensor) -> Distribution:
        """Map logits h ``(B, *x_shape)`` to p(x|z): batch ``(B,)``, event ``x_shape``."""
        return BernoulliPixels(h)


class GaussianLikelihood(Likelihood):
    """Independent normal elements with mean h and one standard deviation for all of them.

    std: the standard deviation, in units of x; the starting value if it is learned.
    learn_std: learn it by maximum likelihood (Rybkin et al. 2021, "Simple and effective VAE training with
        calibrated decoders").
    """

    params: ClassVar[int] = 1

    def __init__(
        self, x_shape: tuple[int, ...], *, std: Annotated[float, Gt(0)] = 1.0, learn_std: bool = False
    ) -> None:
        super().__init__()
        self.event_dims = len(x_shape)
        self.log_std = Parameter(torch.tensor(math.log(std)), requires_grad=learn_std)

    def forward(self, h: Tensor) -> Distribution:
        """Map means h ``(B, *x_shape)`` to p(x|z): batch ``(B,)``, event ``x_shape``."""
        return Independent(
            Normal(h, self.log_std.exp(), validate_args=False), self.event_dims, validate_args=False
        )
