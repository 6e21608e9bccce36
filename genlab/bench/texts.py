"""A comparison as Markdown, CSV and JSON; numbers of a benchmark as people read them."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import Any

from genlab.bench.comparing import Comparison, Row
from genlab.bench.result import Agreement, Cell, Estimate
from genlab.bench.statistics import LEVEL


def time_said(seconds: float) -> str:
    """Say a short time as people do: ``812 µs``, ``8.64 ms``, ``12.3 s``."""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds)} s"


def speed_said(speed: float) -> str:
    """Say images a second: three digits that mean something."""
    return f"{speed:,.0f}" if speed >= 99.95 else f"{speed:.3g}"


def interval_said(estimate: Estimate) -> str:
    """Say how sure a median is: ``±3 %``, with its level if that is below the usual; nothing of one process."""
    if estimate.processes < 2:
        return ""
    return f"±{100 * estimate.half_width:.2g} %{level_said(estimate.level)}"


def level_said(level: float) -> str:
    """Say what an interval covers if that is less than the usual: `` at 88 %``."""
    return f" at {100 * level:.0f} %" if level < LEVEL else ""


def agreement_said(agreement: Agreement | None) -> str:
    """Say whether a combination agrees, and by how much its gradient differs."""
    if agreement is None:
        return ""
    if agreement.disagrees:
        return f"DISAGREES: {', '.join(agreement.disagrees)}"
    worst = agreement.gradient_error
    return "yes, exactly" if worst == 0 and agreement.val_loss_error == 0 else f"yes, gradient {worst:.0e}"


def both_said(row: Row) -> str:
    """Say whether both sides of a ratio agree."""
    first = f"first {agreement_said(row.first.agreement)}; " if row.first.disagrees else ""
    return first + agreement_said(row.other.agreement)


def ratio_said(row: Row) -> str:
    """Say a ratio with its interval: ``1.32 (1.22 to 1.41)``."""
    return f"{row.ratio.ratio:.3f} ({row.ratio.low:.3f} to {row.ratio.high:.3f})"


def as_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown: verdict, ratios, and what else differs."""
    names = comparison.names
    lines = [f"**{comparison.verdict}**, first: {_cell(comparison.said(0))}", ""]
    if not comparison.same_recipe:
        lines += ["The recipes differ: these are times of different things.", ""]
    lines += [
        "| combination | result | agrees | times as long, with interval | verdict |",
        "| --- | --- | --- | ---: | --- |",
    ]
    for row in comparison.rows:
        cells = (row.combination.label, names[row.after], both_said(row), ratio_said(row), row.ratio.verdict)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    if comparison.alone:
        lines += ["", *(f"- {_cell(line)}" for line in comparison.alone)]
    if comparison.differences:
        lines += ["", f"| what differs | {' | '.join(map(_cell, names))} |", f"| --- |{' --- |' * len(names)}"]
        for each in comparison.differences:
            lines.append(f"| {' | '.join(map(_cell, (each.name, *each.values)))} |")
    return "\n".join(lines) + "\n"


COLUMNS = (
    "what", "device", "precision", "runner", "batch_size", "result", "first_disagrees", "disagrees",
    "first_seconds", "seconds", "first_images_per_second", "images_per_second", "ratio", "low", "high", "verdict",
)  # fmt: skip


def as_csv(comparison: Comparison) -> str:
    """Return a row for each ratio."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in comparison.rows:
        own = row.combination
        writer.writerow(
            [
                own.what,
                own.device,
                own.precision,
                own.runner,
                own.batch_size,
                comparison.names[row.after],
                " ".join(_wrong(row.first)),
                " ".join(_wrong(row.other)),
                _median(row.first.seconds),
                _median(row.other.seconds),
                _median(row.first.images_per_second),
                _median(row.other.images_per_second),
                row.ratio.ratio,
                row.ratio.low,
                row.ratio.high,
                row.ratio.verdict,
            ]
        )
    return text.getvalue()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything that a comparison has found, as plain values."""
    return {
        "results": list(comparison.names),
        "sittings": list(comparison.sittings),
        "verdict": comparison.verdict,
        "same_recipe": comparison.same_recipe,
        "rows": [
            {
                **row.combination.model_dump(),
                "result": comparison.names[row.after],
                "first_disagrees": _wrong(row.first),
                "disagrees": _wrong(row.other),
                "first_seconds": _median(row.first.seconds),
                "seconds": _median(row.other.seconds),
                "ratio": row.ratio.ratio,
                "low": row.ratio.low,
                "high": row.ratio.high,
                "verdict": row.ratio.verdict,
            }
            for row in comparison.rows
        ],
        "alone": comparison.alone,
        "differences": {each.name: list(each.values) for each in comparison.differences},
    }


def memory_said(cell: Cell) -> str:
    """Say the peak of the memory that is scarce: the device's own, else the host's."""
    peak = cell.peak_device_bytes or cell.peak_host_bytes
    return "" if peak is None else f"{peak / 2**20:,.0f} MiB"


def _wrong(cell: Cell) -> list[str]:
    return cell.agreement.disagrees if cell.agreement else []


def _median(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.median


def _three(value: float) -> str:
    return f"{value:.0f}" if value >= 99.95 else f"{value:.3g}"


def _cell(text: str) -> str:
    return escape(text, quote=False).replace("|", "\\|").replace("\n", " ")
