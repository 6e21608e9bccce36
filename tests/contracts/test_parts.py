"""What every registered part promises, whoever registered it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from genlab import Encoder, Likelihood
from genlab.contract import check_fit, decoder_out_shape
from genlab.distributions import diagonal_normal
from genlab.errors import PartError
from genlab.model import LatentModel
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood, GaussianLikelihood
from genlab.parts.priors import StandardNormal
from genlab.plugins import installed
from genlab.registry import KINDS
from genlab.testing import SUITES
from genlab.testing.checking import BoundCheck

PARTS = [part for part in installed().registry.parts() if not part.nested]
WITH_OPTIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("decoder", "mlp", {"hidden": []}),
    ("likelihood", "gaussian", {"std": 0.3, "learn_std": True}),
    ("objective", "elbo", {"beta": 4.0, "warmup_steps": 10}),
    ("objective", "elbo", {"free_bits": 0.5}),
    ("optimizer", "adam", {"lr": 0.1, "weight_decay": 0.1}),
    ("optimizer", "sgd", {"momentum": 0.9, "nesterov": True}),
    ("schedule", "cosine", {"warmup_steps": 5, "final": 0.1}),
]


def conformance() -> dict[str, BoundCheck]:
    """Every check of the kit for every registered part, with its defaults and some with other options."""
    found = {}
    defaults: list[tuple[str, str, dict[str, Any]]] = [(part.kind, part.name, {}) for part in PARTS]
    for kind, name, options in defaults + WITH_OPTIONS:
        said = "".join(f",{option}={value}" for option, value in options.items())
        for check in SUITES[kind].each(installed().registry.get(kind, name).cls, **options):
            found[f"{kind}:{name}{said}-{check}"] = check
    return found


CONFORMANCE = conformance()


@pytest.mark.parametrize("check", CONFORMANCE.values(), ids=CONFORMANCE.keys())
def test_a_registered_part_does_what_its_interface_promises(check: BoundCheck) -> None:
    check()


def test_every_kind_of_part_has_its_checks() -> None:
    assert {*KINDS, "command"} == set(SUITES)
    assert {part.kind for part in PARTS} == set(KINDS)


# -- numbers of the built-in parts -----------------------------------------------------------------------------


def test_the_kl_of_normals_is_that_of_kingma_and_welling() -> None:
    """Appendix B of "Auto-Encoding Variational Bayes": -KL = 1/2 sum(1 + log s^2 - m^2 - s^2)."""
    torch.manual_seed(0)
    mean, log_var = 3 * torch.randn(50, 4), torch.randn(50, 4)
    found = kl_divergence(diagonal_normal(mean, log_var), StandardNormal(4)())
    m, v = mean.double(), log_var.double()
    wanted = -0.5 * (1 + v - m**2 - v.exp()).sum(1)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_the_probabilities_of_all_binary_images_of_two_pixels_sum_to_one() -> None:
    images = torch.cartesian_prod(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
    p = BernoulliLikelihood((2,))(torch.tensor([[0.3, -1.7]]))
    assert p.log_prob(images).exp().sum().item() == pytest.approx(1, abs=1e-6)
    wanted = math.log(1 / (1 + math.exp(-0.3))) + math.log(1 - 1 / (1 + math.exp(1.7)))  # x = (1, 0)
    assert p.log_prob(torch.tensor([[1.0, 0.0]])).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("std", [0.1, 1.0, 2.5])
@pytest.mark.parametrize("learn_std", [False, True])
def test_the_gaussian_likelihood_integrates_to_one(std: float, learn_std: bool) -> None:
    p = GaussianLikelihood((1,), std=std, learn_std=learn_std)(torch.tensor([[0.7]]))
    x = torch.linspace(0.7 - 12 * std, 0.7 + 12 * std, 20_001)
    density = p.log_prob(x[:, None]).double().exp()
    assert torch.trapezoid(density, x.double()).item() == pytest.approx(1, abs=1e-4)
    wanted = -0.5 * (0.3 / std) ** 2 - math.log(std) - 0.5 * math.log(2 * math.pi)
    assert p.log_prob(torch.tensor([[1.0]])).item() == pytest.approx(wanted, rel=1e-5)


def test_a_learned_standard_deviation_goes_to_that_of_the_residuals() -> None:
    likelihood = GaussianLikelihood((1,), std=1.0, learn_std=True)
    x = torch.tensor([[0.3], [-0.3]])
    with torch.no_grad():
        likelihood.log_std.fill_(math.log(0.3))
    loss = -likelihood(torch.zeros(2, 1)).log_prob(x).mean()
    (gradient,) = torch.autograd.grad(loss, likelihood.log_std)
    assert gradient.item() == pytest.approx(0, abs=1e-5)


# -- do parts fit together -------------------------------------------------------------------------------------


def small_model() -> LatentModel:
    torch.manual_seed(0)
    likelihood = BernoulliLikelihood((1, 4, 4))
    encoder, decoder = MLPEncoder((1, 4, 4), 3, hidden=(8,)), MLPDecoder(3, (1, 4, 4), hidden=(8,))
    return LatentModel(encoder, decoder, StandardNormal(3), likelihood, x_shape=(1, 4, 4), latent=3)


class Normals(Encoder):
    """An encoder that returns what it is told to for B examples."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        super().__init__()
        self.make = make
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        return self.make(len(x))


