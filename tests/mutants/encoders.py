"""Encoders with one mistake each."""

from __future__ import annotations

import random
import time
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field, PositiveInt
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence, register_kl
from torch.nn import functional as F

from genlab.distributions import DiagonalNormal, StandardDiagonalNormal
from genlab.parts.encoders import MLPEncoder
from tests.mutants.making import Mutant, altered

Own = Any


class Unannotated(MLPEncoder):
    """An option without a type."""

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, width=8) -> None:  # type: ignore[no-untyped-def]
        super().__init__(x_shape, latent, hidden=(width,))


class Nameless(MLPEncoder):
    pass


class ThreeLatents(MLPEncoder):
    """Makes three latents, whatever is asked for."""

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, hidden: tuple[PositiveInt, ...] = (16,)) -> None:
        super().__init__(x_shape, 3, hidden=hidden)


class ImagesByAccident(MLPEncoder):
    """Fails, rather than refuses, where x is a vector."""

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, hidden: tuple[PositiveInt, ...] = (16,)) -> None:
        super().__init__(x_shape, latent, hidden=hidden)
        self.height = x_shape[1]


class Doubling(MLPEncoder):
    """An option that doubles each time it is read."""

    def __init__(
        self, x_shape: tuple[int, ...], latent: int, *, width: Annotated[int, AfterValidator(lambda w: 2 * w)] = 8
    ) -> None:
        super().__init__(x_shape, latent, hidden=(width,))


class Misdescribed(MLPEncoder):
    """An option whose schema refuses its default."""

    def __init__(
        self,
        x_shape: tuple[int, ...],
        latent: int,
        *,
        width: Annotated[int, Field(json_schema_extra={"maximum": 4})] = 8,
    ) -> None:
        super().__init__(x_shape, latent, hidden=(width,))


class NoSample(DiagonalNormal):
    """Says that it has no rsample."""

    has_rsample = False  # type: ignore[assignment]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        raise NotImplementedError


class NoMean(DiagonalNormal):
    """Has no mean."""

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError


class Shifted(DiagonalNormal):
    """Says a mean that is not its samples'."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.std


class Unnormalised(DiagonalNormal):
    """Leaves a constant out of its density."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 1


class Averaged(DiagonalNormal):
    """Takes the mean over its latents where a sum belongs."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) / value.shape[-1]


class Wide(DiagonalNormal):
    """Draws with twice the standard deviation that it says."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + 2 * (super().rsample(sample_shape) - self.loc)


class Cut(DiagonalNormal):
    """Keeps the gradient of a sample from the mean."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape) - self.loc + self.loc.detach()


class Flat(DiagonalNormal):
    """Has a density without a gradient in z."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.detach())


class Mixing(DiagonalNormal):
    """Averages its density along a second axis of samples."""

    def log_prob(self, value: Tensor) -> Tensor:
        found = super().log_prob(value)
        return found.mean(0).expand(found.shape) if value.ndim > 1 + self.loc.ndim else found


class OwnNoise(DiagonalNormal):
    """Draws from a generator of its own."""

    def sample(self, sample_shape: Any = ()) -> Tensor:
        noise = torch.randn((*sample_shape, *self.loc.shape), generator=torch.Generator().manual_seed(0))
        return self.loc + self.std * noise


