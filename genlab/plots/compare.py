"""How the training of several runs went, in the same axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from genlab.plots.losses import TERMS, limits
from genlab.plots.style import ACCENT, TOL_MUTED, below_header, header, styled

COLOURED = len(TOL_MUTED)  # runs that can be told apart by colour
LABEL = 40  # characters of a label that the legend shows


@dataclass(frozen=True)
class Curve:
    """A run's evaluations. rows: a row of metrics each. best: it is the best of those it may be compared with."""

    label: str
    rows: Sequence[Mapping[str, float]]
    best_epoch: int | None = None
    best: bool = False


def overlaid(curves: Sequence[Curve], name: str, verdicts: Mapping[str, str] = {}) -> Figure:
    """Draw loss, nll and kl of all runs, a panel each: validation as lines, training dashed.

    verdicts: what a metric's panel warns of, ``{"val/loss": "not comparable"}``. Beyond ten runs the lines are
    grey and the best ones in colour.
    """
    with styled():
        return _overlaid(curves, name, verdicts)


def _overlaid(curves: Sequence[Curve], name: str, verdicts: Mapping[str, str]) -> Figure:
    terms = [term for term in TERMS if any(f"val/{term}" in row for curve in curves for row in curve.rows)]
    colours = _colours(curves)
    legend = [curve for curve in curves if len(curves) <= COLOURED or curve.best][:COLOURED]
    columns = _legend_columns(legend, width := 3.1 * max(len(terms), 2))
    below = 0.2 * -(-(len(legend) + (len(curves) > len(legend))) // columns) + 0.12
    height = 3.4 + below
    figure = Figure(figsize=(width, height), layout=below_header(height, below))
    panels = figure.subplots(1, max(len(terms), 1), sharex=True, squeeze=False)[0]
    handles = {}
    for axes, term in zip(panels, terms, strict=False):
        drawn = []
        # The best last, over the others.
        for curve, colour in sorted(zip(curves, colours, strict=True), key=lambda pair: pair[0].best):
            epochs, best = _column(curve, "epoch"), len(curves) > COLOURED and curve.best
            few = {"marker": "o", "markersize": 2.5} if np.isfinite(epochs).sum() < 2 else {}
            val, train = _column(curve, f"val/{term}"), _column(curve, f"train/{term}")
            zorder = 3 if curve.best else 2
            (line,) = axes.plot(
                epochs, val, color=colour, linewidth=2 if curve.best else 1.2, zorder=zorder, **few
            )
            if len(curves) <= COLOURED or best:
                axes.plot(epochs, train, color=colour, linewidth=0.8, dashes=(3, 2), alpha=0.7, zorder=zorder)
                drawn.append(train)
            kept = np.flatnonzero(epochs == curve.best_epoch) if colour != GREY else np.array([], int)
            axes.plot(epochs[kept[:1]], val[kept[:1]], "o", color=colour, markersize=4, zorder=4)
            handles[curve.label] = line
            drawn.append(val)
        finite = [values for values in drawn if np.isfinite(values).any()]
        if finite:
            axes.set_ylim(*limits(finite))
        axes.set_title(TERMS[term])
        if words := verdicts.get(f"val/{term}"):
            axes.set_title(words, loc="right", color=ACCENT, fontsize=8)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
    panels[0].set_ylabel("nats per example")
    header(figure, name, "runs compared", "lines: validation; dashed: training; dots: the model that is kept")
    shown = [(handles[curve.label], _cut(curve)) for curve in legend if curve.label in handles]
    if len(legend) < len(curves):
        other = next(curve for curve in curves if curve not in legend)
        shown.append((handles[other.label], f"{len(curves) - len(legend)} {'other ' if legend else ''}runs"))
    figure.legend(
        [line for line, _ in shown], [text for _, text in shown], loc="lower left", ncols=columns,
        bbox_to_anchor=(0.02, 0.06 / height), handlelength=1.6, columnspacing=1.6, labelspacing=0.35, fontsize=8,
    )  # fmt: skip
    return figure


def _colours(curves: Sequence[Curve]) -> list[str]:
    """A colour a run; with more runs than colours, grey but for the best."""
    if len(curves) <= COLOURED:
        return [_LINES[i] for i in range(len(curves))]
    best = iter(_LINES)
    return [next(best, ACCENT) if curve.best else GREY for curve in curves]


GREY = "#b4b4b4"
# The order in which neighbours differ most as thin lines on white.
_LINES = tuple(TOL_MUTED[i] for i in (9, 3, 2, 4, 0, 8, 6, 7, 1, 5))


def _legend_columns(curves: Sequence[Curve], width: float) -> int:
    longest = max((len(_cut(curve)) for curve in curves), default=10)
    return max(1, min(int(width / (0.085 * longest + 0.55)), 5))


def _cut(curve: Curve) -> str:
    label = curve.label if len(curve.label) <= LABEL else f"{curve.label[: LABEL - 1]}…"
    return f"{label} (best)".replace("$", r"\$") if curve.best else label.replace("$", r"\$")


def _column(curve: Curve, key: str) -> NDArray[np.float64]:
    """Return one metric over the rows, ``(rows,)``, NaN where a row lacks it."""
    return np.array([float(row.get(key, np.nan)) for row in curve.rows])
