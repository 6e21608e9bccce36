"""Line charts as SVG that takes its colours from the page, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.plots.losses import limits
from genlab.report.page import Html, tag, together

WIDTH, HEIGHT = 360, 216
LEFT, RIGHT, TOP, BOTTOM = 48, 4, 8, 36
INNER, DEEP = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
INSET = 8  # between the axes' ends and the outermost points
DRAWN = 400  # points of a line, at most: more cannot be told apart
DOTTED = 25  # up to so many points each has a dot


@dataclass(frozen=True)
class Line:
    """One curve: its class in the style sheet, and a value per position, NaN where there is none.

    marked: it has a dot where the chart is marked.
    """

    class_: str
    values: Sequence[float]
    marked: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over common positions.

    meaning: the title's quiet half. about: what a reader who cannot see it is told. marked: the position that
    is marked. from_zero: the vertical axis starts at 0.
    """

    title: str
    meaning: str
    about: str
    x: Sequence[float]
    x_name: str
    lines: Sequence[Line]
    note: str = ""
    marked: int | None = None
    from_zero: bool = False


def figure(chart: Chart) -> Html:
    """Return a chart with its title, as a figure."""
    title = tag("span", tag("b", chart.title), " ", chart.meaning)
    note = tag("span", chart.note, class_="note") if chart.note else None
    return tag(
        "figure",
        tag("figcaption", title, note),
        _svg(chart),
        class_="chart",
    )


def ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """Return round numbers between two, about ``count`` of them: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    if whole:
        step = max(round(step), 1)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class _Frame:
    """Where values stand in the space within the axes."""

    left: float
    right: float
    bottom: float
    top: float

    def across(self, value: float) -> str:
        """Return the horizontal place of a position; the outermost keep off the edges."""
        return f"{INSET + (value - self.left) / (self.right - self.left) * (INNER - 2 * INSET):.1f}"

    def down(self, value: float) -> str:
        """Return the vertical place of a value."""
        return f"{(self.top - value) / (self.top - self.bottom) * DEEP:.1f}"


def _svg(chart: Chart) -> Html:
    values = [np.array(line.values, dtype=np.float64) for line in chart.lines]
    known = [v[np.isfinite(v)] for v in values if np.isfinite(v).any()]
    if not known:
        return tag("p", "No finite value was recorded.", class_="about")
    x = np.array(chart.x, dtype=np.float64)
    if chart.from_zero:
        bottom, top = 0.0, max(float(v.max()) for v in known) * 1.08 or 1.0
    else:
        bottom, top = limits([v for v in values if np.isfinite(v).any()])
    alone = not x[-1] > x[0]
    frame = _Frame(x[0] - alone, x[-1] + alone, bottom, top)
    mark = None
    if chart.marked is not None:
        at = frame.across(x[chart.marked])
        mark = tag("line", x1=at, x2=at, y1=0, y2=DEEP, class_="mark")
    drawn = [_line(line, x, v, frame, chart.marked) for line, v in zip(chart.lines, values, strict=True)]
    return tag(
        "svg",
        _axes(frame, chart.x_name),
        # A nested svg cuts what lies beyond the axes.
        tag("svg", mark, drawn, x=LEFT, y=TOP, width=INNER, height=DEEP),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{chart.title}: {chart.about}",
    )


def _axes(frame: _Frame, x_name: str) -> Html:
    """Draw the lines of the grid, and the numbers at both axes."""
    parts: list[Html] = []
    levels = ticks(frame.bottom, frame.top)
    step = levels[1] - levels[0] if len(levels) > 1 else abs(levels[0]) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    for level in levels:
        y = f"{TOP + float(frame.down(level)):.1f}"
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        written = f"{level:,.{digits}f}" if 1e-4 <= step < 1e6 else f"{level:.3g}"
        parts.append(tag("text", written, x=LEFT - 6, y=y, dy="0.32em", text_anchor="end"))
    for position in ticks(max(frame.left, 0), frame.right, whole=True):
        at = f"{LEFT + float(frame.across(position)):.1f}"
        parts.append(tag("line", x1=at, x2=at, y1=TOP + DEEP, y2=TOP + DEEP + 4, class_="axis"))
        parts.append(tag("text", _position(position), x=at, y=TOP + DEEP + 15, text_anchor="middle"))
    axis = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=TOP + DEEP, y2=TOP + DEEP, class_="axis")
    name = tag("text", x_name, x=LEFT + INNER // 2, y=HEIGHT - 3, text_anchor="middle", class_="name")
    return together(parts, axis, name)


def _position(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def _line(
    line: Line, x: NDArray[np.float64], values: NDArray[np.float64], frame: _Frame, marked: int | None
) -> Html:
    """Draw one line, broken where values are missing, with a dot per point if there are few."""
    every = math.ceil(len(x) / DRAWN)
    kept = [i for i in range(len(x)) if i % every == 0 or i in (marked, len(x) - 1)]
    runs: list[list[str]] = [[]]
    dots: list[Html] = []
    for i in kept:
        if not math.isfinite(values[i]):
            runs.append([])
            continue
        at, y = frame.across(x[i]), frame.down(values[i])
        runs[-1].append(f"{at},{y}")
        if len(x) <= DOTTED:
            dots.append(tag("circle", cx=at, cy=y, r="2.2"))
    lines = [tag("polyline", points=" ".join(run)) for run in runs if len(run) > 1]
    best = None
    if marked is not None and line.marked and math.isfinite(values[marked]):
        best = tag("circle", cx=frame.across(x[marked]), cy=frame.down(values[marked]), r="4", class_="best")
    return tag("g", lines, dots, best, class_=line.class_)
