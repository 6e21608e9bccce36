"""Which plane of the latent space is looked at, and which points of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from genlab.interfaces import Prior
from genlab.plots.subject import Subject
from genlab.seeds import seeded

DRAWS = 20_000  # samples that stand for a prior whose quantiles have no closed form


@dataclass(frozen=True)
class Plane:
    """The first principal components of a cloud of points ``(N, Z)``; here K of them.

    mean: ``(Z,)``. axes: ``(K, Z)``, orthonormal. std: ``(K,)``, of the points along each axis.
    share: ``(K,)``, of the total variance.
    """

    mean: Tensor
    axes: Tensor
    std: Tensor
    share: Tensor

    @property
    def names(self) -> list[str]:
        """What to write beside the axes."""
        return [f"PC {i + 1} ({share:.0%} of variance)" for i, share in enumerate(self.share.tolist())]

    def project(self, z: Tensor) -> Tensor:
        """Map z ``(N, Z)`` to coordinates ``(N, K)``."""
        return (z - self.mean) @ self.axes.T

    def lift(self, coordinates: Tensor) -> Tensor:
        """Map coordinates ``(N, K)`` to z ``(N, Z)`` in the plane."""
        return self.mean + coordinates @ self.axes


def principal_plane(points: Tensor, count: int = 2) -> Plane:
    """Return the first ``count`` principal components of points ``(N, Z)``, N at least 1.

    An axis and its negative are the same component; the one whose largest entry is positive is taken.
    """
    points = points.double()
    mean = points.mean(0)
    covariance = (points - mean).T @ (points - mean) / len(points)
    variance, vectors = torch.linalg.eigh(covariance)  # ascending
    variance = variance.flip(0).clamp(min=0)
    axes = vectors.T.flip(0)[:count]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    total = variance.sum().clamp(min=torch.finfo(torch.float64).tiny)
    kept = variance[:count]
    return Plane(mean.float(), (axes * largest.sign()).float(), kept.sqrt().float(), (kept / total).float())


def prior_quantiles(prior: Prior, probabilities: Tensor, *, seed: int) -> Tensor:
    """Return the quantiles of each dimension of p(z), ``(n, Z)`` for probabilities ``(n,)``, on the CPU.

    Exact where the prior factorises into distributions with an inverse CDF, else those of many samples.
    """
    with torch.no_grad():
        p = prior()
        exact = _exact_quantiles(p, probabilities)
        if exact is not None:
            return exact
        with seeded(seed, p.sample().device):
            draws = p.sample((DRAWS,)).cpu().float()
    return torch.quantile(draws, probabilities, dim=0)


def _exact_quantiles(p: Distribution, probabilities: Tensor) -> Tensor | None:
    if not isinstance(p, Independent) or p.base_dist.event_shape:
        return None
    base = p.base_dist
    device = base.sample().device
    grid = probabilities.to(device)[:, None].expand(-1, *base.batch_shape)
    try:
        return base.icdf(grid).cpu().float()
    except NotImplementedError:
        return None


def normal_quantiles(probabilities: Tensor) -> Tensor:
    """Return the quantiles of N(0, 1)."""
    return Normal(0.0, 1.0).icdf(probabilities)


def coordinates(subject: Subject) -> tuple[Tensor, list[str]]:
    """Return where to draw the posterior means, ``(N, 1 or 2)``, and the axes' labels.

    The latent itself up to Z = 2, the first two principal components of the means beyond.
    """
    if subject.model.latent <= 2:
        return subject.means, latent_names(subject.model.latent)
    plane = principal_plane(subject.means)
    return plane.project(subject.means), plane.names


def latent_names(latent: int) -> list[str]:
    """Return what to write beside the axes of a latent of size 1 or 2."""
    return ["z"] if latent == 1 else ["z₁", "z₂"]
