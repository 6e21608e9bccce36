"""The same noise for any two devices, whose own random streams differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.distributions import Normal

from genlab.distributions import DiagonalNormal
from genlab.seeds import derive


class HostNoise:
    """Noise of normal distributions that is drawn on the host, so that any two devices are given the same.

    It lies in tensors that keep their address, a shape each, which ``refill`` fills anew before a step: compiled
    and recorded steps read it there. Within a step two draws of one shape are equal, on both sides.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed, self.device = seed, device
        self.noise: dict[tuple[int, ...], Tensor] = {}
        self.filled = 0

    def of(self, shape: tuple[int, ...]) -> Tensor:
        """Return the noise of a shape."""
        if shape not in self.noise:
            self.noise[shape] = self._drawn(shape).to(self.device)
        return self.noise[shape]

    def refill(self) -> None:
        """Draw anew."""
        self.filled += 1
        for shape, noise in self.noise.items():
            noise.copy_(self._drawn(shape))

    def _drawn(self, shape: tuple[int, ...]) -> Tensor:
        generator = torch.Generator().manual_seed(derive(self.seed, "noise", self.filled, *shape))
        return torch.randn(shape, generator=generator)

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Have normal distributions draw from here within a block."""

        def diagonal(own: DiagonalNormal, sample_shape: Sequence[int] = ()) -> Tensor:
            return torch.addcmul(own.loc, own.std, self.of((*sample_shape, *own.loc.shape)))

        def normal(own: Normal, sample_shape: Sequence[int] = ()) -> Tensor:
            shape = tuple(own._extended_shape(torch.Size(sample_shape)))
            return own.loc + own.scale * self.of(shape)

        before = DiagonalNormal.rsample, Normal.rsample
        DiagonalNormal.rsample, Normal.rsample = diagonal, normal  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            DiagonalNormal.rsample, Normal.rsample = before  # type: ignore[method-assign]
