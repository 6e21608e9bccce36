"""The statistics of benchmarks: known answers, and how often they are wrong on machines that misbehave."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genlab.bench.statistics import FEWEST, LEAST, drift_of, paired_ratio, ratio_of, spread_of

PROCESSES, COMBINATIONS = 7, 6  # what `genlab bench` does by default on a machine with a CPU alone


class Machine:
    """A machine whose speed wanders, jumps and stumbles, from one process to the next.

    A slow wave (an AR(1) of about twenty processes, 2 %), a random walk that never returns, noise of each process
    with heavy tails (Student's t of three degrees, 1.5 %), and one process in ten that something else holds up by
    5 to 80 %.
    """

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
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
        for _ in range(PROCESSES):
            for combination in self.draw.permutation(COMBINATIONS):
                found[combination].append(factor * 0.01 * self.process())
        return found


def test_two_sittings_of_the_same_thing_are_called_the_same_nine_times_of_ten() -> None:
    alike = 0
    for seed in range(100):
        machine = Machine(seed)
        pairs = zip(machine.sitting(), machine.sitting(), strict=True)
        alike += all(ratio_of(a, b).verdict == "no significant difference" for a, b in pairs)
    assert alike >= 90  # of all six combinations at once


@pytest.mark.parametrize(("factor", "least"), [(1.15, 0.6), (1.5, 0.85), (1.9, 0.9)])
def test_what_is_slower_is_found(factor: float, least: float) -> None:
    found, total = 0, 0
    for seed in range(30):
        machine = Machine(1000 + seed)
        for a, b in zip(machine.sitting(), machine.sitting(factor), strict=True):
            found += ratio_of(a, b).verdict == "slower"
            total += 1
    assert found / total >= least


def test_a_quiet_machine_finds_five_percent() -> None:
    draw = np.random.default_rng(0)
    a, b = (list(np.exp(0.003 * draw.normal(size=7))) for _ in range(2))
    slower = ratio_of(a, [1.05 * value for value in b])
    assert slower.verdict == "slower"
    assert slower.low < 1.05 < slower.high
    assert ratio_of([1.05 * value for value in b], a).verdict == "faster"
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
    after = [1.08 * value for value in steady]
    assert ratio_of(steady, after).verdict == "slower"
    assert ratio_of(drifting, [1.08 * value for value in drifting]).verdict == "no significant difference"


def test_too_few_processes_say_so() -> None:
    few = [1.0] * (FEWEST - 1)
    assert ratio_of(few, [3.0] * 7).verdict == "too few processes"
    with pytest.raises(ValueError, match="no values"):
        ratio_of([], [1.0])


def test_a_spread_is_that_of_its_values() -> None:
    spread = spread_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (spread.median, spread.first_quartile, spread.third_quartile, spread.count) == (3, 2, 4, 5)
    assert 1 <= spread.low <= 2
    assert 4 <= spread.high <= 5
    assert spread_of([2.0]).half_width == 0


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    covered = [
        spread.low <= 1.0 <= spread.high
        for spread in (spread_of(list(np.exp(0.1 * draw.standard_t(3, size=9)))) for _ in range(300))
    ]
    assert 0.90 <= np.mean(covered) <= 0.99


def test_paired_ratios_do_not_see_drift_that_hits_both() -> None:
    drift = [1.0, 1.2, 0.8, 1.5, 1.1, 0.9, 1.3]
    ratio, low, high = paired_ratio(drift, [1.3 * value for value in drift])
    assert (ratio, low, high) == pytest.approx((1.3, 1.3, 1.3))
    with pytest.raises(ValueError, match="as many"):
        paired_ratio([1.0], [])
