"""The same mistakes in the other built-in parts of a kind, those of genlab-mnist's reference model among them.

Where a mistake is one of the first part's own, another stands for it here; where a check does not apply, a reason.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from genlab.distributions import DiagonalNormal
from genlab.parts.likelihoods import GaussianLikelihood
from genlab.parts.optimizers import SGD, Adam, AdamW
from genlab.parts.schedules import Constant, OneCycle, Plateau
from genlab.parts.searches import Grid
from genlab.space import Json
from genlab_mnist.conv import ConvDecoder, ConvEncoder
from tests.mutants import encoders
from tests.mutants.making import Mutant, altered, given
from tests.mutants.modules import common

Own = Mapping[str, "Mutant | str"]


def images(*args: Any) -> tuple[Any, ...]:
    if any(isinstance(each, tuple) and len(each) == 1 for each in args):
        raise IndexError("no height")
    return args


# -- encoder and decoder ---------------------------------------------------------------------------------------


def scaled(self: Any, own: Any, factor: Any, x: Tensor) -> Distribution:
    q = own(x)
    return DiagonalNormal(q.loc * factor, q.log_var)


def centred(self: Any, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    return DiagonalNormal(q.loc - q.loc.mean(0), q.log_var)


def point(self: Any, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    return DiagonalNormal(q.loc, q.log_var - 60)


def half(self: Any, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
    return encoders.Like(q.loc.to(dtype), q.log_var.to(dtype))


class Turned(DiagonalNormal):
    """Its samples are right, and their gradients have the wrong sign."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        z = super().rsample(sample_shape)
        return 2 * z.detach() - z


def copies(self: Any, own: Any, z: Tensor) -> Tensor:
    h: Tensor = own(z)
    rows = h.flatten(1)
    index = torch.arange(rows.shape[1], device=z.device).expand_as(rows)
    return z.new_zeros(rows.shape).scatter(1, index, rows).view(h.shape)


CONV_ENCODER: Own = common(ConvEncoder, scaled) | {
    "builds": given(ConvEncoder, "an IndexError where x is a vector", images),
    "any_latent_size": given(
        ConvEncoder, "three latents, whatever is asked for", lambda x_shape, latent: (x_shape, 3)
    ),
    "treats_each_example_alone": altered(ConvEncoder, "subtracts the batch's mean", forward=centred),
    "samples_vary": altered(ConvEncoder, "a standard deviation of zero", forward=point),
    "gradients_through_samples_are_right": altered(
        ConvEncoder, "gradients of the wrong sign", forward=encoders.as_(Turned)
    ),
    "bears_half_precision": altered(ConvEncoder, "a posterior in bf16", forward=half),
}
CONV_DECODER: Own = {
    "builds": given(ConvDecoder, "an IndexError where x is a vector", images),
    "any_latent_size": given(
        ConvDecoder, "three latents, whatever is asked for", lambda latent, shape: (3, shape)
    ),
    "bears_half_precision": altered(ConvDecoder, "copies bf16 into float32", forward=copies),
}


# -- likelihood ------------------------------------------------------------------------------------------------


class PerElement(Independent[Normal]):
    """Leaves its log-probability unsummed."""

    def log_prob(self, value: Tensor) -> Tensor:
        return self.base_dist.log_prob(value)


class Shifted(Independent[Normal]):
    """Says a mean that is not its samples'."""

    @property
    def mean(self) -> Tensor:
        return self.base_dist.loc + self.base_dist.scale


class Cut(Independent[Normal]):
    """Keeps the gradient from its means."""

    def log_prob(self, value: Tensor) -> Tensor:
        still = Normal(self.base_dist.loc.detach(), self.base_dist.scale, validate_args=False)
        return Independent(still, self.reinterpreted_batch_ndims, validate_args=False).log_prob(value)


class Naive(Independent[Normal]):
    """Takes logarithms of densities."""

    def log_prob(self, value: Tensor) -> Tensor:
        return self.base_dist.log_prob(value).exp().log().flatten(1).sum(1)


class Unnormalised(Independent[Normal]):
    """Adds a constant to its log-density."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 1


class Wide(Independent[Normal]):
    """Draws with twice the standard deviation that it says."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return 2 * super().sample(sample_shape) - self.base_dist.loc


class OwnNoise(Independent[Normal]):
    """Draws from a generator of its own."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        loc = self.base_dist.loc
        noise = torch.randn((*sample_shape, *loc.shape), generator=torch.Generator().manual_seed(0))
        return loc + self.base_dist.scale * noise.to(loc.device)


class Averaged(Independent[Normal]):
    """Takes the mean over x where a sum belongs."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) / value[0].numel()


def gaussian(cls: type[Independent[Normal]], mistake: str) -> Mutant:
    def forward(self: Any, own: Any, h: Tensor) -> Distribution:
        p = own(h)
        return cls(p.base_dist, p.reinterpreted_batch_ndims, validate_args=False)

    return altered(GaussianLikelihood, mistake, forward=forward)


GAUSSIAN: Own = {
    "builds": given(GaussianLikelihood, "an IndexError where x is a vector", images),
    "can_be_sampled": gaussian(PerElement, "does not sum over x"),
    "mean_is_what_samples_say": gaussian(Shifted, "a mean of its own"),
    "gradients_reach_the_decoder": gaussian(Cut, "detaches h"),
    "bears_a_confident_decoder": gaussian(Naive, "logarithms of densities"),
    "probabilities_add_up_to_one": gaussian(Unnormalised, "densities e times too high"),
    "draws_follow_the_seed": gaussian(OwnNoise, "a generator of its own"),
    "samples_follow_the_density": gaussian(Wide, "samples twice as wide as the density"),
    "elements_follow_the_density_jointly": gaussian(Averaged, "a log-density averaged over x"),
}


# -- search ----------------------------------------------------------------------------------------------------


def beside(self: Any, own: Any) -> Mapping[str, Json] | None:
    values = own()
    return values and {key: 9.0 if value in (0.5, 1.5) else value for key, value in values.items()}


def shuffles(self: Any) -> None:
    rest = list(self._rest)
    random.SystemRandom().shuffle(rest)
    self._rest = iter(rest)


GRID: Own = {
    "chooses_from_the_space": altered(Grid, "a value that is not listed", ask=beside),
    "repeats_itself_under_a_seed": altered(Grid, "shuffles by a source of its own", init=shuffles),
    "bears_being_told_again": "a grid is told nothing",
}

PARTS: tuple[tuple[str, type, Own, dict[str, Any]], ...] = (
    ("encoder", ConvEncoder, CONV_ENCODER, {"channels": [4], "hidden": 8}),
    ("decoder", ConvDecoder, CONV_DECODER, {"channels": [4]}),
    ("likelihood", GaussianLikelihood, GAUSSIAN, {}),
    ("optimizer", SGD, {}, {}),
    ("optimizer", Adam, {}, {}),
    ("optimizer", AdamW, {}, {}),
    ("schedule", Constant, {}, {}),
    ("schedule", OneCycle, {}, {}),
    ("schedule", Plateau, {}, {}),
    ("search", Grid, GRID, {}),
)
"""Kind, part, mistakes of its own, options that make it small."""
