"""Windows of calls, timed: warm-up until they are steady, then those that count.

The device is waited for at a window's edges only, so that what runs ahead in reality runs ahead here. The first
call stands alone: it is what a cold process pays. Then windows grow until they last long enough to be timed, and
count once their level no longer moves: the median of the last three lies within ``STILL`` of the three before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

STILL = 0.03
LOOKED_AT = 3  # windows on either side


class Meter:
    """Is told of each call, and says when there have been enough.

    windows: that count. seconds: what each is to last. warm_up: seconds, at most, until they count, steady or
    not. synchronize: waits for the device.
    """

    def __init__(
        self,
        windows: int,
        seconds: float,
        warm_up: float,
        synchronize: Callable[[], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.wanted, self.seconds, self.patience = windows, seconds, warm_up
        self.synchronize, self.clock = synchronize, clock
        self.first_call: float | None = None
        self.warm_up: list[float] = []
        self.windows: list[float] = []
        self.steady = False
        self.calls_per_window = 1
        self._full: list[float] = []
        self._calls = 0
        self._counting = False

    @property
    def done(self) -> bool:
        """Whether everything has been measured."""
        return len(self.windows) >= self.wanted

    def start(self) -> None:
        """Start the clock, just before the first call."""
        self.synchronize()
        self._began = self._edge = self.clock()

    def tick(self) -> None:
        """A call was made, or queued."""
        self._calls += 1
        if self._calls < self.calls_per_window and self.first_call is not None:
            return
        self.synchronize()
        now = self.clock()
        taken, calls = now - self._edge, self._calls
        self._calls = 0
        if self.first_call is None:
            self.first_call, self._began = taken, now  # patience begins now: compilation may have taken long
        elif self._counting:
            self.windows.append(taken / calls)
        else:
            self._warm(taken, calls, now)
        self._edge = self.clock()

    def _warm(self, taken: float, calls: int, now: float) -> None:
        self.warm_up.append(taken / calls)
        if taken < self.seconds / 2 and not self._full:
            longer = self.seconds / max(taken / calls, 1e-9)
            self.calls_per_window = max(calls + 1, min(10 * calls, round(longer)))
        else:
            self._full.append(taken / calls)
        self.steady = self._is_steady()
        self._counting = self.steady or now - self._began >= self.patience

    def _is_steady(self) -> bool:
        if len(self._full) < 2 * LOOKED_AT:
            return False
        before, last = median(self._full[-2 * LOOKED_AT : -LOOKED_AT]), median(self._full[-LOOKED_AT:])
        return abs(last - before) <= STILL * before
