"""Samples of several numbers against their density: no false alarms, and what one number hides is found."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Cauchy,
    ContinuousBernoulli,
    Distribution,
    Independent,
    Laplace,
    LogNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
)

from genlab.testing.checking import Failed
from genlab.testing.joint import DRAWN, Joint, check_joint

ONE, SOME = torch.ones(3), torch.tensor([0.0, 1.0, -2.0])
APART = torch.stack([SOME - 30, SOME, SOME + 30])
LEANING = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, -0.3], [0.0, -0.3, 1.0]])


def each(p: Distribution) -> Distribution:
    return Independent(p, 1, validate_args=False)


HONEST = {
    "normal": each(Normal(SOME, ONE)),
    "narrow": each(Normal(SOME, 1e-4 * ONE)),
    "Laplace": each(Laplace(SOME, ONE)),
    "Cauchy": each(Cauchy(SOME, ONE)),
    "Student": each(StudentT(0.5 * ONE)),
    "correlated": MultivariateNormal(SOME, LEANING),
    "three far modes": MixtureSameFamily(Categorical(ONE), each(Normal(APART, 0.1 * torch.ones(3, 3)))),
    "positive": each(LogNormal(SOME, ONE, validate_args=False)),
    "at two ends": each(Beta(0.5 * ONE, 0.5 * ONE, validate_args=False)),
    "continuous Bernoulli": each(ContinuousBernoulli(logits=SOME, validate_args=False)),
    "Bernoulli": each(Bernoulli(logits=SOME)),
    "256 levels": each(Categorical(logits=torch.sin(torch.arange(3 * 256.0)).view(3, 256))),
    "bytes": each(Binomial(255, 0.3 * ONE)),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("p", HONEST.values(), ids=HONEST.keys())
def test_what_is_drawn_from_its_own_density_passes(p: Distribution) -> None:
    check_joint(Joint(p.log_prob, p.sample((DRAWN,))), "latent", "")


@pytest.mark.parametrize("p", HONEST.values(), ids=HONEST.keys())
def test_a_density_that_is_averaged_is_found(p: Distribution) -> None:
    with pytest.raises(Failed, match="over 3 latents it does not add up to 1"):
        check_joint(Joint(lambda z: p.log_prob(z) / 3, p.sample((DRAWN,))), "latent", "")


@pytest.mark.parametrize("name", ["normal", "Laplace", "Cauchy", "continuous Bernoulli", "Bernoulli", "bytes"])
def test_two_numbers_that_share_their_noise_are_found(name: str) -> None:
    p = HONEST[name]
    draws = p.sample((DRAWN,))
    rank = draws[:, 0].argsort().argsort()
    draws[:, 1] = draws[:, 1].sort().values[rank]  # the same shares of each, and one follows the other
    with pytest.raises(Failed, match="differ from it in how often latents 1 and 2 are both large or both small"):
        check_joint(Joint(p.log_prob, draws), "latent", "")
