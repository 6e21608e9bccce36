"""Closed forms, computed by hand in float64."""

from __future__ import annotations

import math

import torch

from genlab import LatentModel, diagonal_normal
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genlab.parts.priors import StandardNormal


def a_model(latent: int = 3) -> LatentModel:
    return LatentModel(
        MLPEncoder((1, 2, 2), latent),
        MLPDecoder(latent, (1, 2, 2)),
        StandardNormal(latent),
        BernoulliLikelihood((1, 2, 2)),
        x_shape=(1, 2, 2),
        latent=latent,
    )


def test_kl_of_diagonal_normals_is_the_closed_form() -> None:
    """KL(N(m, s^2) || N(0, 1)) = (m^2 + s^2 - 1 - log s^2) / 2 a dimension: Kingma & Welling 2014, app. B."""
    mean, log_var = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 0.0]]), torch.tensor([[0.1, -2.0, 1.0], [0.0] * 3])
    model = a_model()
    q = diagonal_normal(mean, log_var)
    expected = [
        sum((m * m + math.exp(v) - 1 - v) / 2 for m, v in zip(ms, vs, strict=True))
        for ms, vs in zip(mean.tolist(), log_var.tolist(), strict=True)
    ]
    assert model.analytic_kl
    torch.testing.assert_close(model.kl(q, q.sample()), torch.tensor(expected))


def test_diagonal_normal_computes_in_float32_whatever_it_is_given() -> None:
    q = diagonal_normal(torch.zeros(2, 3, dtype=torch.bfloat16), torch.zeros(2, 3, dtype=torch.bfloat16))
    assert q.mean.dtype == q.rsample().dtype == torch.float32


def test_bernoulli_log_prob_is_the_cross_entropy_grey_pixels_included() -> None:
    logits = torch.tensor([[[[0.0, 2.0], [-3.0, 50.0]]]])
    x = torch.tensor([[[[1.0, 0.25], [0.5, 1.0]]]])
    p = [1 / (1 + math.exp(-value)) for value in (0.0, 2.0, -3.0)]
    expected = (
        math.log(p[0])
        + 0.25 * math.log(p[1])
        + 0.75 * math.log(1 - p[1])
        + 0.5 * math.log(p[2])
        + 0.5 * math.log(1 - p[2])
        - math.exp(-50)
    )
    found = BernoulliLikelihood((1, 2, 2))(logits).log_prob(x)
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_gaussian_log_prob_is_the_closed_form() -> None:
    likelihood = GaussianLikelihood((2,), std=0.5)
    found = likelihood(torch.tensor([[1.0, -1.0]])).log_prob(torch.tensor([[0.0, 0.0]]))
    expected = 2 * (-0.5 * (1 / 0.5) ** 2 - math.log(0.5) - 0.5 * math.log(2 * math.pi))
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_prior_has_no_weights_to_save_and_follows_the_model() -> None:
    prior = StandardNormal(2)
    assert prior.state_dict() == {}
    assert prior.to(torch.float64)().mean.dtype == torch.float64
