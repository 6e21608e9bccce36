"""Schedules with one mistake each."""

from __future__ import annotations

from typing import Any

from genlab.parts.schedules import Cosine
from tests.mutants.making import Mutant, altered, general


def once(self: Any, own: Any, step: int, steps: int, history: Any) -> float:
    self.factor_now = getattr(self, "factor_now", 1.0) * 0.99
    return float(self.factor_now)


def sorts(self: Any, own: Any, step: int, steps: int, history: Any) -> float:
    history.sort(key=lambda metrics: metrics["val/loss"])
    factor: float = own(step, steps, history)
    return factor


MUTANTS: dict[str, Mutant] = general(Cosine) | {
    "builds": altered(Cosine, "a ZeroDivisionError in __init__", init=lambda self: divmod(1, 0)),
    "is_a_factor": altered(
        Cosine, "below zero at the end", factor=lambda self, own, step, steps, history: 1 - 2 * step / steps
    ),
    "bears_short_training": altered(
        Cosine,
        "divides by steps - 1",
        factor=lambda self, own, step, steps, history: max(0, 1 - step / (steps - 1)),
    ),
    "moves_the_rate_at_some_step": altered(
        Cosine,
        "a whole-number division",
        factor=lambda self, own, step, steps, history: step // max(steps, 1) * 1.0,
    ),
    "depends_on_its_arguments_alone": altered(Cosine, "a factor that shrinks at each call", factor=once),
    "leaves_the_history_alone": altered(Cosine, "sorts the history", factor=sorts),
}
