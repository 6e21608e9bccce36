"""Pictures of results: bars with intervals, throughput against batch size, and the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from genlab.bench.result import Cell, Combination, Estimate, Peaks, Result
from genlab.bench.texts import speed_said, time_said
from genlab.plots.style import ACCENT, INK, QUIET, SECOND, TOL_MUTED, below_header, header, styled
from genlab.wording import printable

COLOURS = (TOL_MUTED[9], TOL_MUTED[3], TOL_MUTED[2], TOL_MUTED[4], TOL_MUTED[0], TOL_MUTED[8], TOL_MUTED[6])
MARKS = "osD^v<>p"
SPREADING = 20  # ratio of the largest to the smallest bar from which the axis is logarithmic


def draw_bars(results: Sequence[Result], names: Sequence[str], what: str | None = None) -> Figure:
    """Draw the speed of every combination, a bar for each result, with the interval of its median.

    Combinations that disagree are hatched. what: of one kind of work; by default the first that there is.
    """
    cells = [cell for result in results for cell in result.cells if cell.seconds is not None]
    kind = what or (cells[0].combination.what if cells else "train")
    every = list(dict.fromkeys(cell.combination for cell in cells if cell.combination.what == kind))
    with styled():
        height = 1.1 + 0.30 * max(len(every), 1) * max(len(results), 1) + 0.14 * len(every)
        figure = Figure(figsize=(7.2, height), layout=below_header(height))
        axes = figure.subplots()
        tops = [_bars(axes, result, name, number, len(results), every) for number, (result, name) in
                enumerate(zip(results, names, strict=True))]  # fmt: skip
        found = [value for values in tops for value in values]
        log = bool(found) and max(found) / min(found) >= SPREADING
        timed = kind in ("load", "start", "quality")
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlim(min(found) / 2, max(found) * 3)
        elif found:
            axes.set_xlim(0, max(found) * 1.22)
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: time_said(value) if timed else f"{value:,g}")
        )
        axes.set_yticks(range(len(every)), [_short(one) for one in every])
        axes.set_ylim(len(every) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("time of a call; shorter is better" if timed else "images a second; longer is better")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        if len(results) > 1:
            axes.legend(
                loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, fontsize=8, labelcolor=INK, borderpad=0
            )
        header(
            figure,
            _recipes(results),
            kind,
            "medians; lines: their intervals; hatched: disagrees",
        )
        return figure


def draw_scaling(results: Sequence[Result], names: Sequence[str], what: str = "train") -> Figure | None:
    """Draw throughput against batch size on logarithmic axes, a line for each way; None below two sizes."""
    lines: dict[str, list[tuple[int, Estimate]]] = {}
    for result, name in zip(results, names, strict=True):
        for cell in result.cells:
            own = cell.combination
            if own.what == what and own.batch_size is not None and cell.images_per_second is not None:
                way = _way(own) if len(results) == 1 else f"{name}: {_way(own)}"
                way = f"disagrees: {way}" if cell.disagrees else way
                lines.setdefault(way, []).append((own.batch_size, cell.images_per_second))
    sizes = sorted({size for points in lines.values() for size, _ in points})
    if len(sizes) < 2:
        return None
    with styled():
        figure = Figure(figsize=(6.4, 4.2), layout=below_header(4.2))
        axes = figure.subplots()
        for number, (name, points) in enumerate(lines.items()):
            ordered = sorted(points, key=lambda point: point[0])
            x = [size for size, _ in ordered]
            y = [estimate.median for _, estimate in ordered]
            errors = [[e.median - e.low for _, e in ordered], [e.high - e.median for _, e in ordered]]
            colour, mark = COLOURS[number % len(COLOURS)], MARKS[number % len(MARKS)]
            axes.errorbar(
                x, y, yerr=errors, color=colour, marker=mark, markersize=4, capsize=2, label=_literal(name)
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.xaxis.set_minor_formatter(NullFormatter())
        _plain_decades(axes)
        axes.set_xlabel("batch size")
        axes.set_ylabel("images a second")
        axes.grid(which="both")
        axes.set_axisbelow(True)
        axes.legend(fontsize=8, labelcolor=INK)
        header(figure, _recipes(results), f"{what}: scaling", "medians with their intervals")
        return figure


def draw_roofline(result: Result, device: str) -> Figure | None:
    """Draw what a device reaches at most, and where each combination stands; None if that was not measured."""
    peaks = [peak for peak in result.peaks if peak.device == device]
    cells = [
        cell
        for cell in result.cells
        if cell.roofline is not None and cell.combination.device == device
        if min(cell.roofline.flops, cell.roofline.flops_per_call) > 0  # without products there is no place for it
    ]
    if not peaks or not cells:
        return None
    with styled():
        figure = Figure(figsize=(7.2, 4.6), layout=below_header(4.6))
        axes = figure.subplots()
        at = [_intensity(cell) for cell in cells]
        knees = [peak.flops / peak.bytes for peak in peaks]
        left, right = min(at + knees) / 4, max(at + knees) * 8
        colours = {peak.precision: COLOURS[number % len(COLOURS)] for number, peak in enumerate(peaks)}
        for peak in peaks:
            _roof(axes, peak, left, right, colours[peak.precision])
        for number, cell in enumerate(cells):
            _point(axes, cell, colours.get(cell.combination.precision or "", QUIET), MARKS[number % len(MARKS)])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left, right)
        axes.set_xlabel("floating-point operations per byte that the operators move")
        axes.set_ylabel("operations a second")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _flops(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(which="major")
        axes.set_axisbelow(True)
        axes.legend(fontsize=7.5, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        header(
            figure,
            result.recipe.name,
            f"roofline of {device}",
            "lines: measured peaks; points: what a call reaches",
        )
        return figure


def _bars(
    axes: Axes, result: Result, name: str, number: int, of: int, every: Sequence[Combination]
) -> list[float]:
    wide = 0.8 / of
    shown = [(place, cell) for place, one in enumerate(every) if (cell := result.cell(one)) and cell.seconds]
    found = []
    for place, cell in shown:
        estimate = cell.images_per_second or cell.seconds
        assert estimate is not None
        y = place - 0.4 + wide * (number + 0.5)
        bad = cell.disagrees
        axes.barh(
            y, estimate.median, height=wide * 0.86, color=COLOURS[number % len(COLOURS)] if of > 1 else SECOND,
            hatch="////" if bad else None, edgecolor="white" if bad else "none", linewidth=0,
            label=_literal(name) if place == shown[0][0] else None,
        )  # fmt: skip
        axes.plot([estimate.low, estimate.high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt")
        said = speed_said(estimate.median) if cell.images_per_second else time_said(estimate.median)
        axes.annotate(
            f"{'disagrees  ' if bad else ''}{said}", (max(estimate.high, estimate.median), y), xytext=(5, 0),
            textcoords="offset points", va="center", fontsize=7.5, color=ACCENT if bad else QUIET,
        )  # fmt: skip
        found.append(estimate.median)
    return found


def _roof(axes: Axes, peak: Peaks, left: float, right: float, colour: str) -> None:
    x = np.geomspace(left, right, 200)
    y = np.minimum(peak.flops, x * peak.bytes)
    label = f"{_literal(peak.precision)}: {_flops(peak.flops)}, {peak.bytes / 1e9:,.3g} GB/s"
    axes.plot(x, y, color=colour, linewidth=1.4, label=label)


def _point(axes: Axes, cell: Cell, colour: str, mark: str) -> None:
    roofline, own = cell.roofline, cell.combination
    assert roofline is not None
    words = ("disagrees:" if cell.disagrees else "", own.what, own.precision, own.runner, own.batch_size)
    name = _literal(" ".join(str(word) for word in words if word))
    axes.plot(
        _intensity(cell), roofline.flops, mark, color=colour, markersize=6, markeredgecolor="white",
        markeredgewidth=0.6, label=f"{name}: {roofline.share_of_roof:.0%} of its roof", zorder=4, linestyle="none",
    )  # fmt: skip


def _intensity(cell: Cell) -> float:
    assert cell.roofline is not None
    return cell.roofline.flops_per_call / max(cell.roofline.bytes_per_call, 1.0)


def _flops(value: float) -> str:
    for factor, unit in ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s")):
        if value >= factor * 0.9995:
            return f"{value / factor:,.3g} {unit}"
    return f"{value:.3g} FLOP/s"


def _plain_decades(axes: Axes) -> None:
    low, high = axes.get_ylim()
    ticks = [base * 10.0**power for power in range(-2, 9) for base in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) >= 2 and all(b > a for a, b in pairwise(inside)):
        axes.set_yticks(inside, [f"{tick:,g}" for tick in inside])
        axes.yaxis.set_minor_formatter(NullFormatter())


def _way(own: Combination) -> str:
    return " ".join(part for part in (own.device, own.precision, own.runner) if part)


def _short(own: Combination) -> str:
    return _literal(
        " ".join(str(part) for part in (own.device, own.precision, own.runner, own.batch_size) if part)
    )


def _literal(text: str) -> str:
    """Return text that is drawn as it is: a name is not TeX, and a control character has no glyph."""
    return printable(text).replace("$", r"\$")


def _recipes(results: Sequence[Result]) -> str:
    return ", ".join(dict.fromkeys(result.recipe.name for result in results))