class Wrong(nn.Module):
    """A module that returns whatever it is told to."""

    params = 1

    def __init__(self, make: Callable[..., Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, *given: Any) -> Any:
        return self.make(*given)


def normal(*shape: int, event: int = 1) -> Distribution:
    return Independent(Normal(torch.zeros(shape), torch.ones(shape)), event)


def fail(*_: Any) -> Any:
    raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def unfit(**parts: Any) -> str:
    model = small_model()
    model.train()
    for name, part in parts.items():
        setattr(model, name, part)
    state = torch.get_rng_state()
    with pytest.raises(PartError) as caught:
        check_fit(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    return str(caught.value)


def test_parts_that_fit_leave_random_state_and_mode_alone() -> None:
    model = small_model().train()
    state = torch.get_rng_state()
    assert check_fit(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_posterior_without_closed_form_kl_is_told_apart() -> None:
    model = small_model()
    model.encoder = Normals(lambda b: Independent(torch.distributions.StudentT(torch.full((b, 3), 4.0)), 1))
    assert check_fit(model) is False


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda b: torch.zeros(b, 3), "encoder Normals returns Tensor; a torch.distributions.Distribution is "
         "expected"),
        (lambda b: None, "encoder Normals returns NoneType; a torch.distributions.Distribution is expected"),
        (lambda b: normal(b, 5), "batch shape (2,) and event shape (5,); batch (2,) and event (3,) are "
         "expected: the "
         "recipe's latent size is 3"),
        (lambda b: normal(b, 3, event=0), "batch shape (2, 3) and event shape (); batch (2,) and event (3,)"),
        (lambda b: Independent(torch.distributions.Bernoulli(torch.full((b, 3), 0.5)), 1),
         "encoder Normals returns Independent, which has no rsample; gradients could not reach its parameters"),
        (fail, "encoder Normals fails on x of shape (2, 1, 4, 4): RuntimeError: mat1 and mat2"),
    ],
)  # fmt: skip
def test_an_encoder_that_does_not_fit(make: Callable[[int], Any], said: str) -> None:
    assert said in unfit(encoder=Normals(make))


def test_an_encoder_without_forward_is_named() -> None:
    class Bare(nn.Module):
        pass

    model = small_model()
    assert "encoder Bare fails on x of shape (2, 1, 4, 4): NotImplementedError" in unfit(encoder=Bare())
    assert check_fit(model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda z: torch.zeros(2, 16), "decoder Wrong returns shape (2, 16), but likelihood BernoulliLikelihood "
         "needs "
         "(2, 1, 4, 4) (1 per element of x (1, 4, 4))"),
        (lambda z: torch.zeros(2, 1, 4, 5), "decoder Wrong returns shape (2, 1, 4, 5), but likelihood Bernoulli"),
        (lambda z: (z,), "decoder Wrong returns tuple; a tensor is expected"),
        (fail, "decoder Wrong fails on z of shape (2, 3): RuntimeError: mat1 and mat2"),
    ],
)  # fmt: skip
def test_a_decoder_that_does_not_fit(make: Callable[..., Any], said: str) -> None:
    assert said in unfit(decoder=Wrong(make))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: normal(5), "prior Wrong returns a distribution of batch shape () and event shape (5,); batch "
         "() and "
         "event (3,) are expected: the recipe's latent size is 3"),
        (lambda: normal(1, 3), "prior Wrong returns a distribution of batch shape (1,) and event shape (3,)"),
        (lambda: torch.zeros(3), "prior Wrong returns Tensor"),
        (fail, "prior Wrong fails on nothing: RuntimeError"),
    ],
)  # fmt: skip
def test_a_prior_that_does_not_fit(make: Callable[..., Any], said: str) -> None:
    assert said in unfit(prior=Wrong(make))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda h: normal(2, 1, 4, 4, event=2), "likelihood Wrong returns a distribution of batch shape (2, 1) "
         "and "
         "event shape (4, 4); batch (2,) and event (1, 4, 4) are expected: the data's x_shape is (1, 4, 4)"),
        (lambda h: h, "likelihood Wrong returns Tensor"),
        (fail, "likelihood Wrong fails on h of shape (2, 1, 4, 4) from decoder MLPDecoder: RuntimeError"),
    ],
)  # fmt: skip
def test_a_likelihood_that_does_not_fit(make: Callable[..., Any], said: str) -> None:
    assert said in unfit(likelihood=Wrong(make))


@pytest.mark.parametrize("params", [None, 0, -1, 1.5, "2"])
def test_a_likelihood_must_say_how_many_parameters_it_needs(params: Any) -> None:
    likelihood = Wrong(lambda h: h)
    likelihood.params = params
    with pytest.raises(PartError, match=f"likelihood Wrong: params is {params!r}; the number of parameters per"):
        decoder_out_shape(cast(Likelihood, likelihood), (1, 4, 4))


def test_the_shape_a_decoder_must_fill_has_the_parameters_in_its_first_axis() -> None:
    likelihood = Wrong(lambda h: h)
    likelihood.params = 2
    assert decoder_out_shape(cast(Likelihood, likelihood), (3, 4, 5)) == (6, 4, 5)
    assert decoder_out_shape(BernoulliLikelihood, (7,)) == (7,)
