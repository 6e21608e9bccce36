"""How sure a median over processes is, and whether two of them differ.

A process is the unit: windows within one share its memory layout, its cores and the moment, so they are no
independent samples. Each process counts once, as the median of its windows. The interval of a median is that of
the sign test, between its order statistics (Hettmansperger & Sheather 1986), which covers as much as it says for
every distribution and from six values on; of a ratio of two medians, a percentile bootstrap of logarithms (Efron &
Tibshirani 1993, chapter 13).

Two results come from two sittings, and between sittings a machine changes by more than chance within one tells:
where a hypervisor has put its cores, for one, which stays for minutes. So a difference of two sittings is called
significant only if its interval leaves out 1 after it was widened by ``SITTING``, by the drift that was seen
within both, and by what others took of the cores. Where each side is several sittings, these are the unit, and
nothing needs to be allowed for. ``tests/test_bench_statistics.py`` holds this to its promise: two results of the
same thing, six combinations each, on machines that drift, stumble and have a level of their own in each sitting,
are called the same in every one of the six at least nine times of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray

DRAWS = 4000
LEAST = 0.02  # differences up to this share are never called one
SITTING = 0.05  # what one sitting may differ from another of the same by and not show it
FEWEST = 5  # values a side below which nothing is called significant: the bootstrap covers too little
LEVEL = 0.95

Floats = NDArray[np.float64]
Verdict = Literal[
    "slower", "faster", "no significant difference", "too few measurements", "not all reached it"
]  # a training its val/loss


@dataclass(frozen=True)
class Spread:
    """Median, quartiles, and the interval of the median over so many values.

    level: of the interval; below six values even the smallest and the largest enclose less than ``LEVEL``.
    """

    median: float
    first_quartile: float
    third_quartile: float
    low: float
    high: float
    level: float
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
    low, high, level = median_interval(values)
    return Spread(middle, first, third, low, high, level, len(values))


def median_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Return an interval of the median and its level, exact for any continuous distribution but for one step.

    The d-th smallest and d-th largest of n values enclose the median with probability 1 - 2 P(B < d), B binomial
    with n and 1/2. Between the two d whose probabilities enclose ``level`` the ends are interpolated
    (Hettmansperger & Sheather 1986). If no d reaches it, the extremes and what they enclose are returned.
    """
    ordered, n = sorted(values), len(values)

    def enclosed(d: int) -> float:
        return 1 - sum(comb(n, i) for i in range(d)) / 2 ** (n - 1)

    if enclosed(1) < level:
        return ordered[0], ordered[-1], max(enclosed(1), 0.0)
    d = max(d for d in range(1, n // 2 + 1) if enclosed(d) >= level)
    step = (enclosed(d) - level) / (enclosed(d) - enclosed(d + 1))
    inward = (n - d) * step / (d + (n - 2 * d) * step)
    low = ordered[d - 1] + inward * (ordered[d] - ordered[d - 1])
    high = ordered[n - d] + inward * (ordered[n - d - 1] - ordered[n - d])
    return low, high, level


def drift_of(values: Sequence[float]) -> float:
    """Return how far apart the medians of the first and the second half are, as a logarithm of their ratio.

    values: positive, in the order in which they were measured.
    """
    half = len(values) // 2
    if half < 2:
        return 0.0
    sample = np.log(np.asarray(values, dtype=np.float64))
    return float(abs(np.median(sample[:half]) - np.median(sample[-half:])))


def sitting_ratio(before: Sequence[float], after: Sequence[float], *, busy: float = 0.0) -> Ratio:
    """Return how many times as long a sitting takes as another: seconds of each process, in order of time.

    busy: how much what others did in one and not in the other may explain, a logarithm. Raises ``ValueError`` if
    a side is empty.
    """
    return ratio_of(before, after, allowance=SITTING + drift_of(before) + drift_of(after) + busy)


def ratio_of(before: Sequence[float], after: Sequence[float], *, allowance: float = 0.0) -> Ratio:
    """Return how many times as long ``after`` takes as ``before``, independent values of either.

    allowance: widens the interval, a logarithm: what else happened may explain so much. Raises ``ValueError`` if a
    side is empty.
    """
    if not before or not after:
        raise ValueError("no values")
    a, b = (np.log(np.asarray(side, dtype=np.float64)) for side in (before, after))
    middle = float(np.median(b) - np.median(a))
    low, high = _interval(_medians(b, 1) - _medians(a, 2), LEVEL)
    low, high = min(low, middle) - allowance, max(high, middle) + allowance
    verdict = _verdict(a, b, middle, low, high)
    return Ratio(float(np.exp(middle)), float(np.exp(low)), float(np.exp(high)), verdict)


def paired_ratio(before: Sequence[float], after: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the ratio of two cells of one sitting, round by round so that drift falls out; low, high, level.

    before, after: seconds of the same rounds. Raises ``ValueError`` if there are none or they are unequally many.
    """
    if not before or len(before) != len(after):
        raise ValueError("as many values on either side are expected")
    logs = np.log(np.asarray(after, dtype=np.float64)) - np.log(np.asarray(before, dtype=np.float64))
    low, high, level = median_interval(logs.tolist())
    return float(np.exp(np.median(logs))), float(np.exp(low)), float(np.exp(high)), level


def _verdict(a: Floats, b: Floats, middle: float, low: float, high: float) -> Verdict:
    if min(len(a), len(b)) < FEWEST:
        return "too few measurements"
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
