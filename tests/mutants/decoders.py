"""Decoders with one mistake each."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from genlab.parts.decoders import MLPDecoder
from tests.mutants.making import Mutant, altered
from tests.mutants.modules import common

Shape = tuple[int, ...]


class Unannotated(MLPDecoder):
    """An option without a type."""

    def __init__(self, latent: int, out_shape: Shape, *, width=8) -> None:  # type: ignore[no-untyped-def]
        super().__init__(latent, out_shape, hidden=(width,))


class ImagesByAccident(MLPDecoder):
    """Fails, rather than refuses, where x is a vector."""

    def __init__(self, latent: int, out_shape: Shape) -> None:
        super().__init__(latent, out_shape)
        self.height = out_shape[1]


class ThreeLatents(MLPDecoder):
    """Takes three latents, whatever is asked for."""

    def __init__(self, latent: int, out_shape: Shape) -> None:
        super().__init__(3, out_shape)


class Doubling(MLPDecoder):
    """An option that doubles each time it is read."""

    def __init__(
        self, latent: int, out_shape: Shape, *, width: Annotated[int, AfterValidator(lambda w: 2 * w)] = 8
    ) -> None:
        super().__init__(latent, out_shape, hidden=(width,))


class Misdescribed(MLPDecoder):
    """An option whose schema refuses its default."""

    def __init__(
        self, latent: int, out_shape: Shape, *, width: Annotated[int, Field(json_schema_extra={"maximum": 4})] = 8
    ) -> None:
        super().__init__(latent, out_shape, hidden=(width,))


class FullWidth(MLPDecoder):
    """Copies its result into float32 as it is."""

    def forward(self, z: Tensor) -> Tensor:
        h = self.net(z)
        out = z.new_zeros(len(z), math.prod(self.out_shape))
        index = torch.arange(out.shape[1], device=z.device).expand_as(out)
        return out.scatter(1, index, h).unflatten(1, self.out_shape)


def bend(self: Any, own: Any, factor: Any, z: Tensor) -> Tensor:
    h: Tensor = own(z) * factor
    return h


MUTANTS: dict[str, Mutant] = common(MLPDecoder, bend) | {
    "registers": Mutant(Unannotated, "an option without a type"),
    "builds": Mutant(ImagesByAccident, "IndexError where x is a vector"),
    "forward": altered(MLPDecoder, "returns a tuple", forward=lambda self, own, z: (own(z),)),
    "shapes": altered(MLPDecoder, "returns h flat", forward=lambda self, own, z: own(z).flatten(1)),
    "any_batch_size": altered(
        MLPDecoder, "squeezes a batch of one away", forward=lambda self, own, z: own(z).squeeze(0)
    ),
    "any_latent_size": Mutant(ThreeLatents, "three latents, whatever is asked for"),
    "is_unconstrained": altered(MLPDecoder, "a final sigmoid", forward=lambda self, own, z: own(z).sigmoid()),
    "leaves_its_input_alone": altered(
        MLPDecoder, "scales z in place", forward=lambda self, own, z: own(z.mul_(0.5))
    ),
    "treats_each_example_alone": altered(
        MLPDecoder, "subtracts the batch's mean", forward=lambda self, own, z: own(z) - z.mean()
    ),
    "gradients_reach_the_latents": altered(MLPDecoder, "detaches z", forward=lambda self, own, z: own(z.detach())),
    "every_latent_matters": altered(
        MLPDecoder,
        "reads its first latent alone",
        forward=lambda self, own, z: own(torch.cat((z[:, :1], torch.zeros_like(z[:, 1:])), 1)),
    ),
    "bears_half_precision": Mutant(FullWidth, "copies bf16 into float32"),
    "options_survive_a_recipe": Mutant(Doubling, "an option that doubles when it is read"),
    "schema_accepts_its_options": Mutant(Misdescribed, "a schema that refuses the default"),
}
