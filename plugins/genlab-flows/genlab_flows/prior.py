"""A prior p(z) that is learned: noise moved by a flow."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

import genlab
from genlab_flows.bijection import Bijection, Bins, Hidden, Kind, Passes, Transforms
from genlab_flows.distributions import Pulled


class FlowPrior(genlab.Prior):
    """Standard normal noise moved by a normalizing flow (Rezende & Mohamed 2015; Chen et al. 2017).

    log p(z) takes one pass of the networks, a sample as many as there are latents: a masked autoregressive flow
    (Papamakarios et al. 2017). The KL term is estimated at z ~ q. It starts close to N(0, I).

    transforms: how many transformations follow one another. kind: each of them, a rational-quadratic spline on
    [-5, 5] (``nsf``, Durkan et al. 2019) or affine (``maf``). hidden: widths of the hidden layers of the network
    that makes its parameters. bins: of a spline; ``maf`` has none. passes: of the networks for a sample; null is
    one for each latent, 2 a coupling flow (Dinh et al. 2017).
    """

    mean: Tensor
    log_var: Tensor

    def __init__(
        self,
        latent: int,
        *,
        transforms: Transforms = 4,
        kind: Kind = "nsf",
        hidden: Hidden = (64, 64),
        bins: Bins = 8,
        passes: Passes = None,
    ) -> None:
        super().__init__()
        self.bijection = Bijection(
            latent, transforms=transforms, kind=kind, hidden=hidden, bins=bins, passes=passes
        )
        # Buffers follow the model to its device; constants need not be saved with the weights.
        self.register_buffer("mean", torch.zeros(latent), persistent=False)
        self.register_buffer("log_var", torch.zeros(latent), persistent=False)

    def forward(self) -> Distribution:
        """Return p(z): batch ``()``, event ``(Z,)``."""
        return Pulled(genlab.diagonal_normal(self.mean, self.log_var), self.bijection)