class Like(DiagonalNormal):
    """Draws in whatever its parameters are."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = torch.randn((*sample_shape, *self.loc.shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.std * noise


class HalfKL(DiagonalNormal):
    """Has a closed form of its KL that is wrong."""


@register_kl(HalfKL, StandardDiagonalNormal)
def _half(q: HalfKL, p: StandardDiagonalNormal) -> Tensor:
    return 0.5 * kl_divergence(DiagonalNormal(q.loc, q.log_var), p)


def as_(cls: type[DiagonalNormal]) -> Any:
    def forward(self: Own, own: Any, x: Tensor) -> Distribution:
        q = own(x)
        return cls(q.loc, q.log_var)

    return forward


def as_normal(self: Own, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    return Normal(q.loc, q.std, validate_args=False)


def squeezed(self: Own, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    return DiagonalNormal(q.loc.squeeze(0), q.log_var.squeeze(0))


def point(self: Own, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    return DiagonalNormal(q.loc, q.log_var * 0 - 60)


def half(self: Own, own: Any, x: Tensor) -> Distribution:
    mean, log_var = self.net(x).chunk(2, dim=-1)
    return Like(mean, log_var)


def own_generator(self: Own) -> None:
    nn.init.normal_(self.net[1][0].weight, generator=torch.Generator().manual_seed(time.perf_counter_ns()))


def own_noise(self: Own, own: Any, x: Tensor) -> Distribution:
    return own(x * (1 + random.SystemRandom().random() if self.training else 1))


def sets_mode(self: Own, own: Any, x: Tensor) -> Distribution:
    self.net.eval()
    return own(x)


def divides(self: Own, own: Any, x: Tensor) -> Distribution:
    return own(x / 255 if x.max() > 1 else x)


def timed(self: Own, own: Any, x: Tensor) -> Distribution:
    q = own(x)
    self.seconds = time.perf_counter()
    return q


def running(self: Own, own: Any, x: Tensor) -> Distribution:
    if self.training:
        with torch.no_grad():
            self.running.lerp_(x.mean(), 0.5)
        return own(x)
    return own(x - self.running)


MUTANTS: dict[str, Mutant] = {
    "registers": Mutant(Unannotated, "an option without a type"),
    "says_what_it_is": Mutant(Nameless, "no docstring"),
    "builds": Mutant(ImagesByAccident, "IndexError where x is a vector"),
    "forward": altered(MLPEncoder, "returns a tensor", forward=lambda self, own, x: own(x).mean),
    "shapes": altered(MLPEncoder, "forgets Independent", forward=as_normal),
    "any_batch_size": altered(MLPEncoder, "squeezes a batch of one away", forward=squeezed),
    "any_latent_size": Mutant(ThreeLatents, "three latents, whatever is asked for"),
    "has_rsample": altered(MLPEncoder, "a posterior without rsample", forward=as_(NoSample)),
    "has_a_mean": altered(MLPEncoder, "a posterior without mean", forward=as_(NoMean)),
    "computes_in_float32": altered(
        MLPEncoder,
        "weights in float64",
        init=lambda self: self.double(),
        forward=lambda self, own, x: own(x.double()),
    ),
    "same_seed_same_weights": altered(MLPEncoder, "weights from a generator of its own", init=own_generator),
    "leaves_the_seed_alone": altered(
        MLPEncoder, "sets the seed in __init__", init=lambda self: torch.manual_seed(0)
    ),
    "repeats_itself_under_a_seed": altered(MLPEncoder, "noise from a source of its own", forward=own_noise),
    "eval_mode_is_steady": altered(
        MLPEncoder, "drops out in eval mode too", forward=lambda self, own, x: own(F.dropout(x, 0.2))
    ),
    "leaves_its_mode_alone": altered(MLPEncoder, "calls eval() in forward", forward=sets_mode),
    "leaves_its_input_alone": altered(
        MLPEncoder, "centres x in place", forward=lambda self, own, x: own(x.sub_(0.5))
    ),
    "treats_each_example_alone": altered(
        MLPEncoder, "subtracts the batch's mean", forward=lambda self, own, x: own(x - x.mean(0))
    ),
    "gradients_reach_every_parameter": altered(
        MLPEncoder, "a layer that nobody calls", init=lambda self: setattr(self, "unused", nn.Linear(3, 3))
    ),
    "most_of_x_matters": altered(
        MLPEncoder, "does not look at x", forward=lambda self, own, x: own(torch.full_like(x, 0.5))
    ),
    "samples_vary": altered(MLPEncoder, "a standard deviation of zero", forward=point),
    "density_integrates_to_one": altered(
        MLPEncoder, "a density that is e times too high", forward=as_(Unnormalised)
    ),
    "samples_follow_the_density": altered(MLPEncoder, "samples twice as wide as the density", forward=as_(Wide)),
    "latents_follow_the_density_jointly": altered(
        MLPEncoder, "a density averaged over the latents", forward=as_(Averaged)
    ),
    "kl_is_what_samples_say": altered(MLPEncoder, "half the KL", forward=as_(HalfKL)),
    "mean_is_what_samples_say": altered(MLPEncoder, "a mean of its own", forward=as_(Shifted)),
    "gradients_through_samples_are_right": altered(
        MLPEncoder, "a mean that is detached in rsample", forward=as_(Cut)
    ),
    "gradients_of_log_prob_are_right": altered(MLPEncoder, "a density that detaches z", forward=as_(Flat)),
    "takes_any_sample_shape": altered(MLPEncoder, "a density averaged over samples", forward=as_(Mixing)),
    "draws_follow_the_seed": altered(MLPEncoder, "sample() from a generator of its own", forward=as_(OwnNoise)),
    "does_not_make_the_host_wait": altered(MLPEncoder, "an `if` on the largest value", forward=divides),
    "moves_to_another_device": altered(
        MLPEncoder,
        "a constant that is no buffer",
        init=lambda self: setattr(self, "scale", torch.full((1,), 2.0)),
        forward=lambda self, own, x: own(x * self.scale),
    ),
    "bears_half_precision": altered(MLPEncoder, "a posterior in bf16", forward=half),
    "compiles_whole": altered(MLPEncoder, "looks at the clock", forward=timed),
    "state_is_tensors": altered(
        MLPEncoder,
        "state that is no tensor",
        get_extra_state=lambda self, own: {"version": 1},
        set_extra_state=lambda self, own, state: None,
    ),
    "is_the_same_after_saving": altered(
        MLPEncoder,
        "a running mean that is not saved",
        init=lambda self: self.register_buffer("running", torch.zeros(()), persistent=False),
        forward=running,
    ),
    "options_survive_a_recipe": Mutant(Doubling, "an option that doubles when it is read"),
    "schema_accepts_its_options": Mutant(Misdescribed, "a schema that refuses the default"),
}
