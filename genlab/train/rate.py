"""The learning rate of each step: the optimizer's own, times the schedule's factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.optim import Optimizer

from genlab.interfaces import Schedule
from genlab.train.callbacks import Record


class LearningRate:
    """Sets the learning rate of an optimizer before each step; the rate that it was built with is kept beside.

    steps: how many there will be.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule, steps: int) -> None:
        self.optimizer, self.schedule, self.steps = optimizer, schedule, steps
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
        self.factor: float | None = None
        self.history: list[Mapping[str, float]] = []

    def set(self, step: int, records: Sequence[Record]) -> None:
        """Set the rate of the step that follows ``step`` steps and these evaluations."""
        if len(records) != len(self.history):
            self.history = [record.metrics for record in records]
        factor = self.schedule.factor(step, self.steps, self.history)
        if factor == self.factor:
            return
        self.factor = factor
        for group in self.optimizer.param_groups:
            rate = group["initial_lr"] * factor
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)  # a captured graph reads it there
            else:
                group["lr"] = rate
