"""The numbers of a run's page: curves, metrics, timing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import median

from genlab.report.charts import Chart, Line, figure
from genlab.report.facts import Evaluation, RunFacts
from genlab.report.page import Content, Html, code, facts, folded, section, table, tag
from genlab.report.prose import inline
from genlab.units import duration

LISTED = 300  # evaluations in a table, at most
CURVES = 12  # charts, at most

MEANING = {
    "loss": "the objective",
    "nll": "−log p(x|z)",
    "kl": "KL(q(z|x) ‖ p(z))",
}
SPLITS = (("train", "training"), ("val", "validation"))


def number(value: float | None, digits: int = 2) -> str:
    """Write a metric's value; a dash where there is none."""
    if value is None:
        return "–"
    if math.isfinite(value) and value and (abs(value) < 0.1 or abs(value) >= 1e7):
        return f"{value:.3g}"
    return f"{value:,.{digits}f}"


def when(time: str | None) -> str:
    """Write a moment of the status file for people, in UTC."""
    try:
        return f"{datetime.fromisoformat(time or ''):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return time or "–"


def curves(run: RunFacts) -> Html | None:
    """Return a chart per metric, training and validation together, the kept evaluation marked."""
    evaluations = run.evaluations
    if not evaluations:
        return None
    names = list(dict.fromkeys(name.partition("/")[2] or name for e in evaluations for name in e.metrics))
    names.sort(key=lambda name: list(MEANING).index(name) if name in MEANING else len(MEANING))
    charts = [_curve(run, name) for name in names[:CURVES]]
    legend = tag(
        "p",
        [tag("span", words, class_=f"key {split}") for split, words in SPLITS],
        tag("span", "the kept model", class_="key best") if run.best else None,
        class_="legend",
    )
    more = len(names) - len(charts)
    left = tag("p", f"{more} more metrics are in metrics.jsonl.", class_="about") if more > 0 else None
    about = "Nats per example after each evaluation. A first value far from the rest lies beyond the axes."
    return section("Curves", legend, tag("div", charts, class_="charts"), left, about=about)


def _curve(run: RunFacts, name: str) -> Html:
    evaluations, best = run.evaluations, run.best
    lines, told = [], []
    for split, words in SPLITS:
        values = [e.metrics.get(f"{split}/{name}", math.nan) for e in evaluations]
        if any(map(math.isfinite, values)):
            lines.append(Line(split, values, marked=split == "val"))
            told.append(f"{words} from {number(values[0])} to {number(values[-1])}")
    if not lines:
        lines.append(Line("val", [e.metrics.get(name, math.nan) for e in evaluations], marked=True))
    at_best = best.metrics.get(f"val/{name}") if best else None
    if best and at_best is not None:
        told.append(f"{number(at_best)} at the kept model, epoch {best.epoch}")
    x, x_name = _positions(evaluations)
    chart = Chart(
        title=name,
        meaning=MEANING.get(name, ""),
        about="; ".join(told),
        x=x,
        x_name=x_name,
        lines=lines,
        note=number(at_best) if at_best is not None else "",
        marked=evaluations.index(best) if best else None,
    )
    return figure(chart)


def _positions(evaluations: Sequence[Evaluation]) -> tuple[list[float], str]:
    """Return where evaluations stand: by epochs, or by steps where an epoch has several."""
    epochs = [e.epoch for e in evaluations]
    if len(set(epochs)) == len(epochs):
        return [float(epoch) for epoch in epochs], "epoch"
    return [float(e.step) for e in evaluations], "step"


def metrics(run: RunFacts) -> Html:
    """Return the metrics of the kept model and of the last evaluation, and how they were taken."""
    best, last = run.best, run.last
    if last is None:
        return section("Metrics", tag("p", "The run ended before its first evaluation."))
    kept = best.metrics if best else run.status.best
    epoch = best.epoch if best else run.status.best_epoch
    names = list(dict.fromkeys([*kept, *last.metrics]))
    rows = [[code(name), number(kept.get(name), 3), number(last.metrics.get(name), 3)] for name in names]
    columns = ("metric", f"kept, epoch {epoch or '–'}", f"last, epoch {last.epoch}")
    protocol = tag("p", inline(run.kept.protocol)) if run.kept else None
    shown = run.evaluations[-LISTED:]
    left = len(run.evaluations) - len(shown)
    earlier = f"The last {LISTED}; the {left:,} before are in metrics.jsonl."
    every = folded(
        f"All {len(run.evaluations):,} evaluations",
        tag("p", earlier, class_="about") if left else None,
        _evaluations(shown, names, best),
    )
    compared = table(columns, rows, numbers=(1, 2), caption="nats per example, lower is better")
    return section("Metrics", tag("div", compared, protocol, class_="beside"), every)


def _evaluations(evaluations: Sequence[Evaluation], names: Sequence[str], best: Evaluation | None) -> Html:
    rows: list[list[Content]] = []
    for e in evaluations:
        mark = tag("span", " kept", class_="kept") if e is best else None
        rows.append([[str(e.epoch), mark], e.step, *(number(e.metrics.get(name), 3) for name in names)])
    return table(("epoch", "step", *names), rows, numbers=range(1, len(names) + 2), caption="nats per example")


def timing(run: RunFacts) -> Html:
    """Return when the run took place, how long it took and how fast it went."""
    seconds, fast = run.digest.seconds, [e.images_per_second for e in run.evaluations if e.images_per_second]
    each = [e.seconds for e in run.evaluations if e.seconds is not None]
    pairs: list[tuple[str, Content]] = [
        ("started", when(run.status.started)),
        ("ended", when(run.status.finished) if run.status.finished else "–"),
    ]
    if seconds is not None and each:
        steps = run.evaluations[-1].step
        pairs += [
            ("training and evaluations", duration(seconds)),
            ("steps", steps),
            ("between evaluations", f"{duration(median(each))} (median of {len(each)})"),
        ]
    chart = None
    if fast:
        middle = run.digest.images_per_second or median(fast)
        pairs.append(("images/s", f"{middle:,.0f} (median; {min(fast):,.0f} to {max(fast):,.0f})"))
    if len(fast) > 2:
        x, x_name = _positions(run.evaluations)
        values = [e.images_per_second or math.nan for e in run.evaluations]
        told = f"between {min(fast):,.0f} and {max(fast):,.0f}"
        chart = figure(
            Chart(
                "images/s", "", told, x, x_name, [Line("val", values)], note="training steps alone", from_zero=True
            )
        )
    return section("Timing", tag("div", facts(pairs), chart, class_="beside"))
