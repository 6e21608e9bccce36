"""Right parts of every support pass the kit: bounded and positive values, values that can be counted, shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    Dirichlet,
    Distribution,
    Gamma,
    Independent,
    Kumaraswamy,
    LogNormal,
    OneHotCategorical,
    RelaxedBernoulli,
    StudentT,
    Uniform,
)
from torch.nn.functional import softplus

from genlab import Encoder, Likelihood, Prior, diagonal_normal
from genlab.parts.encoders import MLPEncoder
from genlab.testing import Report, check_encoder, check_likelihood, check_prior

Two = Callable[[Tensor, Tensor], Distribution]
OFF: dict[str, Any] = {"validate_args": False}


def positive(x: Tensor) -> Tensor:
    return softplus(x) + 0.01


def each(p: Distribution, dims: int = 1) -> Distribution:
    return Independent(p, dims, validate_args=False)


def failed(report: Report) -> list[str]:
    return [result.name for result in report.outcome("failed")]


def skipped(report: Report) -> list[str]:
    return [result.name for result in report.outcome("skipped")]


POSTERIORS: dict[str, Two] = {
    "log-normal": lambda a, b: LogNormal(a, positive(b), **OFF),
    "gamma": lambda a, b: Gamma(positive(a), positive(b), **OFF),
    "beta": lambda a, b: Beta(positive(a), positive(b), **OFF),
    "Kumaraswamy": lambda a, b: Kumaraswamy(1 + positive(a), 1 + positive(b), **OFF),
    "Student": lambda a, b: StudentT(torch.full_like(a, 3.0), a, positive(b), **OFF),
    "uniform": lambda a, b: Uniform(a - positive(b), a + positive(b), **OFF),
}


@pytest.mark.parametrize("name", POSTERIORS)
def test_a_posterior_may_be_bounded(name: str) -> None:
    class Posterior(MLPEncoder):
        """Another posterior than a normal one."""

        def forward(self, x: Tensor) -> Distribution:
            """Return q(z|x)."""
            return each(POSTERIORS[name](*self.net(x).float().chunk(2, -1)))

    found = check_encoder(Posterior, [(5,)], hidden=[8])
    assert failed(found) == []
    assert set(skipped(found)) <= {"kl_is_what_samples_say", "moves_to_another_device"}


def test_the_density_of_a_posterior_without_a_known_mean_is_found_right() -> None:
    class Concrete(MLPEncoder):
        """Relaxed bits (Maddison et al. 2017)."""

        def forward(self, x: Tensor) -> Distribution:
            """Return q(z|x)."""
            a, b = self.net(x).float().chunk(2, -1)
            return each(RelaxedBernoulli(torch.tensor(0.5), logits=a + b, **OFF))

    assert failed(check_encoder(Concrete, [(5,)], hidden=[8])) == ["has_a_mean"]


def test_a_posterior_that_validates_fails_for_that_alone() -> None:
    class Validates(MLPEncoder):
        """A log-normal posterior that looks at what it is given."""

        def forward(self, x: Tensor) -> Distribution:
            """Return q(z|x)."""
            a, b = self.net(x).float().chunk(2, -1)
            return Independent(LogNormal(a, positive(b), validate_args=True), 1, validate_args=True)

    assert failed(check_encoder(Validates, [(5,)], hidden=[8])) == ["does_not_make_the_host_wait"]


PRIORS: dict[str, Callable[[Tensor], Distribution]] = {
    "beta": lambda a: each(Beta(2 * a, a, **OFF)),
    "at two ends": lambda a: each(Beta(0.5 * a, 0.5 * a, **OFF)),
    "gamma": lambda a: each(Gamma(2 * a, a, **OFF)),
    "uniform": lambda a: each(Uniform(-3 * a, 3 * a, **OFF)),
    "Bernoulli": lambda a: each(Bernoulli(logits=a - 1, **OFF)),
    "one-hot": lambda a: OneHotCategorical(logits=a, **OFF),
}


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_may_be_bounded_or_discrete(name: str) -> None:
    class Other(Prior):
        """Another prior than a normal one."""

        one: Tensor

        def __init__(self, latent: int) -> None:
            super().__init__()
            self.register_buffer("one", torch.ones(latent), persistent=False)

        def forward(self) -> Distribution:
            """Return p(z)."""
            return PRIORS[name](self.one)

    found = check_prior(Other)
    assert failed(found) == []
    assert set(skipped(found)) <= {
        "kl_is_what_samples_say",
        "moves_to_another_device",
        "gradients_of_log_prob_are_right",
    }


class Simplex(Prior):
    """Shares of one; refuses a single one."""

    one: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 2:
            raise ValueError("a simplex has two corners at least")
        self.register_buffer("one", torch.ones(latent), persistent=False)

    def forward(self) -> Distribution:
        """Return p(z)."""
        return Dirichlet(2 * self.one, **OFF)


class Pairs(Prior):
    """Pairs of latents; refuses odd numbers of them."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent % 2:
            raise ValueError("an even number of latents is expected")
        self.mean = nn.Parameter(torch.zeros(latent))

    def forward(self) -> Distribution:
        """Return p(z)."""
        return diagonal_normal(self.mean, 0 * self.mean)


