"""The bars problem: small binary images that need no download."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import PositiveInt

from genlab.interfaces import DataSource, Examples, SplitName
from genlab.seeds import derive


class Bars(DataSource):
    """Images of ``size`` x ``size`` pixels in which each row and each column is on with probability ``p``.

    The generating factors are known, so a model can be looked at by eye: Földiák (1990), "Forming sparse
    representations by local anti-Hebbian learning". The label is the number of bars.

    size: height and width. p: probability of each bar. examples: training examples; validation and test
    have a fifth of that each. seed: of the draw.
    """

    def __init__(
        self,
        *,
        size: Annotated[int, Ge(2)] = 8,
        p: Annotated[float, Gt(0), Lt(1)] = 0.15,
        examples: PositiveInt = 2000,
        seed: int = 0,
    ) -> None:
        self.size, self.p, self.examples, self.seed = size, p, examples, seed
        self.x_shape = (1, size, size)

    def split(self, name: SplitName) -> Examples:
        """Return the named split: x ``(N, 1, size, size)`` uint8 in {0, 255}, label ``(N,)``."""
        count = self.examples if name == "train" else -(-self.examples // 5)
        generator = torch.Generator().manual_seed(derive(self.seed, "bars", name))
        on = torch.rand(count, 2, self.size, generator=generator) < self.p
        image = on[:, 0, :, None] | on[:, 1, None, :]
        return Examples(image[:, None].to(torch.uint8) * 255, on.sum((1, 2)))

    @property
    def origin(self) -> str:
        """Say that the images are made, not read."""
        return f"made here: {self.size} x {self.size} bars, p={self.p}, seed {self.seed}"
