"""What a sweep's page says of all its runs together: their curves, and what they were done with."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from genlab.digest import Digest
from genlab.report import setting
from genlab.report.charts import Chart, Line, figure
from genlab.report.numbers import MEANING, number
from genlab.report.page import Html, section, tag
from genlab.runfiles import Environment
from genlab.sweep.reading import Sweep

CHARTS = 4  # metrics that are drawn, at most
DRAWN = 200  # runs that are drawn, at most: the first, and the best


def curves(sweep: Sweep) -> Html | None:
    """Return a chart of each validation metric: a line a run, that of the best in front."""
    best = None if sweep.best is None else sweep.best.digest
    runs = [o.digest for o in sweep.outcomes if o.digest is not None and o.digest.rows]
    others = [run for run in runs if run is not best]
    drawn = others[:DRAWN] + ([best] if best is not None else [])
    names = dict.fromkeys(name for run in drawn for row in run.rows for name in row if name.startswith("val/"))
    metric = sweep.spec.metric
    ordered = [metric] * (metric in names) + [name for name in names if name != metric]
    if not ordered:
        return None
    key = [("other", "a run"), ("val", "the best run")] if best is not None else [("other", "a run")]
    legend = tag("p", [tag("span", words, class_=f"key {kind}") for kind, words in key], class_="legend")
    left = len(others) - DRAWN
    more = tag("p", f"{left} more runs are not drawn.", class_="about") if left > 0 else None
    charts = tag("div", [_chart(name, drawn, best) for name in ordered[:CHARTS]], class_="charts")
    return section("Curves", legend, charts, more, about="Each run's evaluations, nats per example.")


def _chart(name: str, runs: list[Digest], best: Digest | None) -> Html:
    """Draw one metric; between two evaluations of a run that others have in between, a straight line."""
    by_epoch = all(len({row.get("epoch") for row in run.rows}) == len(run.rows) for run in runs)
    axis = "epoch" if by_epoch else "step"
    points = [
        (run, {row[axis]: row[name] for row in run.rows if axis in row and math.isfinite(row.get(name, math.nan))})
        for run in runs
    ]
    x = sorted({position for _, values in points for position in values})
    lines = [
        Line("val" if run is best else "other", _between(x, values), marked=run is best)
        for run, values in points
        if values
    ]
    lowest = best.best.get(name) if best is not None else None
    short = name.partition("/")[2]
    told = f"{len(lines)} runs" + (f"; {number(lowest)} of the best run" if lowest is not None else "")
    note = "" if lowest is None else number(lowest)
    return figure(Chart(short, MEANING.get(short, ""), told, x, axis, lines, note=note))


def _between(x: list[float], values: dict[float, float]) -> list[float]:
    own = sorted(values)
    found: list[float] = np.interp(x, own, [values[at] for at in own], left=math.nan, right=math.nan).tolist()
    return found


def environment(sweep: Sweep) -> Html | None:
    """Return what most runs were done with, and how many were done with something else."""
    made = [o.digest.made for o in sweep.outcomes if o.digest is not None and o.digest.made is not None]
    if not made:
        return None
    (_, most), *_ = Counter(map(_alike, made)).most_common()
    shown = next(env for env in made if Counter(map(_alike, made))[_alike(env)] == most)
    others = len(made) - most
    about = (
        f"Of all {len(made)} runs."
        if not others
        else (
            f"Of {most} of {len(made)} runs; the other{'s were' if others > 1 else ' was'} done with something "
            "else, as the page of each says."
        )
    )
    return section("Environment", setting.environment(shown), about=about)


def _alike(env: Environment) -> str:
    """Return what two runs that were done with the same have in common."""
    return env.model_dump_json(exclude={"command", "runner_figures"})
