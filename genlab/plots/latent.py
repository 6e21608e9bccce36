"""Where the encoder puts the examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from genlab.plots.plane import coordinates
from genlab.plots.style import HEADER, INK, POINTS, below_header, class_colours, header
from genlab.plots.subject import Subject

BINS = 80


def latent(subject: Subject) -> Figure:
    """Draw the posterior means: points in a plane, or a histogram a class for Z = 1."""
    where, labels = coordinates(subject)
    size = (6.4, 4.6) if len(labels) == 1 else _size(where)
    figure = Figure(figsize=size, layout=below_header(size[1]))
    axes = figure.add_subplot()
    if len(labels) == 1:
        _ridges(axes, subject, where[:, 0])
    else:
        _points(figure, axes, subject, where)
        axes.set_ylabel(labels[1])
    axes.set_xlabel(labels[0])
    coloured = ", coloured by class" if subject.label is not None and len(labels) == 2 else ""
    header(
        figure, subject.name, "latent space", f"posterior means of {len(where):,} validation examples{coloured}"
    )
    return figure


def _size(where: Tensor) -> tuple[float, float]:
    """Return a figure size in inches that suits the points' extent, as both axes have one scale."""
    width, height = (where.amax(0) - where.amin(0)).clamp(min=1e-6).tolist()
    ratio = float(np.clip(width / height, 0.7, 1.7)) ** 0.5
    return 5.0 * ratio + 1.2, 5.0 / ratio + HEADER + 0.4


def _points(figure: Figure, axes: Axes, subject: Subject, where: Tensor) -> None:
    order = subject.order("latent")  # or the last class would lie on top of all others
    xy = where[order].numpy()
    area = float(np.clip(30_000 / max(len(xy), 1), 4, 24))
    axes.set_aspect("equal", adjustable="datalim")
    if subject.label is None:
        axes.scatter(xy[:, 0], xy[:, 1], s=area, color=POINTS, alpha=0.4, linewidths=0)
        return
    colours, norm, index = _classes(subject)
    axes.scatter(
        xy[:, 0], xy[:, 1], s=area, c=index[order.numpy()], cmap=colours, norm=norm, alpha=0.65, linewidths=0
    )
    # A mappable of its own: the colour bar is opaque though the points are not.
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, aspect=30, pad=0.02)
    every = -(-len(subject.classes) // 20)
    shown = range(0, len(subject.classes), every)
    bar.set_ticks([float(i) for i in shown], labels=[str(int(subject.classes[i])) for i in shown])
    bar.ax.tick_params(which="both", length=0)
    bar.outline.set_visible(False)


def _classes(subject: Subject) -> tuple[ListedColormap, BoundaryNorm, NDArray[np.int64]]:
    """Return colours, their norm and the place of each example's class among the classes, ``(N,)``."""
    assert subject.label is not None
    count = len(subject.classes)
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    return class_colours(count), norm, np.searchsorted(subject.classes.numpy(), subject.label.cpu().numpy())


def _ridges(axes: Axes, subject: Subject, where: Tensor) -> None:
    """Draw one histogram a class, one above the other, all on the same scale."""
    z = where.numpy()
    low, high = float(z.min()), float(z.max())
    pad = 0.03 * (high - low) or 0.5
    edges = np.linspace(low - pad, high + pad, BINS + 1)
    if subject.label is None:
        counts = np.histogram(z, edges)[0]
        axes.stairs(counts, edges, fill=True, color=POINTS, alpha=0.85)
        axes.set_ylabel("examples")
        return
    colours, _, index = _classes(subject)
    number = len(subject.classes)
    histograms = [np.histogram(z[index == i], edges)[0] for i in range(number)]
    tallest = max(1, *(int(counts.max()) for counts in histograms))
    for i, counts in enumerate(histograms):
        height = counts / tallest * 1.6  # ridges may rise a little behind the next one
        layer: dict[str, Any] = {"baseline": float(i), "zorder": 2.0 + number - i}
        axes.stairs(height + i, edges, fill=True, color=colours(i), alpha=0.85, **layer)
        axes.stairs(height + i, edges, color=INK, linewidth=0.4, **layer)
    every = -(-number // 20)
    axes.set_yticks(range(0, number, every), [str(int(subject.classes[i])) for i in range(0, number, every)])
    axes.set_ylabel("class")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(edges[0], edges[-1])
