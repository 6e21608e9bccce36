"""Which runner is fastest for a training: found by measuring, compilation and capture included."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from torch import Tensor

from genlab.device import RunnerName
from genlab.errors import GenlabError
from genlab.train.runners import Runner
from genlab.train.state import TrainState

WARM, TIMED = 5, 24  # steps of each candidate
WORTH = {
    "eager": 0.0,
    "graph": 5.0,
    "compile": 60.0,
}  # seconds of eager training left that make trying it worth while


@dataclass(frozen=True)
class Measured:
    """What one candidate takes: seconds to prepare, seconds a step; or why it was not measured."""

    prepare: float = 0.0
    step: float = 0.0
    reason: str = ""

    def total(self, steps: int) -> float:
        """Seconds for so many steps."""
        return self.prepare + steps * self.step

    def __str__(self) -> str:
        return self.reason or f"{self.step * 1e3:.2f} ms a step after {self.prepare:.1f} s"


@dataclass
class Choice:
    """The runner that was chosen, and the figures of every candidate."""

    name: RunnerName
    runner: Runner
    figures: dict[str, Measured] = field(default_factory=dict)


def choose(
    builders: Mapping[RunnerName, Callable[[], Runner]], state: TrainState, batches: Sequence[Tensor], steps: int
) -> Choice:
    """Measure each candidate on one group of batches, ``eager`` first; the state stays as it is.

    The one that would be done first with ``steps`` steps is chosen. A candidate that fails is passed over, and
    so is one whose preparation alone would not pay.
    """
    settings = [(group, dict(group)) for group in state.optimizer.param_groups]
    best: Choice | None = None
    figures: dict[str, Measured] = {}
    for name, build in builders.items():
        left = figures["eager"].total(steps) if "eager" in figures else float("inf")
        if left < WORTH[name]:
            figures[name] = Measured(reason=f"not tried: {left:.0f} s of training do not pay for it")
            continue
        try:
            started = time.perf_counter()
            runner = build()
            prepare = time.perf_counter() - started
            with state.unchanged():
                figures[name] = Measured(prepare, _seconds(runner, state, batches))
        except GenlabError as error:
            if name == "eager":
                raise
            figures[name] = Measured(reason=f"not possible: {error}")
            continue
        if best is None or figures[name].step * steps < figures[best.name].step * steps:
            best = Choice(name, runner)
    assert best is not None
    if best.name != "graph":  # which needs another kind of learning rate
        for group, before in settings:
            group.update(before)
    best.figures = figures
    return best


def _seconds(runner: Runner, state: TrainState, batches: Sequence[Tensor]) -> float:
    """Return the median time of a step, in seconds."""
    times = []
    for i in range(WARM + TIMED):
        started = time.perf_counter()
        runner(batches)
        state.device.synchronize()
        if i >= WARM:
            times.append(time.perf_counter() - started)
    return median(times)
