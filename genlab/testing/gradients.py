"""Are gradients those of what log_prob says? They are held against differences, which need no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from genlab.testing.checking import Failed, Skipped
from genlab.testing.densities import DRAWS, SIGMAS, OneDimensional, can_be_counted, density_of
from genlab.testing.supports import Support

DIRECTIONS = 3
GROUPS = 50  # of samples: how far their gradients are apart says how far off the mean of them may be
HALVINGS = 18  # of the step along a direction, which is 1 at first
SURE = 0.5  # how far off a slope may be that says anything
RELATIVE = 0.02
LOOKED_AT = 64  # points
STEPS = (1e-1, 1e-2, 1e-3, 1e-4)  # in widths: of narrow modes the last are slopes, of wide ones rounding is less
AGREE = 0.8  # of the points: a density may have kinks


@dataclass(frozen=True)
class Pathwise:
    """A distribution of one number that depends on parameters.

    one: it, as density and samples, as the parameters now are. rsample: maps N to samples ``(N,)`` with gradients.
    """

    params: Sequence[Tensor]
    one: Callable[[], OneDimensional]
    rsample: Callable[[int], Tensor]


def check_pathwise(q: Pathwise, mend: str) -> None:
    """Raise ``Failed`` unless gradients through samples are those of expectations under the density.

    Of tanh(u) and tanh(u)^2, where u is z in its own units: whatever the tails, standard errors can be relied on.
    """
    first = q.one()
    if first.values is not None:
        raise Skipped("its values can be counted; a gradient through samples of these is an estimate at best")
    low, middle, high = first.draws.quantile(torch.tensor([0.25, 0.5, 0.75]))

    def functions(z: Tensor) -> Tensor:
        t = torch.tanh((z - middle) / (high - low))
        return torch.stack((t, t * t))

    for _ in range(DIRECTIONS):
        direction = [torch.randn_like(p) for p in q.params]
        wanted, doubt = _slope(q, direction, functions)
        groups = torch.stack([_through_samples(q, direction, functions) for _ in range(GROUPS)]).double()
        came, error = groups.mean(0), groups.std(0) / math.sqrt(GROUPS)
        slack = SIGMAS * error + doubt + RELATIVE * torch.maximum(wanted.abs(), came.abs())
        if not ((came - wanted).abs() <= slack).all():
            i = int(((came - wanted).abs() - slack).argmax())
            what = ("tanh(u)", "tanh(u)^2")[i]
            raise Failed(
                expected=f"a gradient of E[{what}], u = (z - median) / (interquartile range), of "
                f"{wanted[i]:.4g} +- {slack[i]:.2g} along some direction of the parameters, as log_prob says",
                came=f"{came[i]:.4g} through {DRAWS:,} rsamples",
                mend=mend,
            )


def _through_samples(q: Pathwise, direction: Sequence[Tensor], functions: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the slopes ``(2,)`` along a direction that gradients through one group of samples say."""
    means = functions(q.rsample(DRAWS // GROUPS)).mean(1)
    return torch.stack([_along(mean, q.params, direction) for mean in means])


def _along(value: Tensor, params: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
    if not value.requires_grad:
        return torch.zeros(())
    found = torch.autograd.grad(value, params, retain_graph=True, allow_unused=True)
    return torch.stack([(g * d).sum() for g, d in zip(found, direction, strict=True) if g is not None]).sum()


def _slope(
    q: Pathwise, direction: Sequence[Tensor], functions: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the slopes ``(2,)`` along a direction that the density says, and how far off they may be."""

    def expectation(step: float) -> Tensor:
        with _moved(q.params, direction, step), torch.no_grad():
            grid, density = density_of(q.one())
        return torch.trapezoid(functions(grid) * density, grid) / torch.trapezoid(density, grid)

    steps = [1 / 2**i for i in range(HALVINGS)]
    slopes = torch.stack([(expectation(step) - expectation(-step)) / (2 * step) for step in steps])
    # Wide steps bend, and cross kinks; rounding blurs narrow ones. Between them lie steps that agree.
    three = slopes.unfold(0, 3, 1)
    doubt, i = (three.amax(2) - three.amin(2)).nan_to_num(nan=math.inf).min(0)
    if not (doubt < SURE).all():
        raise Skipped("no step of its parameters is small enough for a difference to stand for a slope")
    return three.mean(2).gather(0, i[None])[0], doubt


@contextmanager
def _moved(params: Sequence[Tensor], direction: Sequence[Tensor], step: float) -> Iterator[None]:
    before = [p.detach().clone() for p in params]
    with torch.no_grad():
        for p, d in zip(params, direction, strict=True):
            p.add_(d, alpha=step)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, value in zip(params, before, strict=True):
                p.copy_(value)


def check_slope(p: Distribution, mend: str) -> None:
    """Raise ``Failed`` unless the gradient of log_prob at samples is the slope of its values.

    Where p is bounded, they are moved along the line that its support is an image of.
    """
    draws = p.sample(torch.Size([DRAWS])).detach()
    support = Support.of(p, draws)
    if can_be_counted(draws.flatten(1)):
        raise Skipped("its values can be counted: log_prob has no slope")
    line = support.line
    free = draws if line is None else line.inv(draws)
    low, high = free.double().quantile(torch.tensor([0.25, 0.75], dtype=torch.float64), dim=0)
    at = free[:LOOKED_AT]
    direction = torch.randn_like(at) * (high - low).float()

    def log_prob(y: Tensor) -> Tensor:
        return p.log_prob(y if line is None else line(y))

    y = at.clone().requires_grad_()
    density = log_prob(y)
    found = torch.autograd.grad(density.sum(), y, allow_unused=True)[0] if density.requires_grad else None
    came = _per_point(torch.zeros_like(y) if found is None else found * direction, density)
    agrees = torch.zeros_like(came, dtype=torch.bool)
    slopes = []
    with torch.no_grad():
        for step in STEPS:
            slope = (log_prob(at + step * direction) - log_prob(at - step * direction)).double() / (2 * step)
            noise = 1e-6 * (1 + density.abs()) / step
            agrees |= (slope - came).abs() <= RELATIVE * (1 + slope.abs()) + noise
            slopes.append(slope)
    if not agrees.double().mean() >= AGREE:
        i = int((~agrees).double().flatten().argmax())
        raise Failed(
            expected=f"a gradient of log_prob in z that is the slope of its values, {slopes[1].flatten()[i]:.4g} "
            "at one sample along some direction",
            came="none" if found is None else f"{came.flatten()[i]:.4g}",
            mend=mend,
        )


def _per_point(values: Tensor, like: Tensor) -> Tensor:
    """Return values ``(N, *batch, *event)`` summed over the event."""
    return values.double().flatten(like.ndim).sum(-1)
