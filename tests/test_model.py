"""The methods that end users call on a model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from genlab import LatentModel, Prior
from genlab.evaluate import active_units
from genlab.interfaces import Decoder, Encoder
from genlab.parts.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genlab.parts.objectives import ELBO
from genlab.parts.priors import StandardNormal
from tests.test_distributions import a_model


def test_sample_is_repeatable_under_a_seed_and_leaves_the_random_state_alone() -> None:
    model = a_model()
    before = torch.get_rng_state()
    first, second, third = model.sample(5, seed=1), model.sample(5, seed=1), model.sample(5, seed=2)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert torch.equal(before, torch.get_rng_state())


def test_sample_shows_means_or_draws_pixels() -> None:
    model = a_model()
    mean, drawn = model.sample(200, seed=0), model.sample(200, seed=0, draw=True)
    assert mean.shape == drawn.shape == (200, 1, 2, 2)
    assert mean.dtype == torch.float32
    assert ((mean > 0) & (mean < 1)).all()
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(drawn.mean(), mean.mean(), atol=0.05, rtol=0)


def test_zero_examples_are_fine_everywhere() -> None:
    model = a_model()
    assert model.sample(0).shape == (0, 1, 2, 2)
    assert model.encode(torch.empty(0, 1, 2, 2)).shape == (0, 3)
    assert model.reconstruct(torch.empty(0, 1, 2, 2)).shape == (0, 1, 2, 2)
    assert model.log_prob(torch.empty(0, 1, 2, 2)).shape == (0,)


def test_more_examples_than_a_chunk_give_the_same_as_one_by_one() -> None:
    model = a_model()
    x = torch.rand(1203, 1, 2, 2)
    z = model.encode(x)
    assert z.shape == (1203, 3)
    torch.testing.assert_close(z[1200:1201], model.encode(x[1200:1201]))
    torch.testing.assert_close(model.reconstruct(x), model.decode(z))


def test_inference_keeps_training_mode_and_makes_no_graph() -> None:
    model = a_model().train()
    assert not model.sample(2).requires_grad
    assert model.training


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(torch.zeros(2, 3)), r"x has shape \(2, 3\); \(N, 1, 2, 2\) is expected"),
        (lambda m: m.decode(torch.zeros(2, 5)), r"z has shape \(2, 5\); \(N, 3\) is expected"),
        (lambda m: m.encode(torch.zeros(2, 1, 2, 2, dtype=torch.uint8)), r"x is torch.uint8.*x.float\(\) / 255"),
        (lambda m: m.encode([[0.0]]), "x is a list"),
        (lambda m: m.sample(-1), "cannot be negative"),
        (lambda m: m.log_prob(torch.zeros(2, 1, 2, 2), k=0), "at least one importance sample"),
    ],
)
def test_wrong_tensors_are_named(call: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call(a_model())  # type: ignore[operator]


class LinearEncoder(Encoder):
    """The exact posterior of the model x = z + noise, z ~ N(0, 1), noise ~ N(0, 1): N(x / 2, 1 / 2)."""

    def forward(self, x: Tensor) -> Distribution:
        return Independent(Normal(x / 2, torch.full_like(x, math.sqrt(0.5))), 1)


class Identity(Decoder):
    def __init__(self) -> None:
        super().__init__()
        self.zero = torch.nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        return z + self.zero


def linear_model(prior: Prior | None = None) -> LatentModel:
    return LatentModel(
        LinearEncoder(), Identity(), prior or StandardNormal(1), GaussianLikelihood((1,)), x_shape=(1,), latent=1
    )


@pytest.mark.parametrize("k", [1, 10])
def test_log_prob_is_exact_where_the_posterior_is(k: int) -> None:
    """With the exact posterior every importance weight is p(x) = N(x; 0, 2), whatever k is."""
    x = torch.tensor([[-1.0], [0.0], [3.0]])
    expected = Normal(0.0, math.sqrt(2)).log_prob(x)[:, 0]
    torch.testing.assert_close(linear_model().log_prob(x, k=k), expected)


def test_negative_elbo_is_the_marginal_where_the_posterior_is_exact() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 1) * math.sqrt(2)
    terms = ELBO()(linear_model(), x)
    expected = -Normal(0.0, math.sqrt(2)).log_prob(x).mean()
    torch.testing.assert_close(terms.loss, expected, atol=0.03, rtol=0)
    torch.testing.assert_close(terms.loss, terms.logs["nll"] + terms.logs["kl"])


def test_beta_weighs_the_kl_term_alone() -> None:
    x = torch.randn(8, 1)
    torch.manual_seed(0)
    one = ELBO()(linear_model(), x)
    torch.manual_seed(0)
    four = ELBO(beta=4.0)(linear_model(), x)
    assert torch.equal(one.logs["nll"], four.logs["nll"])
    torch.testing.assert_close(four.loss, one.logs["nll"] + 4 * one.logs["kl"])


class Laplace(Prior):
    """A prior whose KL with a normal torch does not know."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent))

    def forward(self) -> Distribution:
        return Independent(torch.distributions.StudentT(5.0, self.loc, 1.0), 1)


def test_kl_without_a_closed_form_is_estimated_without_bias() -> None:
    model = linear_model(Laplace(1))
    assert not model.analytic_kl
    q = model.q(torch.full((200_000, 1), 1.0))
    torch.manual_seed(0)
    estimate = model.kl(q, q.sample()).mean()
    grid = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    log_q = Normal(0.5, math.sqrt(0.5)).log_prob(grid)
    log_p = torch.distributions.StudentT(5.0).log_prob(grid)
    exact = torch.trapezoid(log_q.exp() * (log_q - log_p), grid)
    torch.testing.assert_close(estimate.double(), exact, atol=0.01, rtol=0)


def test_a_bernoulli_model_of_two_pixels_is_normalised() -> None:
    """log_prob with many samples sums to one over all binary images, up to the estimator's noise."""
    model = a_model()
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(16, 1, 2, 2)
    total = model.log_prob(images, k=4000).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0), atol=0.02, rtol=0)


def test_decoder_output_is_read_in_float32() -> None:
    class Half(Identity):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z).bfloat16()

    model = LatentModel(
        LinearEncoder(), Half(), StandardNormal(1), BernoulliLikelihood((1,)), x_shape=(1,), latent=1
    )
    assert model.p(torch.zeros(2, 1)).mean.dtype == torch.float32


def test_active_units_are_those_whose_means_vary_with_x() -> None:
    """Burda et al. 2016: variance over the data of the posterior mean above 0.01."""
    torch.manual_seed(0)
    means = torch.randn(5000, 3) * torch.tensor([1.0, 0.05, 0.2])  # variances 1, 0.0025, 0.04
    assert active_units(means + torch.tensor([0.0, 7.0, 0.0])) == 2
    assert active_units(torch.zeros(1, 3)) == 0
