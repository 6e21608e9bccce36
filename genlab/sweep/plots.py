"""One plot for each swept key: the metric against its values."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, ScalarFormatter

from genlab.files import explained
from genlab.plots import save_png
from genlab.plots.style import ACCENT, INK, QUIET, SECOND, TOL_MUTED, below_header, header, styled
from genlab.space import Choices, Json, Range
from genlab.sweep.outcome import Outcome
from genlab.sweep.reading import Sweep

SIZE = (5.6, 3.8)  # inches
LINES = 6  # values of a second key that each have a line of their own, at most
TICKS = 8  # numbers that the axis names one by one, at most
DECADE = 10  # numbers whose ends differ by more are on a logarithmic axis
CROWDED = 1.6  # a metric's largest value by its median, above which some runs would hide the rest


def draw_sweep(sweep: Sweep) -> list[Path]:
    """Draw ``plots/<key>.png`` of each swept key that has results; return the files' paths.

    Raises ``RunError`` if a file cannot be written.
    """
    folder = sweep.path / "plots"
    paths = []
    for key in sweep.spec.space:
        points = [each for each in sweep.outcomes if each.state == "completed" and sweep.spec.metric in each.metrics]
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
            for (value, group), colour in zip(_groups(points, other).items(), _colours(sweep, other), strict=False):
                _scatter(axes, axis, key, group, sweep.spec.metric, colour, faint=True)
                _line(axes, axis, key, group, sweep.spec.metric, colour, f"{other} = {value}")
            axes.legend(fontsize=8, labelcolor=QUIET, handlelength=1.6)
            what = "lines: means over seeds" if len(sweep.spec.seeds) > 1 else "lines join the runs"
        best = min(points, key=lambda point: point.metrics[sweep.spec.metric])
        axes.plot(
            axis.at(best.trial.values[key]), best.metrics[sweep.spec.metric],
            "o", color="none", markeredgecolor=ACCENT, markersize=9, markeredgewidth=1.2, zorder=5,
        )  # fmt: skip
        axis.set(axes)
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
        log = min(numbers) > 0 and max(numbers) / min(numbers) >= DECADE
        return cls({value: float(json.loads(value)) for value in distinct}, log=log, numeric=True)

    def at(self, value: Json) -> float:
        """Return where a value stands."""
        return self.places[json.dumps(value)]

    def set(self, axes: Axes) -> None:
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
            axes.xaxis.set_major_formatter(ScalarFormatter() if not self.log else _plain())
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())

    def _apart(self, places: Sequence[float]) -> bool:
        """Whether each number has room for its name."""
        if len(places) < 2:
            return True
        scaled = [math.log(place) for place in places] if self.log else list(places)
        gaps = [b - a for a, b in zip(scaled, scaled[1:], strict=False)]
        return min(gaps) > 0.06 * (scaled[-1] - scaled[0])
