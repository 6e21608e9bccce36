"""From the processes of a combination to a median that can be quoted. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from genlab.bench.result import Estimate, Process
from genlab.bench.statistics import LEVEL, Spread, spread_of


def seconds_of(processes: Sequence[Process]) -> list[float]:
    """Return what each process takes for a call, the median of its windows, in order of time."""
    return [median(process.windows) for process in processes if process.windows]


def estimate(values: Sequence[float], bound: float) -> Estimate | None:
    """Return what is quoted of some values, one of each process; None if there are none."""
    if not values:
        return None
    found = spread_of(values)
    return Estimate(
        median=found.median,
        first_quartile=found.first_quartile,
        third_quartile=found.third_quartile,
        low=found.low,
        high=found.high,
        level=found.level,
        processes=found.count,
        half_width=found.half_width,
        narrow=is_narrow(found, bound),
    )


def is_narrow(found: Spread, bound: float) -> bool:
    """Whether an interval is one at the usual level, and narrower than half of it may be."""
    return found.level >= LEVEL and found.half_width <= bound
