"""Schedules with one mistake each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from genlab.parts.schedules import Constant, Cosine
from tests.mutants.making import Mutant, altered


class Unannotated(Constant):
    """An option without a type."""

    def __init__(self, *, scale=1) -> None:  # type: ignore[no-untyped-def]
        super().__init__()


class Doubling(Constant):
    """An option that doubles each time it is read."""

    def __init__(self, *, scale: Annotated[int, AfterValidator(lambda w: 2 * w)] = 4) -> None:
        super().__init__()


class Misdescribed(Constant):
    """An option whose schema refuses its default."""

    def __init__(self, *, scale: Annotated[int, Field(json_schema_extra={"maximum": 2})] = 4) -> None:
        super().__init__()


class Unbuildable(Constant):
    """Fails when it is built."""

    def __init__(self, *, warmup_steps: int = 0) -> None:
        self.share = 1 // warmup_steps


def once(self: Any, own: Any, step: int, steps: int, history: Any) -> float:
    self.factor_now = getattr(self, "factor_now", 1.0) * 0.99
    return float(self.factor_now)


def sorts(self: Any, own: Any, step: int, steps: int, history: Any) -> float:
    history.sort(key=lambda metrics: metrics["val/loss"])
    factor: float = own(step, steps, history)
    return factor


MUTANTS: dict[str, Mutant] = {
    "registers": Mutant(Unannotated, "an option without a type"),
    "says_what_it_is": Mutant(type("Nameless", (Cosine,), {}), "no docstring"),
    "builds": Mutant(Unbuildable, "a ZeroDivisionError in __init__"),
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
    "options_survive_a_recipe": Mutant(Doubling, "an option that doubles when it is read"),
    "schema_accepts_its_options": Mutant(Misdescribed, "a schema that refuses the default"),
}
