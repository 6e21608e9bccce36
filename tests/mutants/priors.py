"""Priors with one mistake each."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.distributions import Distribution, Normal, register_kl

from genlab.distributions import DiagonalNormal, StandardDiagonalNormal
from genlab.parts.priors import StandardNormal
from tests.mutants.making import Mutant, altered
from tests.mutants.modules import common


class Unannotated(StandardNormal):
    """An option without a type."""

    def __init__(self, latent: int, *, scale=1) -> None:  # type: ignore[no-untyped-def]
        super().__init__(latent)


class Doubling(StandardNormal):
    """An option that doubles each time it is read."""

    def __init__(self, latent: int, *, scale: Annotated[int, AfterValidator(lambda w: 2 * w)] = 8) -> None:
        super().__init__(latent)


class Misdescribed(StandardNormal):
    """An option whose schema refuses its default."""

    def __init__(self, latent: int, *, scale: Annotated[int, Field(json_schema_extra={"maximum": 4})] = 8) -> None:
        super().__init__(latent)


class Even(StandardNormal):
    """Fails where the latent size is odd."""

    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        torch.zeros(latent).view(2, -1)


class ThreeLatents(StandardNormal):
    """A distribution of three latents, whatever is asked for."""

    def __init__(self, latent: int) -> None:
        super().__init__(3)


class OnePoint(StandardDiagonalNormal):
    """Draws one z and repeats it."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return super().sample().expand(*sample_shape, *self.event_shape)


class Unnormalised(StandardDiagonalNormal):
    """Leaves a constant out of its density."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 1


class Wide(StandardDiagonalNormal):
    """Draws with twice the standard deviation that it says."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return 2 * super().sample(sample_shape)


class OneNoise(StandardDiagonalNormal):
    """Draws one number for all latents."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return super().sample(sample_shape)[..., :1].expand(*sample_shape, *self.event_shape)


class Shifted(StandardDiagonalNormal):
    """Says a mean that is not its samples'."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.std


class Flat(StandardDiagonalNormal):
    """Has a density without a gradient in z."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.detach())


class Flattens(StandardDiagonalNormal):
    """Draws in one row what was asked for in several."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return super().sample(sample_shape).view(-1, *self.event_shape)


class OwnNoise(StandardDiagonalNormal):
    """Draws from a generator of its own."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        noise = torch.randn((*sample_shape, *self.loc.shape), generator=torch.Generator().manual_seed(0))
        return self.loc + self.std * noise.to(self.loc.device)


class NoKL(DiagonalNormal):
    """Has a closed form of the KL to it that is wrong."""


@register_kl(DiagonalNormal, NoKL)
def _none(q: DiagonalNormal, p: NoKL) -> Tensor:
    return 0 * q.loc.sum(-1)


def as_(cls: type[DiagonalNormal]) -> Any:
    def forward(self: Any, own: Any) -> Distribution:
        return cls(own().loc, own().log_var)

    return forward


def bend(self: Any, own: Any, factor: Any) -> Distribution:
    p = own()
    return DiagonalNormal(p.loc + factor - 1, p.log_var)


def as_normal(self: Any, own: Any) -> Distribution:
    return Normal(own().loc, own().std, validate_args=False)


MUTANTS: dict[str, Mutant] = common(StandardNormal, bend) | {
    "registers": Mutant(Unannotated, "an option without a type"),
    "builds": Mutant(Even, "fails where the latent size is odd, with a RuntimeError"),
    "forward": altered(StandardNormal, "returns a sample", forward=lambda self, own: own().rsample()),
    "shapes": altered(StandardNormal, "forgets Independent", forward=as_normal),
    "any_latent_size": Mutant(ThreeLatents, "three latents, whatever is asked for"),
    "can_be_sampled": altered(StandardNormal, "draws once and repeats", forward=as_(OnePoint)),
    "density_integrates_to_one": altered(StandardNormal, "a density e times too high", forward=as_(Unnormalised)),
    "samples_follow_the_density": altered(
        StandardNormal, "samples twice as wide as the density", forward=as_(Wide)
    ),
    "latents_follow_the_density_jointly": altered(
        StandardNormal, "one noise for all latents", forward=as_(OneNoise)
    ),
    "gradients_of_log_prob_are_right": altered(StandardNormal, "a density that detaches z", forward=as_(Flat)),
    "takes_any_sample_shape": altered(StandardNormal, "a sample shape flattened", forward=as_(Flattens)),
    "draws_follow_the_seed": altered(StandardNormal, "a generator of its own", forward=as_(OwnNoise)),
    "kl_is_what_samples_say": altered(StandardNormal, "a KL of nothing", forward=as_(NoKL)),
    "mean_is_what_samples_say": altered(StandardNormal, "a mean of its own", forward=as_(Shifted)),
    "options_survive_a_recipe": Mutant(Doubling, "an option that doubles when it is read"),
    "schema_accepts_its_options": Mutant(Misdescribed, "a schema that refuses the default"),
}
