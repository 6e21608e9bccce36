"""Where the values of a distribution can lie, as far as it says so.

Outside, a density is zero, and what log_prob returns there is nobody's mistake: torch's own distributions return
values that are not numbers, or refuse them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Transform, biject_to, constraints

LogProb = Callable[[Tensor], Tensor]
"""Maps N values, of one number ``(N,)`` or of several ``(N, D)``, to their log-densities ``(N,)``."""


@dataclass(frozen=True)
class Support:
    """The values of one distribution. constraint: None if it is not known. shape: of a value, with its batch."""

    constraint: constraints.Constraint | None
    shape: tuple[int, ...]

    @classmethod
    def of(cls, p: Distribution, draws: Tensor) -> Support:
        """Return what p says, unless its own draws ``(N, ...)`` contradict it."""
        shape = tuple(p.batch_shape + p.event_shape)
        found = cls(_said(p), shape)
        return found if found.has(draws).all() else cls(None, shape)

    @property
    def is_simplex(self) -> bool:
        """Whether values are shares of one; their density is one over all of them but the last."""
        return isinstance(self.constraint, type(constraints.simplex))

    def has(self, z: Tensor) -> Tensor:
        """Return which of N values ``(N, ...)`` are in it, ``(N,)``."""
        if self.constraint is None:
            return torch.ones(len(z), dtype=torch.bool)
        return self.constraint.check(z.view(-1, *self.shape)).reshape(len(z), -1).all(1)

    def interior(self, z: Tensor) -> Tensor:
        """Return those of N numbers ``(N,)`` that are in it and do not bound it: bounds are special."""
        above, below = (self.has(torch.nextafter(z, torch.full_like(z, to))) for to in (math.inf, -math.inf))
        return z[above & below & z.isfinite()]

    def within(self, log_prob: LogProb) -> LogProb:
        """Return ``log_prob`` as float64, minus infinity outside, where it is not asked."""

        def inside(z: Tensor) -> Tensor:
            there = self.has(z)
            found = torch.full((len(z),), -math.inf, dtype=torch.float64)
            if there.any():
                found[there] = log_prob(z[there]).double()
            return found

        return inside

    @property
    def line(self) -> Transform | None:
        """What maps all numbers onto it, one to one; None if it is not known, or its values can be counted."""
        return None if self.constraint is None else _line(self.constraint)


def value_of(p: Distribution, at: float) -> Tensor:
    """Return a value ``(*batch, *event)`` that p may have: ``at``, and where p is bounded what it is mapped to."""
    constraint, shape = _said(p), p.batch_shape + p.event_shape
    line = None if constraint is None else _line(constraint)
    return torch.full(shape, at) if line is None else line(torch.full(line.inverse_shape(shape), at))


def _said(p: Distribution) -> constraints.Constraint | None:
    try:
        found = p.support
    except NotImplementedError:
        return None
    return found if isinstance(found, constraints.Constraint) else None


def _line(constraint: constraints.Constraint) -> Transform | None:
    try:
        found: Transform = biject_to(constraint)
    except NotImplementedError:
        return None
    return found
