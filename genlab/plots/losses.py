"""How training went."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from genlab.plots.style import ACCENT, INK, QUIET, SECOND, below_header, header
from genlab.plots.subject import Subject

TERMS = {"loss": "loss", "nll": "nll: −log p(x|z)", "kl": "kl: KL(q(z|x) ‖ p(z))"}
LINES = {"train": SECOND, "val": INK}

Series = dict[str, NDArray[np.float64]]


def losses(subject: Subject) -> Figure:
    """Draw loss, nll and kl per epoch, a panel each, of training and validation; the best epoch is marked."""
    epochs = _column(subject, "epoch")
    terms = {term: _series(subject, term) for term in TERMS}
    terms = {term: series for term, series in terms.items() if series}
    size = (3.1 * max(len(terms), 2), 3.4)
    figure = Figure(figsize=size, layout=below_header(size[1]))
    panels = figure.subplots(1, len(terms), sharex=True, squeeze=False)[0]
    best, cut = _best(subject, epochs, terms), False
    for axes, (term, series) in zip(panels, terms.items(), strict=True):
        for split, values in series.items():
            few = {"marker": "o", "markersize": 3} if len(epochs) <= 20 else {}
            axes.plot(epochs, values, color=LINES[split], label=_LEGEND[split], **few)
        bottom, top = limits(list(series.values()))
        axes.set_ylim(bottom, top)
        cut |= any(bool(((values < bottom) | (values > top)).any()) for values in series.values())
        axes.set_title(TERMS[term])
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        if best is not None:
            axes.axvline(epochs[best], color=ACCENT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            if "val" in series:
                axes.plot(epochs[best], series["val"][best], "o", color=ACCENT, markersize=5, zorder=4)
                axes.set_title(f"{series['val'][best]:.2f}", loc="right", color=ACCENT)
    panels[0].set_ylabel("nats per example")
    header(figure, subject.name, "losses", _subtitle(epochs, best, cut))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="upper right", ncols=len(names), bbox_to_anchor=(1, 1 - 0.08 / size[1]),
        handlelength=1.6, columnspacing=1.4, labelcolor=QUIET,
    )  # fmt: skip
    return figure


_LEGEND = {"train": "training", "val": "validation"}


def _subtitle(epochs: NDArray[np.float64], best: int | None, cut: bool) -> str:
    parts = [f"{len(epochs)} epoch{'s' * (len(epochs) != 1)}"]
    if best is not None:
        parts.append(f"best: epoch {epochs[best]:.0f}, its validation values in red")
    if cut:
        parts.append("the first epoch lies beyond the axes")
    return "; ".join(parts)


def _column(subject: Subject, key: str) -> NDArray[np.float64]:
    """Return one metric over the records, ``(rows,)``, NaN where a row lacks it."""
    return np.array([float(row.get(key, np.nan)) for row in subject.records])


def _series(subject: Subject, term: str) -> Series:
    """Return the splits in which a term was recorded."""
    found = {split: _column(subject, f"{split}/{term}") for split in LINES}
    return {split: values for split, values in found.items() if np.isfinite(values).any()}


def _best(subject: Subject, epochs: NDArray[np.float64], terms: dict[str, Series]) -> int | None:
    """Return the row of the best epoch, or None where it is not known."""
    if subject.best_epoch is not None:
        rows = np.flatnonzero(epochs == subject.best_epoch)
        return int(rows[0]) if len(rows) else None
    loss = terms.get("loss", {}).get("val")
    return None if loss is None else int(np.nanargmin(loss))


def limits(curves: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return limits of the y axis that leave the later epochs room.

    The first epoch often lies so far off that the rest is a flat line. If it does, the axis is cut and the
    curves enter from beyond it.
    """
    rest = np.concatenate([curve[1:] for curve in curves if len(curve) > 3] or list(curves))
    every = np.concatenate(list(curves))
    rest, every = rest[np.isfinite(rest)], every[np.isfinite(every)]
    if not len(rest):
        rest = every
    low, high = float(rest.min()), float(rest.max())
    room = (high - low) or abs(high) * 0.1 or 1.0
    bottom = float(every.min()) if every.min() > low - 0.5 * room else low - 0.1 * room
    top = float(every.max()) if every.max() < high + 0.5 * room else high + 0.1 * room
    return bottom - 0.06 * room, top + 0.06 * room
