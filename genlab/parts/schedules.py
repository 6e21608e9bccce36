"""Learning-rate schedules: pure functions of the step, or of the evaluations so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from genlab.errors import TrainingError
from genlab.interfaces import Schedule

Share = Annotated[float, Ge(0), Le(1)]


def warmup(step: int, steps: int) -> float:
    """Return a factor that rises linearly, and is 1 from step ``steps`` on (Goyal et al. 2017, section 2.2)."""
    return min(1.0, (step + 1) / (steps + 1))


class Constant(Schedule):
    """The optimizer's own rate throughout.

    warmup_steps: it rises linearly over so many steps first.
    """

    def __init__(self, *, warmup_steps: NonNegativeInt = 0) -> None:
        self.warmup_steps = warmup_steps

    def factor(self, step: int, steps: int, history: Sequence[Mapping[str, float]]) -> float:
        """Return 1, or less during warm-up."""
        return warmup(step, self.warmup_steps)


class Cosine(Schedule):
    """Half a cosine from the optimizer's rate down (Loshchilov & Hutter 2017), without restarts.

    warmup_steps: a linear rise over so many steps comes first. final: the rate after the last step, as a share.
    """

    def __init__(self, *, warmup_steps: NonNegativeInt = 0, final: Share = 0.0) -> None:
        self.warmup_steps, self.final = warmup_steps, final

    def factor(self, step: int, steps: int, history: Sequence[Mapping[str, float]]) -> float:
        """Return the factor at this share of the way."""
        if step < self.warmup_steps:
            return warmup(step, self.warmup_steps)
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return _cosine(1.0, self.final, done)


class OneCycle(Schedule):
    """Up to the optimizer's rate and down again, along cosines (Smith & Topin 2018); momentum stays as it is.

    peak: where the rate is highest, as a share of all steps. start, final: the first and the last rate, as
    shares of the highest.
    """

    def __init__(
        self, *, peak: Annotated[float, Gt(0), Lt(1)] = 0.3, start: Share = 0.04, final: Share = 4e-6
    ) -> None:
        self.peak, self.start, self.final = peak, start, final

    def factor(self, step: int, steps: int, history: Sequence[Mapping[str, float]]) -> float:
        """Return the factor at this share of the way."""
        done = step / max(1, steps - 1)
        if done < self.peak:
            return _cosine(self.start, 1.0, done / self.peak)
        return _cosine(1.0, self.final, (done - self.peak) / (1 - self.peak))


class Plateau(Schedule):
    """Lower the rate whenever a metric has not fallen for some evaluations.

    monitor: the metric. patience: evaluations without a new best before the rate is lowered. shrink: by what.
    final: the lowest rate, as a share of the optimizer's. warmup_steps: a linear rise comes first.
    """

    def __init__(
        self,
        *,
        monitor: str = "val/loss",
        patience: PositiveInt = 2,
        shrink: Annotated[PositiveFloat, Lt(1)] = 0.1,
        final: Share = 1e-4,
        warmup_steps: NonNegativeInt = 0,
    ) -> None:
        self.monitor, self.patience, self.shrink = monitor, patience, shrink
        self.final, self.warmup_steps = final, warmup_steps

    def factor(self, step: int, steps: int, history: Sequence[Mapping[str, float]]) -> float:
        """Go through the evaluations and return what is left of the rate."""
        factor, best, waited = 1.0, math.inf, 0
        for metrics in history:
            if self.monitor not in metrics:
                raise TrainingError(
                    f"schedule plateau: no metric {self.monitor!r}; there are {', '.join(metrics)}"
                )
            if metrics[self.monitor] < best:
                best, waited = metrics[self.monitor], 0
            else:
                waited += 1
            if waited == self.patience:
                factor, waited = max(self.final, factor * self.shrink), 0
        return warmup(step, self.warmup_steps) * factor


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, done))) / 2
