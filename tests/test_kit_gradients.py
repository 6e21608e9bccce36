"""What the kit finds in gradients, samples and parameters that are only half there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from genlab.distributions import DiagonalNormal
from genlab.parts.decoders import MLPDecoder
from genlab.parts.encoders import MLPEncoder
from genlab.parts.likelihoods import BernoulliLikelihood
from genlab.parts.priors import StandardNormal
from genlab.testing import Report, check_decoder, check_encoder, check_likelihood, check_prior


def failed(report: Report) -> list[str]:
    return [result.name for result in report.outcome("failed")]


class HalfGradient(DiagonalNormal):
    """Keeps the gradient of a sample from the standard deviation."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = super().rsample(sample_shape)
        return self.loc + (z - self.loc).detach()


class WrongSign(DiagonalNormal):
    """The gradient of a sample has the wrong sign."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = super().rsample(sample_shape)
        return 2 * z.detach() - z


class NoGradient(DiagonalNormal):
    """Its density has no gradient at all."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).detach()


def posterior(cls: type[DiagonalNormal]) -> type[MLPEncoder]:
    def forward(self: Any, x: Tensor) -> Distribution:
        return cls(*self.net(x).float().chunk(2, -1))

    return type("Posterior", (MLPEncoder,), {"__doc__": "Another posterior.", "forward": forward})


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (HalfGradient, "gradients_through_samples_are_right"),
        (WrongSign, "gradients_through_samples_are_right"),
        (NoGradient, "gradients_of_log_prob_are_right"),
    ],
)
def test_a_gradient_that_is_wrong_is_found(cls: type[DiagonalNormal], name: str) -> None:
    assert failed(check_encoder(posterior(cls), [(5,)], hidden=[8])) == [name]


def test_a_generator_that_the_part_keeps_is_found() -> None:
    class Keeps(MLPEncoder):
        """Draws from a generator that it was built with."""

        def __init__(self, x_shape: tuple[int, ...], latent: int) -> None:
            super().__init__(x_shape, latent, hidden=(8,))
            self.noise = torch.Generator().manual_seed(0)

        def forward(self, x: Tensor) -> Distribution:
            """Return q(z|x)."""
            mean, log_var = self.net(x).float().chunk(2, -1)
            return Drawn(mean, (log_var / 2).exp(), self.noise)

    class Drawn(Independent):
        def __init__(self, mean: Tensor, std: Tensor, generator: torch.Generator) -> None:
            self.generator = generator
            super().__init__(Normal(mean, std, validate_args=False), 1, validate_args=False)

        def rsample(self, sample_shape: Any = ()) -> Tensor:
            own = self.base_dist
            noise = torch.randn((*sample_shape, *own.loc.shape), generator=self.generator)
            return own.loc + own.scale * noise  # type: ignore[no-any-return]

    found = failed(check_encoder(Keeps, [(5,)]))
    assert "draws_follow_the_seed" in found


class Coupled(DiagonalNormal):
    """The density of three z is one for all of them."""

    def log_prob(self, value: Tensor) -> Tensor:
        found = super().log_prob(value)
        return found.mean().expand(found.shape) if value.shape[:-1] == (3,) else found


class Refuses(DiagonalNormal):
    """Takes one axis of samples, and no more."""

    def log_prob(self, value: Tensor) -> Tensor:
        if value.ndim > 2:
            raise ValueError("z (N, Z) is expected")
        return super().log_prob(value)


@pytest.mark.parametrize("cls", [Coupled, Refuses])
def test_a_prior_that_mixes_or_refuses_samples_is_found(cls: type[DiagonalNormal]) -> None:
    class Other(StandardNormal):
        """Another normal prior."""

        def forward(self) -> Distribution:
            """Return p(z)."""
            return cls(self.mean, self.log_var)

    assert failed(check_prior(Other)) == ["takes_any_sample_shape"]


class Half(BernoulliLikelihood):
    """Reads every other channel."""

    params: ClassVar[int] = 2

    def forward(self, h: Tensor) -> Distribution:
        """Return p(x|z)."""
        return super().forward(h[:, ::2])


def test_the_parameters_that_a_likelihood_does_not_read_are_named() -> None:
    (failure,) = check_likelihood(Half, [(2, 4, 4)]).outcome("failed")
    assert failure.name == "every_parameter_matters"
    assert "came: zeros in 1, 3" in failure.message


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (lambda z, training: z if training else 0 * z, "each of 3 latents in eval mode"),
        (lambda z, training: torch.cat((z[:, :1], 0 * z[:, 1:2], z[:, 2:]), 1), "no gradient of 1,"),
    ],
)
def test_a_decoder_that_does_not_read_all_latents_is_found(seen: Callable[..., Tensor], said: str) -> None:
    class Partial(MLPDecoder):
        """Reads some of its latents."""

        def forward(self, z: Tensor) -> Tensor:
            """Return h."""
            return super().forward(seen(z, self.training) if z.shape[1] == 3 else z)

    (failure,) = check_decoder(Partial, [(5,)], hidden=[8]).outcome("failed")
    assert failure.name == "every_latent_matters"
    assert said in failure.message
