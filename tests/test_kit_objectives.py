"""The checks of objectives, on losses that are wrong in one way or another, and on others that are not."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from genlab import LatentModel, Objective, Terms, diagonal_normal
from genlab.testing import check_objective

Parts = tuple[Tensor, Tensor]


class Bound(Objective):
    """Minus the evidence lower bound."""

    names: tuple[str, ...] = ("nll", "kl")

    def parts(self, model: LatentModel, x: Tensor) -> Parts:
        """Return nll and KL ``(B,)``."""
        q = model.q(x)
        z = q.rsample()
        return -model.p(z).log_prob(x), model.kl(q, z)

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        """Return what is minimised of each example."""
        return nll + kl

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        """Return its mean."""
        nll, kl = self.parts(model, x)
        logs = {"nll": nll.mean(), "kl": kl.mean()}
        return Terms(self.loss(nll, kl).mean(), {name: logs[name] for name in self.names})


# -- wrong -----------------------------------------------------------------------------------------------------


class Sampled(Bound):
    """Draws z without a gradient."""

    def parts(self, model: LatentModel, x: Tensor) -> Parts:
        q = model.q(x)
        z = q.sample()
        return -model.p(z).log_prob(x), model.kl(q, z)


class Standard(Bound):
    """Takes every prior for N(0, I)."""

    def parts(self, model: LatentModel, x: Tensor) -> Parts:
        q = model.q(x)
        return -model.p(q.rsample()).log_prob(x), kl_divergence(q, diagonal_normal(0 * q.mean, 0 * q.mean))


class Mute(Standard):
    """Takes every prior for N(0, I), and logs nothing."""

    names = ()


class FreeInTraining(Bound):
    """Does not charge for the KL in training."""

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll + (0 if self.training else 1) * kl


class AwayInTraining(Bound):
    """Seeks a high KL in training."""

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll + (-1 if self.training else 1) * kl


class Subtracted(Bound):
    """Subtracts the KL, and logs nothing."""

    names = ()

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll - kl


class Maximised(Bound):
    """Minimises the bound, and logs nothing."""

    names = ()

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return -nll - kl


class PerElement(Bound):
    """Divides the nll, but not the KL, by the number of elements of x."""

    def parts(self, model: LatentModel, x: Tensor) -> Parts:
        self.elements = x[0].numel()
        return super().parts(model, x)

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll / self.elements + kl


@pytest.mark.parametrize(
    ("cls", "failed"),
    [
        (Sampled, ["nll_reaches_the_encoder"]),
        (Standard, ["logs_are_what_their_names_say", "rises_with_nll_and_kl"]),
        (Mute, ["rises_with_nll_and_kl"]),
        (FreeInTraining, ["rises_with_nll_and_kl"]),
        (AwayInTraining, ["rises_with_nll_and_kl"]),
        (Subtracted, ["rises_with_nll_and_kl"]),
        (Maximised, ["rises_with_nll_and_kl"]),
        (PerElement, ["is_in_nats"]),
    ],
)
def test_a_loss_that_is_not_minus_a_bound_is_found(cls: type, failed: list[str]) -> None:
    assert [result.name for result in check_objective(cls).outcome("failed")] == failed


# -- right -----------------------------------------------------------------------------------------------------


class Weighted(Objective):
    """The importance-weighted bound (Burda et al. 2016)."""

    def forward(self, model: LatentModel, x: Tensor) -> Terms:
        """Return it with five samples."""
        q, p = model.q(x), model.prior()
        zs = q.rsample(torch.Size((5,)))
        nll = torch.stack([-model.p(z).log_prob(x) for z in zs])
        kl = q.log_prob(zs) - p.log_prob(zs)
        return Terms(math.log(5) - (-nll - kl).logsumexp(0).mean(), {"nll": nll.mean(), "kl": kl.mean()})


class Landing(Bound):
    """Sticks the landing: log q without the gradient of its parameters (Roeder et al. 2017)."""

    def parts(self, model: LatentModel, x: Tensor) -> Parts:
        q = model.q(x)
        z = q.rsample()
        still = diagonal_normal(q.mean.detach(), q.variance.log().detach())
        return -model.p(z).log_prob(x), still.log_prob(z) - model.prior().log_prob(z)


class Capacity(Bound):
    """Draws the KL to 25 nats (Burgess et al. 2018)."""

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll + 10 * (kl - 25).abs()


class TotalCorrelation(Bound):
    """Charges for the dependence between latents as well (Chen et al. 2018), over the batch."""

    def parts(self, model: LatentModel, x: Tensor) -> Parts:
        q = model.q(x)
        z, (b, n) = q.rsample(), q.mean.shape
        each = diagonal_normal(q.mean.expand(b, b, n), q.variance.log().expand(b, b, n)).log_prob(z[:, None])
        self.dependence = q.log_prob(z) - each.logsumexp(1) + math.log(b)
        return -model.p(z).log_prob(x), model.kl(q, z)

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll + kl + self.dependence


class Cycled(Bound):
    """A weight that rises from 0 again and again (Fu et al. 2019)."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(()))

    def at_step(self, step: int) -> None:
        """Set the weight: at every thousandth step it is 0."""
        self.weight.fill_(min(1.0, (step % 1000) / 500))

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll + (self.weight if self.training else 1.0) * kl


class Drawn(Bound):
    """Nothing but the nll, and no log of a KL that it does not charge for."""

    names = ("nll",)

    def loss(self, nll: Tensor, kl: Tensor) -> Tensor:
        return nll + 0.0 * kl


@pytest.mark.parametrize("cls", [Weighted, Landing, Capacity, TotalCorrelation, Cycled, Drawn])
def test_other_losses_pass(cls: type) -> None:
    check_objective(cls).raise_if_failed()


@pytest.mark.parametrize("options", [{"beta": 0.1}, {"free_bits": 2.0}, {"warmup_steps": 1000}])
def test_so_does_the_elbo_with_every_option(options: dict[str, Any]) -> None:
    from genlab.parts.objectives import ELBO

    check_objective(ELBO, **options).raise_if_failed()