class Refuses(Pairs):
    """Refuses whatever it is built for."""

    def __init__(self, latent: int) -> None:
        super().__init__(2 * latent + 1)


@pytest.mark.parametrize("cls", [Simplex, Pairs])
def test_a_prior_may_refuse_latent_sizes_and_its_others_are_checked(cls: type[Prior]) -> None:
    found = check_prior(cls)
    assert failed(found) == []
    assert "latents_follow_the_density_jointly" not in skipped(found)
    alone = [result.reason for result in found.outcome("skipped") if result.name == "density_integrates_to_one"]
    assert alone == ["it refuses a single latent, whose density could be added up"]


def test_a_prior_that_refuses_everything_is_told_what_was_tried() -> None:
    report = check_prior(Refuses)
    assert failed(report) == ["builds"]
    assert "or let it take one of the latent sizes 3, 1, 2, 8" in str(report)


class Levels(Distribution):
    """256 grey levels, a categorical each."""

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, logits: Tensor) -> None:
        self.levels = Categorical(logits=logits, validate_args=False)
        super().__init__(logits.shape[:1], logits.shape[1:-1], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return (self.levels.probs * torch.arange(256, device=self.levels.probs.device)).sum(-1) / 255

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.levels.sample(sample_shape) / 255

    def log_prob(self, value: Tensor) -> Tensor:
        return self.levels.log_prob((255 * value).round().long()).flatten(-len(self.event_shape)).sum(-1)


class LevelsLikelihood(Likelihood):
    """256 grey levels."""

    params: ClassVar[int] = 256

    def __init__(self, x_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = x_shape[0]

    def forward(self, h: Tensor) -> Distribution:
        """Return p(x|z)."""
        return Levels(h.unflatten(1, (256, self.channels)).movedim(1, -1))


class BoundedLikelihood(Likelihood):
    """Grey levels in (0, 1)."""

    params: ClassVar[int] = 2

    def __init__(self, x_shape: tuple[int, ...], *, beta: bool = True) -> None:
        super().__init__()
        self.dims, self.beta = len(x_shape), beta

    def forward(self, h: Tensor) -> Distribution:
        """Return p(x|z)."""
        a, b = h.chunk(2, 1)
        if self.beta:
            return each(Beta(1 + positive(a), 1 + positive(b), **OFF), self.dims)
        return each(ContinuousBernoulli(logits=(a + b).clamp(-15, 15), **OFF), self.dims)


@pytest.mark.parametrize(
    ("cls", "options"), [(LevelsLikelihood, {}), (BoundedLikelihood, {}), (BoundedLikelihood, {"beta": False})]
)
def test_a_likelihood_may_be_bounded_or_have_256_levels(cls: type[Likelihood], options: dict[str, Any]) -> None:
    assert failed(check_likelihood(cls, [(1, 4, 4)], **options)) == []


def test_encoders_are_told_which_shapes_are_tried() -> None:
    class Nothing(Encoder):
        """Refuses all."""

        def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
            raise ValueError("no")

        def forward(self, x: Tensor) -> Distribution:
            """Return nothing."""
            raise NotImplementedError

    assert "or say which shapes it takes: check_encoder(Nothing, [(3, 32, 32)])" in str(check_encoder(Nothing))
