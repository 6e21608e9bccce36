"""How sure a median over processes is, and whether two of them differ.

A process is the unit: windows within one share its memory layout, its cores and the moment, so they are no
independent samples. Each process counts once, as the median of its windows; intervals are percentile bootstraps
over processes (Efron & Tibshirani 1993, chapter 13), of logarithms where ratios are formed.

Two results come from two sittings, and between sittings a machine changes by more than chance within one tells.
So a difference is called significant only if its interval, widened by the drift that was seen within both
sittings, leaves out 1, and if it exceeds ``LEAST``. A level that one whole sitting has and another has not cannot
be seen so (``docs/bench.md`` has figures). ``tests/test_bench_statistics.py`` holds this to its promise:
two results of the same thing, six combinations each, on a machine that drifts and stumbles, are called the same
in every one of the six at least nine times of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000
LEAST = 0.02  # differences up to this share are never called one: between sittings, nobody measures better
FEWEST = 4  # processes a side below which nothing is called significant
LEVEL = 0.95

Floats = NDArray[np.float64]
Verdict = Literal["slower", "faster", "no significant difference", "too few processes"]


@dataclass(frozen=True)
class Spread:
    """Median, quartiles, and the interval of the median at ``LEVEL``, over so many values."""

    median: float
    first_quartile: float
    third_quartile: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        """Half the interval as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else float("inf")

    @property
    def spread(self) -> float:
        """The distance between the quartiles as a share of the median."""
        return (self.third_quartile - self.first_quartile) / self.median if self.median else float("inf")


@dataclass(frozen=True)
class Ratio:
    """How many times as long B takes as A, with its interval; above 1 is slower."""

    ratio: float
    low: float
    high: float
    verdict: Verdict


def spread_of(values: Sequence[float]) -> Spread:
    """Return what is quoted of some processes' values. Raises ``ValueError`` if there are none."""
    if not values:
        raise ValueError("no values")
    sample = np.asarray(values, dtype=np.float64)
    first, middle, third = (float(q) for q in np.quantile(sample, (0.25, 0.5, 0.75)))
    low, high = _interval(_medians(sample, 0), LEVEL)
    return Spread(middle, first, third, low, high, len(values))


def drift_of(values: Sequence[float]) -> float:
    """Return how far apart the medians of the first and the second half are, as a logarithm of their ratio.

    values: positive, in the order in which they were measured.
    """
    half = len(values) // 2
    if half < 2:
        return 0.0
    sample = np.log(np.asarray(values, dtype=np.float64))
    return float(abs(np.median(sample[:half]) - np.median(sample[-half:])))


def ratio_of(before: Sequence[float], after: Sequence[float], *, allowance: float = 0.0) -> Ratio:
    """Return how many times as long ``after`` takes as ``before``: seconds of each process, in order of time.

    allowance: widens the interval further, a logarithm: what else happened may explain so much. Raises
    ``ValueError`` if a side is empty.
    """
    if not before or not after:
        raise ValueError("no values")
    a, b = (np.log(np.asarray(side, dtype=np.float64)) for side in (before, after))
    middle = float(np.median(b) - np.median(a))
    low, high = _interval(_medians(b, 1) - _medians(a, 2), LEVEL)
    drift = drift_of(before) + drift_of(after) + allowance
    low, high = min(low, middle) - drift, max(high, middle) + drift
    verdict = _verdict(a, b, middle, low, high)
    return Ratio(float(np.exp(middle)), float(np.exp(low)), float(np.exp(high)), verdict)


def paired_ratio(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio of two cells of one sitting with its interval, formed round by round: drift falls out.

    before, after: seconds of the same rounds. Raises ``ValueError`` if there are none or they are unequally many.
    """
    if not before or len(before) != len(after):
        raise ValueError("as many values on either side are expected")
    logs = np.log(np.asarray(after, dtype=np.float64)) - np.log(np.asarray(before, dtype=np.float64))
    low, high = _interval(_medians(logs, 3), LEVEL)
    return float(np.exp(np.median(logs))), float(np.exp(low)), float(np.exp(high))


def _verdict(a: Floats, b: Floats, middle: float, low: float, high: float) -> Verdict:
    if min(len(a), len(b)) < FEWEST:
        return "too few processes"
    if low > 0 and middle > np.log1p(LEAST):
        return "slower"
    if high < 0 and middle < -np.log1p(LEAST):
        return "faster"
    return "no significant difference"


def _medians(sample: Floats, seed: int) -> Floats:
    """Return the medians of bootstrap samples ``(DRAWS,)``."""
    draw = np.random.default_rng(seed)
    return np.asarray(np.median(sample[draw.integers(0, len(sample), (DRAWS, len(sample)))], axis=1))


def _interval(values: Floats, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, (tail, 1 - tail), method="inverted_cdf")
    return float(low), float(high)
