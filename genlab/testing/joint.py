"""Do a distribution of several numbers and its samples say the same?

Where there is one number, its density can be added up on a grid. Of several, q is held against a simpler
distribution g, made to lie where samples of q do; these make g and are not used again, as it would owe to their
chance. For every bounded function f,

    E_q[f g / (g + q)] = E_g[f q / (g + q)],

as both are the integral of f g q / (g + q). Whatever q looks like, what is averaged lies between 0 and 1, so that
standard errors can be relied on (Bennett 1976).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from genlab.testing.checking import Failed
from genlab.testing.densities import DRAWS, SIGMAS, TOLERANCE, can_be_counted
from genlab.testing.supports import LogProb, Support

DRAWN = 2 * DRAWS  # one half makes g, the other is compared with it
BINS = 50


@dataclass(frozen=True)
class Joint:
    """A distribution of D numbers. draws ``(DRAWN, D)``: samples of it."""

    log_prob: LogProb
    draws: Tensor

    @classmethod
    def within(cls, support: Support, log_prob: LogProb, draws: Tensor) -> Joint:
        """Return it with a density of zero outside its support; of shares that add up to one all but the last."""
        density = support.within(log_prob)
        if not support.is_simplex:
            return cls(density, draws)
        return cls(lambda z: density(torch.cat([z, 1 - z.sum(1, keepdim=True)], 1)), draws[:, :-1])


@dataclass(frozen=True)
class Simple:
    """What it is held against: D independent numbers. draws ``(N, D)``; middle ``(D,)``: above it is large."""

    log_prob: LogProb
    draws: Tensor
    middle: Tensor


def check_joint(q: Joint, what: str, mend: str) -> None:
    """Raise ``Failed`` unless samples are distributed as the density says, all numbers together.

    what: one of the numbers, ``"latent"``.
    """
    shown, draws = q.draws.tensor_split(2)
    q = Joint(q.log_prob, draws)
    g = _shuffled(shown) if can_be_counted(shown) else _histograms(shown)
    weights = [torch.sigmoid(sign * _ratio(q, g, z)) for sign, z in ((1, q.draws), (-1, g.draws))]
    found = []
    for about, at_q, at_g in _functions(q, g, what):
        one, other = at_q * weights[0], at_g * weights[1]
        gap = (one.mean() - other.mean()).abs().nan_to_num(nan=math.inf).item()
        error = math.sqrt(one.var().item() / len(one) + other.var().item() / len(other))
        found.append((gap - SIGMAS * error - TOLERANCE, gap / max(error, 1e-9), about))
    excess, errors, about = max(found)
    if not excess <= 0:
        raise Failed(
            expected=f"samples of {q.draws.shape[1]} {what}s that are distributed as log_prob says",
            came=f"{len(q.draws):,} samples that differ from it in {about}, by {errors:.0f} standard errors",
            mend=mend,
        )


def _ratio(q: Joint, g: Simple, z: Tensor) -> Tensor:
    """Return log g - log q ``(N,)`` float64; q is taken to be infinite where it is not a number."""
    return g.log_prob(z).double() - q.log_prob(z).double().nan_to_num(nan=math.inf, neginf=-math.inf)


def _functions(q: Joint, g: Simple, what: str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield what is compared, in words, and its values at samples of q and of g, ``(N,)`` or ()."""
    large, other = q.draws > g.middle, g.draws > g.middle
    one = torch.ones((), dtype=torch.float64)
    yield f"how dense they lie: over {q.draws.shape[1]} {what}s it does not add up to 1", one, one
    for i, j in combinations(range(q.draws.shape[1]), 2):
        about = f"how often {what}s {i + 1} and {j + 1} are both large or both small"
        yield about, (large[:, i] == large[:, j]).double(), (other[:, i] == other[:, j]).double()


def _histograms(draws: Tensor) -> Simple:
    """Return independent numbers, each uniform within bins that hold equally many samples, none beyond them."""
    levels = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    edges = [column.double().quantile(levels).unique() for column in draws.T]
    shares = [
        _bin(column, edge).bincount(minlength=len(edge) - 1).double() / len(draws)
        for column, edge in zip(draws.T, edges, strict=True)
    ]

    def log_prob(z: Tensor) -> Tensor:
        columns = zip(z.T, edges, shares, strict=True)
        return torch.stack([_uniform(z, edge, share) for z, edge, share in columns]).sum(0)

    columns = []
    for edge, share in zip(edges, shares, strict=True):
        bins = share.multinomial(DRAWS, replacement=True)
        columns.append(edge[bins] + edge.diff()[bins] * torch.rand(DRAWS, dtype=torch.float64))
    return Simple(log_prob, torch.stack(columns, dim=1).to(draws.dtype), draws.median(0).values)


def _uniform(column: Tensor, edges: Tensor, shares: Tensor) -> Tensor:
    """Return the log-density of each number ``(N,)``: minus infinity beyond the first edge and the last."""
    found = (shares / edges.diff()).log()[_bin(column, edges)]
    return torch.where((column < edges[0]) | (column > edges[-1]), -math.inf, found)


def _bin(column: Tensor, edges: Tensor) -> Tensor:
    """Return which bin each number is in, ``(N,)``."""
    return torch.searchsorted(edges, column.double().contiguous(), right=True).sub(1).clamp(0, len(edges) - 2)


def _shuffled(draws: Tensor) -> Simple:
    """Return independent numbers, each with the values and the shares that it has in samples."""
    columns = [column.unique(return_counts=True) for column in draws.T]

    def log_prob(z: Tensor) -> Tensor:
        shares = [
            (z[:, i : i + 1] == values).double() @ counts.double() / len(draws)
            for i, (values, counts) in enumerate(columns)
        ]
        return torch.stack(shares).log().sum(0)

    mixed = torch.stack([column[torch.randperm(len(column))] for column in draws.T], dim=1)
    return Simple(log_prob, mixed, draws.double().mean(0).to(draws.dtype))
