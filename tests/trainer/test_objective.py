"""What a recipe's ``objective:`` promises: the warm-up of its KL term, and free bits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal
from torch.nn import Parameter

import genlab
from genlab import Encoder, LatentModel, Prior, Terms
from genlab.parts.objectives import ELBO
from genlab.train.callbacks import Callback
from genlab.train.options import TrainOptions
from tests.test_distributions import a_model
from tests.test_train import Scripted, train


def weight_of(terms: Terms) -> float:
    """The weight of the KL term in a loss."""
    return ((terms.loss - terms.logs["nll"]) / terms.logs["kl"]).item()


@pytest.mark.parametrize("beta", [1.0, 4.0, 3])
def test_the_weight_of_the_kl_term_rises_linearly_and_evaluations_use_its_final_value(beta: float) -> None:
    model, x = a_model(), torch.rand(64, 1, 2, 2)
    objective = ELBO(beta=beta, warmup_steps=4)
    for step, share in ((0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (400, 1.0)):
        objective.at_step(step)
        assert objective.train().weight.item() == share * beta
        assert weight_of(objective(model, x)) == pytest.approx(share * beta, abs=1e-3)
        assert weight_of(objective.eval()(model, x)) == pytest.approx(beta, abs=1e-3)


def test_the_weight_is_filled_where_it_lies() -> None:
    objective = ELBO(warmup_steps=4)
    weight, address = objective.weight, objective.weight.data_ptr()
    objective.at_step(3)
    assert objective.weight is weight
    assert objective.weight.data_ptr() == address
    assert weight.item() == 0.75


def test_without_a_warm_up_the_weight_is_beta_at_once() -> None:
    objective = ELBO(beta=4.0).train()
    objective.at_step(0)
    assert weight_of(objective(a_model(), torch.rand(64, 1, 2, 2))) == pytest.approx(4.0, abs=1e-3)


def test_training_tells_the_objective_of_every_step() -> None:
    class Weights(Callback):
        def __init__(self) -> None:
            self.found: list[float] = []

        def on_step(self, epoch: int, step: int, terms: Terms, examples: int) -> None:
            self.found.append(weight_of(terms))

    weights = Weights()
    train(Scripted(1, 2), TrainOptions(epochs=2), objective=ELBO(beta=2.0, warmup_steps=4), callbacks=[weights])
    assert weights.found == pytest.approx([0, 0.5, 1, 1.5, 2, 2], abs=1e-3)


class SameForAll(Encoder):
    """A posterior that does not look at x: its mean and log-variance are parameters."""

    def __init__(self, mean: Tensor, build: Callable[[Tensor], Distribution]) -> None:
        super().__init__()
        self.mean, self.build = Parameter(mean), build

    def forward(self, x: Tensor) -> Distribution:
        return self.build(self.mean.expand(len(x), -1))


def unit_normal(mean: Tensor) -> Distribution:
    return genlab.diagonal_normal(mean, torch.zeros_like(mean))


def torchs_normal(mean: Tensor) -> Distribution:
    return Independent(Normal(mean, torch.ones_like(mean), validate_args=False), 1, validate_args=False)


def correlated(mean: Tensor) -> Distribution:
    return MultivariateNormal(mean, scale_tril=torch.eye(mean.shape[-1]), validate_args=False)


def wrapped(mean: Tensor) -> Distribution:
    return Independent(correlated(mean), 0, validate_args=False)


class Fixed(Prior):
    """One distribution around zero."""

    def __init__(self, latent: int, build: Callable[[Tensor], Distribution]) -> None:
        super().__init__()
        self.latent, self.build = latent, build

    def forward(self) -> Distribution:
        return self.build(torch.zeros(self.latent))


MEAN = (3.0, 0.2, 0.0)  # of unit normals, whose KL from the prior is then 4.5, 0.02 and 0: half the squares


def with_posterior(
    build: Callable[[Tensor], Distribution], prior: Callable[[Tensor], Distribution] | None = None
) -> LatentModel:
    like = a_model()
    return LatentModel(
        SameForAll(torch.tensor(MEAN), build),
        like.decoder,
        Fixed(3, prior) if prior else like.prior,
        like.likelihood,
        x_shape=(1, 2, 2),
        latent=3,
    )


def gradients(model: LatentModel, value: Tensor) -> list[float]:
    (found,) = torch.autograd.grad(value, [model.get_parameter("encoder.mean")], retain_graph=True)
    return found.tolist()


def test_a_latent_under_its_allowance_is_not_charged_for() -> None:
    model, x = with_posterior(unit_normal), torch.rand(16, 1, 2, 2)
    terms = ELBO(beta=2.0, free_bits=0.5).train()(model, x)
    assert terms.logs["kl"].item() == pytest.approx(4.52)
    assert terms.loss.item() == pytest.approx(terms.logs["nll"].item() + 2 * (4.5 + 0.5 + 0.5), rel=1e-6)
    assert gradients(model, terms.loss - terms.logs["nll"]) == pytest.approx([2 * 3.0, 0, 0], abs=1e-5)


def test_evaluations_charge_for_every_nat() -> None:
    model, x = with_posterior(unit_normal), torch.rand(16, 1, 2, 2)
    terms = ELBO(free_bits=0.5).eval()(model, x)
    assert terms.logs["kl"].item() == pytest.approx(4.52)
    assert terms.loss.item() == pytest.approx(terms.logs["nll"].item() + 4.52, rel=1e-6)


def test_the_allowance_is_of_the_mean_over_the_batch() -> None:
    """KL 0.5 and 0.02 of two examples: 0.26 on average, above an allowance of 0.2, so both are charged for."""
    model = a_model()
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.0, 0.0]])
    model.encoder.forward = lambda x: genlab.diagonal_normal(rows, torch.zeros(2, 3))  # type: ignore[method-assign]
    terms = ELBO(free_bits=0.2).train()(model, torch.rand(2, 1, 2, 2))
    assert (terms.loss - terms.logs["nll"]).item() == pytest.approx(0.26 + 0.2 + 0.2, abs=1e-5)


@pytest.mark.parametrize(
    ("build", "prior"), [(unit_normal, None), (torchs_normal, None), (torchs_normal, torchs_normal)]
)
def test_the_kl_of_diagonal_normals_comes_latent_by_latent(
    build: Callable[[Tensor], Distribution], prior: Callable[[Tensor], Distribution] | None
) -> None:
    model = with_posterior(build, prior)
    q = model.q(torch.rand(5, 1, 2, 2))
    z = q.rsample()
    each = model.kl_each(q, z)
    torch.testing.assert_close(each, torch.tensor([[4.5, 0.02, 0.0]]).expand(5, 3))
    torch.testing.assert_close(each.sum(1), model.kl(q, z))


@pytest.mark.parametrize(("build", "prior"), [(correlated, None), (correlated, correlated), (wrapped, wrapped)])
def test_a_posterior_that_does_not_factorise_has_one_kl_and_one_allowance(
    build: Callable[[Tensor], Distribution], prior: Callable[[Tensor], Distribution] | None
) -> None:
    model, x = with_posterior(build, prior), torch.rand(5, 1, 2, 2)
    q = model.q(x)
    z = q.rsample()
    torch.testing.assert_close(model.kl_each(q, z), model.kl(q, z)[:, None])
    terms = ELBO(free_bits=100.0).train()(model, x)
    assert (terms.loss - terms.logs["nll"]).item() == pytest.approx(3 * 100.0, rel=1e-5)
    assert gradients(model, terms.loss - terms.logs["nll"]) == pytest.approx([0, 0, 0], abs=1e-5)
