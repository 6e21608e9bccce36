"""Windows of calls on a clock that tests turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genlab.bench.measuring import Meter


class Clock:
    """A clock that stands still until somebody works; the device runs behind until it is waited for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queued = 0.0
        self.waits = 0

    def __call__(self) -> float:
        return self.now

    def wait(self) -> None:
        self.now += self.queued
        self.queued, self.waits = 0.0, self.waits + 1


def measured(cost: Callable[[int], float], *, windows: int = 10, warm_up: float = 5.0) -> tuple[Meter, Clock, int]:
    clock = Clock()
    meter = Meter(windows, 0.1, warm_up, clock.wait, clock)
    calls = 0
    meter.start()
    while not meter.done:
        clock.queued += cost(calls)
        calls += 1
        meter.tick()
    return meter, clock, calls


def test_steady_calls_are_timed_exactly_and_the_first_stands_alone() -> None:
    meter, _, _ = measured(lambda call: 3.0 if call == 0 else 0.001)
    assert meter.first_call == pytest.approx(3.0)
    assert meter.windows == pytest.approx([0.001] * 10)
    assert meter.steady
    assert 0.05 <= meter.calls_per_window * 0.001 <= 0.2


def test_the_device_is_waited_for_at_the_edges_of_windows_alone() -> None:
    meter, clock, calls = measured(lambda call: 0.0005)
    edges = 1 + 1 + len(meter.warm_up) + len(meter.windows)  # the start, the first call, each window
    assert clock.waits == edges
    assert calls > 5 * edges


def test_calls_that_grow_faster_are_not_counted_until_they_are_steady() -> None:
    meter, _, _ = measured(lambda call: 0.001 * (1 + 4 * 0.99**call))
    assert meter.steady
    assert max(meter.windows) < 1.3 * min(meter.windows)
    assert meter.warm_up[0] > 2 * meter.windows[-1]


def test_what_never_becomes_steady_is_counted_all_the_same_and_says_so() -> None:
    meter, clock, _ = measured(lambda call: 0.0005 * 1.002 ** min(call, 4000), warm_up=2.0)
    assert not meter.steady
    assert len(meter.windows) == 10
    assert clock.now < 60


def test_slow_calls_are_windows_of_their_own() -> None:
    meter, _, calls = measured(lambda call: 2.0, windows=3, warm_up=5.0)
    assert meter.calls_per_window == 1
    assert meter.windows == pytest.approx([2.0] * 3)
    assert calls <= 8


def test_a_long_first_call_takes_nothing_from_the_warm_up() -> None:
    meter, _, _ = measured(lambda call: 60.0 if call == 0 else 0.001, warm_up=5.0)
    assert meter.first_call == pytest.approx(60.0)
    assert meter.steady
    assert meter.calls_per_window == 100


def test_no_window_is_wanted_where_the_first_call_is_all() -> None:
    meter, _, calls = measured(lambda call: 0.7, windows=0)
    assert calls == 0  # whoever drives a loop of its own asks after its first call
    meter.start()
    meter.tick()
    assert meter.first_call is not None
