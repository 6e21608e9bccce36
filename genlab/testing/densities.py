"""Do a distribution's density and its samples say the same? In one dimension that can be checked by counting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, kl_divergence

from genlab.testing.checking import Failed, Skipped
from genlab.testing.supports import LogProb, Support

DRAWS = 20_000
POINTS = 20_001
SAMPLE_SHAPES = ((), (1,), (3,), (2, 3))
FEW = 300  # different values at most of a discrete variable: there are 256 of a byte
TOLERANCE = 2e-3
PRECISE = 5e-4  # of an integral on the grid, a density with jumps included
KL_DRAWS = 200_000
SIGMAS = 5.0
ESTIMATED = 0.1  # standard deviations that a mean may be off which is itself an average of samples
KS = 2.5  # Kolmogorov's statistic times sqrt(n) exceeds this with probability 7e-6


@dataclass(frozen=True)
class OneDimensional:
    """A distribution of one number. draws ``(N,)``: samples of it."""

    log_prob: LogProb
    draws: Tensor
    support: Support

    @property
    def values(self) -> Tensor | None:
        """Its values if it is discrete, as far as they were drawn, in order; None if it is continuous."""
        found = self.draws.unique()
        return found if len(found) <= FEW else None


def can_be_counted(draws: Tensor) -> bool:
    """Whether samples of several numbers ``(N, D)`` are discrete, each of them."""
    return all(len(column.unique()) <= FEW for column in draws.T)


def check_sample_shapes(p: Distribution) -> None:
    """Raise ``Failed`` unless samples of any shape are drawn, and each has the density that it has alone."""
    own = tuple(p.batch_shape + p.event_shape)
    for shape in SAMPLE_SHAPES:
        z = p.sample(torch.Size(shape))
        if tuple(z.shape) != shape + own:
            raise Failed(
                expected=f"sample({shape}) of shape {shape + own}",
                came=str(tuple(z.shape)),
                mend="draw (*sample_shape, *batch_shape, *event_shape) numbers, however long sample_shape is",
            )
        found = p.log_prob(z)
        alone = torch.stack([p.log_prob(each) for each in z.reshape(-1, *own)]).view(shape + tuple(p.batch_shape))
        if found.shape != alone.shape or not torch.allclose(found, alone, rtol=1e-3, atol=1e-4):
            raise Failed(
                expected=f"log_prob of samples of shape {tuple(z.shape)} that is what it is of each alone",
                came=f"shape {tuple(found.shape)}"
                if found.shape != alone.shape
                else f"numbers that differ by up to {(found - alone).abs().max().item():.3g}",
                mend="sum over the last axis, the latents, and over nothing else",
            )


def check_total(p: OneDimensional, what: str, mend: str) -> None:
    """Raise ``Failed`` unless probabilities sum, or the density integrates, to one."""
    values = p.values
    if values is None:
        grid, density = density_of(p)
        total = torch.trapezoid(density, grid).item()
        slack = PRECISE
    else:
        total = p.log_prob(values).double().exp().sum().item()
        slack = 100 / len(p.draws)  # values so rare that none was drawn
    if not abs(total - 1) <= slack:
        raise Failed(
            expected=f"{'an integral' if values is None else 'a sum'} of 1 over {what}",
            came=f"{total:.6g}",
            mend=mend,
        )


def check_draws(p: OneDimensional, what: str) -> None:
    """Raise ``Failed`` unless samples are distributed as the density says (Kolmogorov 1933, if continuous)."""
    mend = "draw in sample() and rsample() from what log_prob computes: the same location, the same scale"
    values = p.values
    if values is not None:
        shares = (p.draws[:, None] == values).double().mean(0)
        wanted = p.log_prob(values).double().exp()
        slack = SIGMAS * (wanted * (1 - wanted).clamp(min=0) / len(p.draws)).sqrt() + TOLERANCE
        worst = int(((shares - wanted).abs() - slack).argmax())
        if (shares - wanted).abs()[worst] > slack[worst]:
            raise Failed(
                expected=f"{what} of which the value {values[worst]:.4g} has a share of {wanted[worst]:.4f}",
                came=f"a share of {shares[worst]:.4f} in {len(p.draws):,} samples",
                mend=mend,
            )
        return
    grid, density = density_of(p)
    steps = 0.5 * (density[1:] + density[:-1]) * (grid[1:] - grid[:-1])
    below = torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])
    draws = p.draws.double().sort().values
    index = torch.searchsorted(grid, draws).clamp(1, len(grid) - 1)
    share = ((draws - grid[index - 1]) / (grid[index] - grid[index - 1])).clamp(0, 1)
    wanted = below[index - 1] + share * (below[index] - below[index - 1])
    found = (torch.arange(len(draws)) + 0.5) / len(draws)
    distance = (wanted - found).abs().max().item()
    if not distance <= KS / math.sqrt(len(draws)) + TOLERANCE:
        raise Failed(
            expected=f"{what} with the distribution that log_prob says",
            came=f"{len(draws):,} samples whose distribution function is off by {distance:.3f} somewhere",
            mend=mend,
        )


def check_mean(mean: Tensor, draws: Tensor) -> None:
    """Raise ``Failed`` unless a mean ``(Z,)`` is the average of samples ``(N, Z)``.

    Within five standard errors, and what a mean that is itself an estimate may be off.
    """
    mean, draws = mean.double(), draws.double()
    low, high = draws.quantile(torch.tensor([0.16, 0.84], dtype=torch.float64), dim=0)
    slack = SIGMAS * draws.std(0) / math.sqrt(len(draws)) + ESTIMATED * (high - low) / 2
    off = (mean - draws.mean(0)).abs()
    i = int((off - slack).argmax())
    if not off[i] <= slack[i]:
        raise Failed(
            expected=f"a mean of {draws.mean(0)[i]:.4g} +- {slack[i]:.2g}, as {len(draws):,} samples say",
            came=f"{mean[i]:.4g}",
            mend="return the expectation of z; where that has no closed form, an average of some hundred samples",
        )


def density_of(p: OneDimensional) -> tuple[Tensor, Tensor]:
    """Return a grid of the support, fine where samples are, and the density there, both ``(N,)`` float64."""
    draws, line = p.draws.double(), p.support.line
    grid = _around(draws)
    if line is not None:  # fine towards its bounds, too
        free = _around(line.inv(draws.view(-1, *p.support.shape)).flatten())
        grid = torch.cat([grid, line(free.view(-1, *p.support.shape)).flatten()])
    grid = p.support.interior(grid.float().unique())
    try:
        return grid.double(), p.log_prob(grid).double().exp().nan_to_num(nan=math.inf)
    except ValueError as error:
        said = str(error).partition("\n")[0]
        raise Skipped(f"log_prob refuses values, and there is no `support` that says which: {said}") from None


def _around(draws: Tensor) -> Tensor:
    """Return a grid of the line, half of it between the quartiles of draws, ``(POINTS,)``."""
    low, middle, high = draws.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    width = (high - low).clamp(min=1e-6)
    turn = torch.linspace(0, 1, POINTS + 2, dtype=torch.float64)[1:-1]
    return middle + width * torch.tan(math.pi * (turn - 0.5))


def check_kl(q: Distribution, p: Distribution) -> None:
    """Raise ``Failed`` unless KL(q || p) ``(B,)``, p a prior, is not negative and is what samples say.

    Raises ``Skipped`` if there is no closed form.
    """
    try:
        kl = kl_divergence(q, p)
    except NotImplementedError:
        names = f"{type(q).__name__} and {type(p).__name__}"
        raise Skipped(f"there is no closed form for {names}; training uses an estimate from samples") from None
    mend = (
        "correct the function given to torch.distributions.register_kl; without one, genlab estimates from samples"
    )
    if not (kl >= -1e-5).all():
        raise Failed(expected="KL(q || p) >= 0", came=f"{kl.min().item():.4g}", mend=mend)
    with torch.no_grad():
        z = q.sample(torch.Size([KL_DRAWS]))
        support = Support.of(p, p.sample(torch.Size([DRAWS])))
        within, beyond = (support.has(far * z.flatten(0, 1)).view(z.shape[:2]).all(0) for far in (1, 100))
        if not within.all() and kl[~within].isfinite().any():
            raise Failed(
                expected="an infinite KL(q || p), as q has samples that p cannot have",
                came=f"{kl[~within].min().item():.4g}",
                mend=mend,
            )
        if not (there := within & (kl.isfinite() | beyond)).any():
            raise Skipped("it is infinite: q reaches beyond what p can be, and there is nothing to compare")
        other = p.log_prob(z[:, there].flatten(0, 1)).view(len(z), -1)
        terms, kl = (q.log_prob(z)[:, there] - other).double(), kl[there]
    error = terms.std(0) / math.sqrt(KL_DRAWS) + 1e-4 * (1 + kl.abs())
    off = ((kl - terms.mean(0)).abs() / error).max().item()
    if not off <= SIGMAS:
        i = int(((kl - terms.mean(0)).abs() / error).argmax())
        raise Failed(
            expected=f"KL(q || p) of {terms.mean(0)[i]:.4f} +- {error[i]:.4f} nats, as {KL_DRAWS:,} samples say",
            came=f"{kl[i]:.4f}, which is {off:.0f} standard errors off",
            mend=mend,
        )
