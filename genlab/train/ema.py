"""An exponential moving average of the parameters (Polyak & Juditsky 1992; Kingma & Ba 2015, section 7.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import Parameter


class EMA:
    """average <- average + (1 - d) (parameters - average), once a step, on the device.

    d is ``decay``, but no more than (1 + n) / (10 + n) after n steps: early averages would otherwise be little
    but the initial weights.
    """

    def __init__(self, params: Sequence[Parameter], decay: float) -> None:
        self.params, self.decay = list(params), decay
        self.averages = [p.detach().clone() for p in params]
        self.steps = torch.zeros((), device=self.averages[0].device)

    @torch.no_grad()
    def update(self) -> None:
        """Follow the parameters; the host does not wait."""
        self.steps += 1
        share = 1 - ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay)
        for average, p in zip(self.averages, self.params, strict=True):
            average.addcmul_(p - average, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the parameters' place for a block, then the parameters back, bit for bit."""
        kept = [p.detach().clone() for p in self.params]
        self._write(self.averages)
        try:
            yield
        finally:
            self._write(kept)

    @torch.no_grad()
    def _write(self, values: Sequence[Tensor]) -> None:
        for p, value in zip(self.params, values, strict=True):
            p.copy_(value)
