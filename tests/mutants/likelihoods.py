"""Likelihoods with one mistake each."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.distributions import Bernoulli, Distribution
from torch.nn import functional as F

from genlab.distributions import BernoulliPixels
from genlab.parts.likelihoods import BernoulliLikelihood
from tests.mutants.making import Mutant, altered
from tests.mutants.modules import common

Shape = tuple[int, ...]


class Unannotated(BernoulliLikelihood):
    """An option without a type."""

    def __init__(self, x_shape: Shape, *, scale=1) -> None:  # type: ignore[no-untyped-def]
        super().__init__(x_shape)


class Doubling(BernoulliLikelihood):
    """An option that doubles each time it is read."""

    def __init__(self, x_shape: Shape, *, scale: Annotated[int, AfterValidator(lambda w: 2 * w)] = 8) -> None:
        super().__init__(x_shape)


class Misdescribed(BernoulliLikelihood):
    """An option whose schema refuses its default."""

    def __init__(
        self, x_shape: Shape, *, scale: Annotated[int, Field(json_schema_extra={"maximum": 4})] = 8
    ) -> None:
        super().__init__(x_shape)


class ImagesByAccident(BernoulliLikelihood):
    """Fails, rather than refuses, where x is a vector."""

    def __init__(self, x_shape: Shape) -> None:
        super().__init__(x_shape)
        self.height = x_shape[1]


class PerPixel(BernoulliPixels):
    """Leaves its log-probability unsummed."""

    def log_prob(self, value: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(self.logits, value, reduction="none")


class Unnormalised(BernoulliPixels):
    """Adds a constant to its log-probability."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 1


class Flipped(BernoulliPixels):
    """Draws the opposite."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return 1 - super().sample(sample_shape)


class Averaged(BernoulliPixels):
    """Takes the mean over x where a sum belongs."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) / value[0].numel()


class ModeForMean(BernoulliPixels):
    """Shows its mode as its mean."""

    @property
    def mean(self) -> Tensor:
        return (self.logits > 0).float()


class Naive(BernoulliPixels):
    """Takes logarithms of probabilities."""

    def log_prob(self, value: Tensor) -> Tensor:
        p = self.logits.sigmoid()
        return (value * p.log() + (1 - value) * (1 - p).log()).flatten(1).sum(1)


class OwnNoise(BernoulliPixels):
    """Draws from a generator of its own."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        noise = torch.rand((*sample_shape, *self.logits.shape), generator=torch.Generator().manual_seed(0))
        return (noise.to(self.logits.device) < self.logits.sigmoid()).float()


class Cut(BernoulliPixels):
    """Keeps the gradient from its logits."""

    def log_prob(self, value: Tensor) -> Tensor:
        return BernoulliPixels(self.logits.detach()).log_prob(value)


def as_(cls: type[BernoulliPixels]) -> Any:
    return lambda self, own, h: cls(own(h).logits)


def bend(self: Any, own: Any, factor: Any, h: Tensor) -> Distribution:
    p: Distribution = own(h * factor)
    return p


def squeezed(self: Any, own: Any, h: Tensor) -> Distribution:
    p: Distribution = own(h.squeeze(0)) if len(h) == 1 and h.ndim == 4 and h.numel() > 1 else own(h)
    return p


MUTANTS: dict[str, Mutant] = common(BernoulliLikelihood, bend) | {
    "registers": Mutant(Unannotated, "an option without a type"),
    "says_how_many_parameters_it_needs": altered(BernoulliLikelihood, "params is zero", params=0),
    "builds": Mutant(ImagesByAccident, "IndexError where x is a vector"),
    "forward": altered(BernoulliLikelihood, "returns probabilities", forward=lambda self, own, h: h.sigmoid()),
    "shapes": altered(
        BernoulliLikelihood,
        "forgets Independent",
        forward=lambda self, own, h: Bernoulli(logits=h, validate_args=False),
    ),
    "any_batch_size": altered(BernoulliLikelihood, "squeezes a batch of one away", forward=squeezed),
    "can_be_sampled": altered(BernoulliLikelihood, "does not sum over x", forward=as_(PerPixel)),
    "mean_is_what_samples_say": altered(BernoulliLikelihood, "the mode as its mean", forward=as_(ModeForMean)),
    "leaves_its_input_alone": altered(
        BernoulliLikelihood, "clamps h in place", forward=lambda self, own, h: own(h.clamp_(-0.5, 0.5))
    ),
    "treats_each_example_alone": altered(
        BernoulliLikelihood, "subtracts the batch's mean", forward=lambda self, own, h: own(h - h.mean(0))
    ),
    "gradients_reach_the_decoder": altered(BernoulliLikelihood, "detaches h", forward=as_(Cut)),
    "every_parameter_matters": altered(
        BernoulliLikelihood,
        "reads half of its parameters",
        params=2,
        forward=lambda self, own, h: own(h.chunk(2, 1)[0]),
    ),
    "draws_follow_the_seed": altered(BernoulliLikelihood, "a generator of its own", forward=as_(OwnNoise)),
    "bears_a_confident_decoder": altered(BernoulliLikelihood, "logarithms of probabilities", forward=as_(Naive)),
    "probabilities_add_up_to_one": altered(
        BernoulliLikelihood, "probabilities e times too high", forward=as_(Unnormalised)
    ),
    "samples_follow_the_density": altered(BernoulliLikelihood, "draws the opposite", forward=as_(Flipped)),
    "elements_follow_the_density_jointly": altered(
        BernoulliLikelihood, "a log-probability averaged over x", forward=as_(Averaged)
    ),
    "options_survive_a_recipe": Mutant(Doubling, "an option that doubles when it is read"),
    "schema_accepts_its_options": Mutant(Misdescribed, "a schema that refuses the default"),
}
