"""What the decoder makes of a grid of latents."""

from __future__ import annotations

import math

import torch
from matplotlib.figure import Figure
from torch import Tensor

from genlab.plots.plane import latent_names, normal_quantiles, principal_plane, prior_quantiles
from genlab.plots.sheet import draw_sheet
from genlab.plots.subject import Subject

CELLS = 15
TICKS = (1, 4, 7, 10, 13)
TAIL = 0.05  # probability beyond either end of the grid


def manifold(subject: Subject) -> Figure:
    """Draw the decoded grid: one row for Z = 1, else ``CELLS`` rows, the second axis upwards.

    Up to Z = 2 the grid is equally spaced in the prior's probability, as each dimension's quantiles; beyond,
    in the first two principal components of the posterior means, as quantiles of a normal of their spread.
    """
    values, z, labels, subtitle = grid_of(subject)
    images = subject.model.decode(z)
    sheet = draw_sheet(
        subject.shown(images),
        subject.name,
        "manifold",
        subtitle,
        columns=CELLS,
        inches=6.0 if len(labels) == 2 else 7.0,
        gap=0 if len(labels) == 2 else 3,
        left=0.85 if len(labels) == 2 else 0.25,
        bottom=0.55,
    )
    axes = sheet.axes
    axes.set_xticks([sheet.centre(0, i)[0] for i in TICKS], _numbers(values[:, 0]))
    axes.set_xlabel(labels[0])
    if len(labels) == 2:
        at = [sheet.centre(CELLS - 1 - i, 0)[1] for i in TICKS]
        axes.set_yticks(at, _numbers(values[:, 1]))
        axes.set_ylabel(labels[1])
    return sheet.figure


def grid_of(subject: Subject) -> tuple[Tensor, Tensor, list[str], str]:
    """Return the values along each axis ``(CELLS, K)``, z of each cell ``(cells, Z)``, labels and a subtitle.

    The cells are in the order of reading: left to right, from the highest second coordinate down.
    """
    latent = subject.model.latent
    probabilities = torch.linspace(TAIL, 1 - TAIL, CELLS)
    if latent <= 2:
        values = prior_quantiles(subject.model.prior, probabilities, seed=subject.seed)
        labels = latent_names(latent)
        subtitle = f"the decoder's mean at the prior's quantiles, {TAIL:.0%} to {1 - TAIL:.0%}"
        if latent == 1:
            return values, values, labels, subtitle
        return values, _cells(values), labels, subtitle
    plane = principal_plane(subject.means)
    values = normal_quantiles(probabilities)[:, None] * plane.std
    subtitle = "the decoder's mean across the two main directions of the posterior means"
    return values, plane.lift(_cells(values)), plane.names, subtitle


def _numbers(values: Tensor) -> list[str]:
    """Write the values of the ticks to about three figures of the largest, and none as minus zero."""
    chosen = values[list(TICKS)].tolist()
    largest = max(abs(value) for value in chosen) or 1.0
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 4)
    return [f"{value:z.{decimals}f}".replace("-", "−") for value in chosen]


def _cells(values: Tensor) -> Tensor:
    """Cross the columns of values ``(n, 2)`` into ``(n * n, 2)``, the second from high to low."""
    down, across = torch.meshgrid(values[:, 1].flip(0), values[:, 0], indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], dim=1)
