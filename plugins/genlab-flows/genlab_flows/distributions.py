"""Two ways to make a distribution of a bijection f and standard normal noise e.

They differ in what takes one pass of f's networks and what takes one for each latent: a prior is asked for the
density at given points, a posterior for samples and for the density at these.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.quasirandom import SobolEngine

import genlab
from genlab_flows.bijection import Bijection

POINTS, AT_ONCE = 128, 8  # of a mean that is estimated; of these, at once: bounds memory


class Pulled(Distribution):
    """z = f^-1(e): log p(z) = log N(f(z); 0, I) + log |det df/dz| takes one pass, a sample one for each latent."""

    arg_constraints = {}  # noqa: RUF012  torch's way
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, noise: Distribution, bijection: Bijection) -> None:
        self.noise, self.bijection = noise, bijection
        super().__init__(noise.batch_shape, noise.event_shape, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw z ``(*sample_shape, *batch, Z)``."""
        return self.bijection.inverse(self.noise.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats at z ``(..., Z)``: ``(...,)``."""
        e, log_det = self.bijection(value)
        return self.noise.log_prob(e) + log_det

    def expand(self, batch_shape: Any, _instance: Any = None) -> Pulled:
        """Repeat it over a larger batch shape."""
        return Pulled(self.noise.expand(torch.Size(batch_shape)), self.bijection)


class Pushed(Distribution):
    """z = loc + scale * f(e; loc, scale): a sample and its log-density take one pass.

    At any other z the density is exact too, by the inverse, which takes a pass for each latent.
    loc, scale: ``(B, Z)``.
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, bijection: Bijection) -> None:
        self.loc, self.scale, self.bijection = loc, scale, bijection
        self.context = torch.cat((loc, scale), -1)
        zeros = torch.zeros_like(loc)
        self.noise = genlab.diagonal_normal(zeros, zeros)
        self._drawn: tuple[Tensor, Tensor] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draw z ``(*sample_shape, *batch, Z)``, through which gradients flow."""
        e = self.noise.rsample(sample_shape)
        u, log_det = self.bijection(e, self.context)
        z = torch.addcmul(self.loc, self.scale, u)
        self._drawn = z, self._density(e, log_det)
        return z

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats at z ``(..., Z)``: ``(...,)``."""
        # Of the last sample it is known, as torch's transformations know theirs (cache_size=1): the same value and
        # the same gradient as by the inverse, in none of the time. What sample() drew has no gradient to give.
        if self._drawn is not None and value is self._drawn[0]:
            known = self._drawn[1]
            if known.requires_grad or not torch.is_grad_enabled():
                return known
        e = self.bijection.inverse((value - self.loc) / self.scale, self.context)
        return self._density(e, self.bijection(e, self.context)[1])

    @property
    def mean(self) -> Tensor:
        """The mean ``(*batch, Z)``, which has no closed form: a quasi-Monte Carlo estimate, always of the same e.

        Its error is some hundredths of the standard deviation.
        """
        total = torch.zeros_like(self.loc)
        for e in _spread(self.loc.shape[-1]).to(self.loc).split(AT_ONCE):
            e = e.view(len(e), *[1] * (self.loc.ndim - 1), -1).expand(len(e), *self.loc.shape)
            total = total + self.bijection(e, self.context)[0].sum(0)
        return torch.addcmul(self.loc, self.scale, total / POINTS)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Pushed:
        """Repeat it over a larger batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return Pushed(self.loc.expand(shape), self.scale.expand(shape), self.bijection)

    def _density(self, e: Tensor, log_det: Tensor) -> Tensor:
        return self.noise.log_prob(e) - log_det - self.scale.log().sum(-1)


@cache
def _spread(latent: int) -> Tensor:
    """Points ``(POINTS, Z)`` that lie as N(0, I) does, more evenly than random ones (Sobol 1967; Owen 1998)."""
    uniform = SobolEngine(latent, scramble=True, seed=0).draw(POINTS, dtype=torch.float64)
    return torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)).float()
