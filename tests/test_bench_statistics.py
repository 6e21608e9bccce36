"""The statistics of benchmarks: known answers, and how often they are wrong on machines that misbehave."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genlab.bench.statistics import (
    FEWEST,
    LEAST,
    SITTING,
    drift_of,
    median_interval,
    paired_ratio,
    ratio_of,
    sitting_ratio,
    spread_of,
)

PROCESSES, COMBINATIONS = 7, 6  # what `genlab bench` does by default on a machine with a CPU alone


class Machine:
    """A machine whose speed wanders, jumps and stumbles, from one process to the next.

    A slow wave (an AR(1) of about twenty processes, 2 %), a random walk that never returns, noise of each process
    with heavy tails (Student's t of three degrees, 1.5 %), one process in ten that something else holds up by
    5 to 80 %, and a level that a whole sitting has.
    """

    def __init__(self, seed: int, level: float) -> None:
        self.draw, self.level = np.random.default_rng(seed), level
        self.wave = self.walk = 0.0

    def process(self) -> float:
        draw = self.draw
        self.wave = 0.95 * self.wave + 0.02 * math.sqrt(1 - 0.95**2) * draw.normal()
        self.walk += 0.001 * draw.normal()
        held_up = draw.uniform(0.05, 0.6) if draw.random() < 0.1 else 0.0
        return math.exp(self.wave + self.walk + 0.015 * draw.standard_t(3) + held_up)

    def sitting(self, factor: float = 1.0) -> list[list[float]]:
        """Rounds of all combinations, each once a round in random order."""
        found: list[list[float]] = [[] for _ in range(COMBINATIONS)]
        factor *= math.exp(self.level * self.draw.normal())
        for _ in range(PROCESSES):
            for combination in self.draw.permutation(COMBINATIONS):
                found[combination].append(factor * 0.01 * self.process())
        return found

    def sittings(self, count: int, factor: float = 1.0) -> list[list[float]]:
        """The medians of several sittings, of each combination."""
        medians = [[float(np.median(values)) for values in self.sitting(factor)] for _ in range(count)]
        return [list(values) for values in zip(*medians, strict=True)]


@pytest.mark.parametrize("level", [0.0, 0.03])
def test_two_sittings_of_the_same_thing_are_called_the_same_nine_times_of_ten(level: float) -> None:
    alike = 0
    for seed in range(100):
        machine = Machine(seed, level)
        pairs = zip(machine.sitting(), machine.sitting(), strict=True)
        alike += all(sitting_ratio(a, b).verdict == "no significant difference" for a, b in pairs)
    assert alike >= 90  # of all six combinations at once


def test_where_a_side_is_several_sittings_their_level_may_be_anything() -> None:
    alike = slower = 0
    for seed in range(100):
        machine = Machine(2000 + seed, level=0.08)
        before, same, after = machine.sittings(5), machine.sittings(5), machine.sittings(5, 1.3)
        pairs = zip(before, same, strict=True)
        alike += all(ratio_of(a, b).verdict == "no significant difference" for a, b in pairs)
        slower += ratio_of(before[0], after[0]).verdict == "slower"
    assert alike >= 90
    assert slower >= 80


@pytest.mark.parametrize(("factor", "least"), [(1.2, 0.6), (1.5, 0.85), (1.9, 0.9)])
def test_what_is_slower_is_found(factor: float, least: float) -> None:
    found, total = 0, 0
    for seed in range(30):
        machine = Machine(1000 + seed, level=0.03)
        for a, b in zip(machine.sitting(), machine.sitting(factor), strict=True):
            found += sitting_ratio(a, b).verdict == "slower"
            total += 1
    assert found / total >= least


def test_a_quiet_machine_finds_ten_percent_and_many_sittings_three() -> None:
    draw = np.random.default_rng(0)
    a, b = (list(np.exp(0.003 * draw.normal(size=7))) for _ in range(2))
    slower = sitting_ratio(a, [1.1 * value for value in b])
    assert slower.verdict == "slower"
    assert slower.low < 1.1 < slower.high
    assert sitting_ratio([1.1 * value for value in b], a).verdict == "faster"
    assert sitting_ratio(a, [(1 + SITTING) * value for value in b]).verdict == "no significant difference"
    found = [
        ratio_of(*(list(factor * np.exp(0.003 * draw.normal(size=5))) for factor in (1, 1.03))).verdict
        for _ in range(50)
    ]
    assert found.count("slower") >= 45
    assert ratio_of(a, b).verdict == "no significant difference"


def test_below_the_least_difference_nothing_is_called_one() -> None:
    a = [1.0, 1.0001, 0.9999, 1.0, 1.0001, 0.9999, 1.0]
    assert ratio_of(a, [value * (1 + LEAST / 2) for value in a]).verdict == "no significant difference"
    assert ratio_of(a, [value * (1 + 2 * LEAST) for value in a]).verdict == "slower"


def test_drift_within_a_sitting_widens_the_interval() -> None:
    steady = [1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0]
    drifting = [1.0, 1.0, 1.0, 1.05, 1.1, 1.1, 1.1]
    assert drift_of(drifting) == pytest.approx(math.log(1.1))
    assert drift_of([1.0, 2.0, 3.0]) == 0  # too few to tell
    after = [1.12 * value for value in steady]
    assert sitting_ratio(steady, after).verdict == "slower"
    assert sitting_ratio(drifting, [1.12 * value for value in drifting]).verdict == "no significant difference"


def test_too_few_values_say_so() -> None:
    few = [1.0] * (FEWEST - 1)
    assert ratio_of(few, [3.0] * 7).verdict == "too few measurements"
    with pytest.raises(ValueError, match="no values"):
        ratio_of([], [1.0])


def test_a_spread_is_that_of_its_values() -> None:
    spread = spread_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (spread.median, spread.first_quartile, spread.third_quartile, spread.count) == (3, 2, 4, 5)
    assert 1 <= spread.low <= 2
    assert 4 <= spread.high <= 5
    assert spread_of([2.0]).half_width == 0


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 8, 9, 10, 15])
def test_the_interval_of_a_median_covers_it_as_often_as_it_says(count: int) -> None:
    draw = np.random.default_rng(1)
    found = [spread_of(list(np.exp(0.1 * draw.standard_t(3, size=count)))) for _ in range(2000)]
    covered = np.mean([spread.low <= 1.0 <= spread.high for spread in found])
    assert found[0].level == pytest.approx(1 - 2 ** (1 - count) if count < 6 else 0.95)
    assert covered == pytest.approx(found[0].level, abs=0.02)


def test_an_interval_of_a_median_has_known_ends() -> None:
    values = [3.0, 1.0, 2.0, 5.0, 4.0, 7.0, 6.0, 8.0, 10.0, 9.0]
    low, high, level = median_interval(values)  # the second encloses 0.9785, the third 0.8906
    assert low == pytest.approx(2 + 8 * 0.324 / (2 + 6 * 0.324), abs=0.01)  # 0.324 of the way in probability
    assert low + high == pytest.approx(11)
    assert level == 0.95
    assert median_interval([2.0]) == (2.0, 2.0, 0.0)
    assert median_interval([1.0, 3.0]) == (1.0, 3.0, 0.5)


def test_paired_ratios_do_not_see_drift_that_hits_both() -> None:
    drift = [1.0, 1.2, 0.8, 1.5, 1.1, 0.9, 1.3]
    ratio, low, high, level = paired_ratio(drift, [1.3 * value for value in drift])
    assert (ratio, low, high, level) == pytest.approx((1.3, 1.3, 1.3, 0.95))
    with pytest.raises(ValueError, match="as many"):
        paired_ratio([1.0], [])
