"""One plot for each swept key: the metric against its values."""

from __future__ import annotations

import itertools
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from genlab.files import explained
from genlab.plots import save_png
from genlab.plots.style import ACCENT, INK, QUIET, SECOND, TOL_MUTED, below_header, header, styled
from genlab.space import Choices, Json, Range
from genlab.sweep.outcome import Outcome
from genlab.sweep.reading import Sweep

SIZE = (5.6, 3.8)  # inches
LINES = 6  # values of a second key that each have a line of their own, at most
TICKS = 8  # numbers that the axis names one by one, at most
RATIO = 8  # numbers whose ends have at least this ratio are on a logarithmic axis
LINE_COLOURS = (INK, TOL_MUTED[0], TOL_MUTED[4], TOL_MUTED[2], TOL_MUTED[1], TOL_MUTED[9])


def draw_sweep(sweep: Sweep) -> list[Path]:
    """Draw ``plots/<key>.png`` of each swept key that has results; return the files' paths.

    Raises ``RunError`` if a file cannot be written.
    """
    folder = sweep.path / "plots"
    paths = []
    for key in sweep.spec.space:
        points = [
            each
            for each in sweep.outcomes
            if each.state == "completed" and math.isfinite(each.metrics.get(sweep.spec.metric, math.nan))
        ]
        if points:
            with explained(folder):
                folder.mkdir(exist_ok=True)
            path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', key)}.png"
            save_png(draw_key(sweep, key, points), path)
            paths.append(path)
    return paths


def draw_key(sweep: Sweep, key: str, points: Sequence[Outcome]) -> Figure:
    """Draw the metric of some runs against their values of one key.

    Each run is a point. Lines join the means over runs of one value: one line for each value of the other key, if
    there is one other with few values, else one over all that was swept besides. A range has no lines: hardly two
    runs share a value.
    """
    with styled():
        figure = Figure(figsize=SIZE, layout=below_header(SIZE[1]))
        axes = figure.subplots()
        axis = Axis.of([point.trial.values[key] for point in points])
        other = _other(sweep, key)
        runs = f"{len(points)} run{'s' * (len(points) != 1)}"
        if isinstance(sweep.spec.space[key], Range):
            _scatter(axes, axis, key, points, sweep.spec.metric, INK)
            what = "each point is a run"
        elif other is None:
            _scatter(axes, axis, key, points, sweep.spec.metric, SECOND)
            _line(axes, axis, key, points, sweep.spec.metric, INK)
            what = "line: mean over everything else" if len(sweep.spec.space) > 1 else "line: mean over seeds"
        else:
            for (value, group), colour in zip(_groups(points, other).items(), LINE_COLOURS, strict=False):
                _scatter(axes, axis, key, group, sweep.spec.metric, colour, faint=True)
                _line(axes, axis, key, group, sweep.spec.metric, colour, f"{other} = {_short(value)}")
            axes.legend(fontsize=8, labelcolor=QUIET, handlelength=1.6)
            what = "lines: means over seeds" if len(sweep.spec.seeds) > 1 else "lines join the runs"
        best = min(points, key=lambda point: point.metrics[sweep.spec.metric])
        axes.plot(
            axis.at(best.trial.values[key]), best.metrics[sweep.spec.metric],
            "o", color="none", markeredgecolor=ACCENT, markersize=9, markeredgewidth=1.2, zorder=5,
        )  # fmt: skip
        axis.apply(axes)
        axes.set_xlabel(key)
        axes.set_ylabel(f"{sweep.spec.metric}, nats per example")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        header(figure, sweep.spec.name, key, f"{runs}; {what}; the best run in a red circle")
        return figure


@dataclass(frozen=True)
class Axis:
    """Where values stand on the horizontal axis: numbers at their place, others one after the other.

    places: of the values, as JSON. log: equal ratios are equally far apart. numeric: the values are numbers.
    """

    places: Mapping[str, float]
    log: bool
    numeric: bool

    @classmethod
    def of(cls, values: Sequence[Json]) -> Axis:
        """Return the axis of some values."""
        distinct = list(dict.fromkeys(map(json.dumps, values)))
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) < len(values):
            return cls({value: float(i) for i, value in enumerate(distinct)}, log=False, numeric=False)
        log = min(numbers) > 0 and max(numbers) / min(numbers) >= RATIO
        return cls({value: float(json.loads(value)) for value in distinct}, log=log, numeric=True)

    def at(self, value: Json) -> float:
        """Return where a value stands."""
        return self.places[json.dumps(value)]

    def apply(self, axes: Axes) -> None:
        """Give the axes its scale and ticks: the values themselves, if they are few."""
        places = sorted(self.places.values())
        if self.log:
            axes.set_xscale("log")
        if not self.numeric:
            labels = [_short(value) for value in self.places]
            axes.set_xticks(list(self.places.values()), labels, rotation=20 if max(map(len, labels)) > 12 else 0)
            axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)
        elif len(places) <= TICKS and self._apart(places):
            axes.set_xticks(places)
            axes.xaxis.set_major_formatter(_plain())
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())

    def _apart(self, places: Sequence[float]) -> bool:
        """Whether each number has room for its name."""
        if len(places) < 2:
            return True
        scaled = [math.log(place) for place in places] if self.log else list(places)
        gaps = [b - a for a, b in itertools.pairwise(scaled)]
        return min(gaps) > 0.06 * (scaled[-1] - scaled[0])


def _plain() -> FuncFormatter:
    return FuncFormatter(lambda number, _: f"{number:g}")


def _short(written: str) -> str:
    text = str(value) if isinstance(value := json.loads(written), str) else written
    return text if len(text) <= 24 else f"{text[:23]}…"


def _other(sweep: Sweep, key: str) -> str | None:
    """Return the other key that lines can be told apart by, if there is just one and it has few values."""
    others = [other for other in sweep.spec.space if other != key]
    if len(others) != 1:
        return None
    choices = sweep.spec.space[others[0]]
    return others[0] if isinstance(choices, Choices) and len(choices.values) <= LINES else None


def _groups(points: Sequence[Outcome], key: str) -> dict[str, list[Outcome]]:
    """Return the runs by their value of a key, as JSON, in the order in which they were tried."""
    groups: dict[str, list[Outcome]] = {}
    for point in points:
        groups.setdefault(json.dumps(point.trial.values[key]), []).append(point)
    return groups


def _scatter(
    axes: Axes, axis: Axis, key: str, points: Sequence[Outcome], metric: str, colour: str, *, faint: bool = False
) -> None:
    x = [axis.at(point.trial.values[key]) for point in points]
    y = [point.metrics[metric] for point in points]
    axes.plot(x, y, "o", color=colour, markersize=4, alpha=0.5 if faint else 0.8, markeredgewidth=0)


def _line(
    axes: Axes, axis: Axis, key: str, points: Sequence[Outcome], metric: str, colour: str, label: str | None = None
) -> None:
    means = {
        axis.places[value]: statistics.fmean(point.metrics[metric] for point in group)
        for value, group in _groups(points, key).items()
    }
    x = sorted(means)
    joined = {"linestyle": "-"} if axis.numeric else {"linestyle": "none", "marker": "_", "markersize": 18}
    axes.plot(x, [means[place] for place in x], color=colour, label=label, **joined)
