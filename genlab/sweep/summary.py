"""What a sweep found: mean and standard deviation over the seeds of each combination, the best first."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from genlab.files import write_json, write_text
from genlab.space import Json
from genlab.sweep.outcome import Outcome


@dataclass(frozen=True)
class Spread:
    """The mean of a metric over runs, and their sample standard deviation, which one run alone has not."""

    mean: float
    std: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return that of some values."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.std is None else f"{self.mean:.3f} ± {self.std:.3f}"


@dataclass(frozen=True)
class Row:
    """One combination: its values, the seeds whose runs are completed, and each metric of their best epochs.

    failed: how many runs failed. seconds: the mean time of a run.
    """

    values: Mapping[str, Json]
    seeds: tuple[int, ...]
    failed: int
    metrics: Mapping[str, Spread]
    seconds: float

    def score(self, metric: str) -> float:
        """Return the mean of a metric, which is infinite where there is none."""
        mean = self.metrics[metric].mean if metric in self.metrics else math.inf
        return math.inf if math.isnan(mean) else mean


def summarise(outcomes: Sequence[Outcome], metric: str) -> list[Row]:
    """Return a row for each combination, the lowest mean of ``metric`` first, those without one last."""
    combinations: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        combinations.setdefault(outcome.trial.combination, []).append(outcome)
    rows = [_row(each) for each in combinations.values()]
    return sorted(rows, key=lambda row: row.score(metric))


def _row(outcomes: Sequence[Outcome]) -> Row:
    done = [outcome for outcome in outcomes if outcome.state == "completed"]
    names = [name for name in (done[0].metrics if done else ()) if all(name in each.metrics for each in done)]
    return Row(
        values=outcomes[0].trial.values,
        seeds=tuple(outcome.trial.seed for outcome in done),
        failed=sum(outcome.state == "failed" for outcome in outcomes),
        metrics={name: Spread.of([outcome.metrics[name] for outcome in done]) for name in names},
        seconds=statistics.fmean(outcome.seconds for outcome in done) if done else 0.0,
    )


def labels(keys: Sequence[str]) -> list[str]:
    """Return the keys without what is not needed to tell them apart: ``beta`` for ``objective.beta``."""
    ends = [[".".join(key.split(".")[i:]) for i in range(key.count("."), -1, -1)] for key in keys]
    every = [end for each in ends for end in each]
    return [next((end for end in each if every.count(end) == 1), each[-1]) for each in ends]


def summary(rows: Sequence[Row], metric: str) -> dict[str, object]:
    """Return the rows as plain values."""
    return {"version": 1, "metric": metric, "rows": [asdict(row) for row in rows]}


def write_summary(folder: Path, rows: Sequence[Row], metric: str) -> None:
    """Write ``summary.json`` and ``summary.csv``: the same rows, a column for each mean and deviation."""
    write_json(folder / "summary.json", summary(rows, metric))
    write_text(folder / "summary.csv", as_csv(rows))


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows as CSV; lists and mappings in it are JSON."""
    keys = list(rows[0].values) if rows else []
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    spreads = [f"{name} {what}" for name in names for what in ("mean", "std")]
    writer.writerow([*keys, "runs", "failed", "seeds", *spreads, "seconds"])
    for row in rows:
        found = [row.metrics.get(name) for name in names]
        pairs = [(spread.mean, spread.std) if spread else (None, None) for spread in found]
        numbers = [number for pair in pairs for number in pair]
        values = [value if isinstance(value, str) else json.dumps(value) for value in row.values.values()]
        seeds = " ".join(map(str, row.seeds))
        writer.writerow([*values, len(row.seeds), row.failed, seeds, *numbers, round(row.seconds, 3)])
    return stream.getvalue()
