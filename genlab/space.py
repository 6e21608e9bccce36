"""What a sweep may choose from, for each key: some values, or a range of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue as Json

__all__ = ["Choices", "Json", "Range", "Space"]


@dataclass(frozen=True)
class Choices:
    """Some values, each once, in the order written."""

    values: tuple[Json, ...]


@dataclass(frozen=True)
class Range:
    """The numbers from ``low`` to ``high``, both included.

    log: equal ratios are equally likely, not equal differences. integer: whole numbers only.
    """

    low: int | float
    high: int | float
    log: bool = False
    integer: bool = False

    def at(self, share: float) -> int | float:
        """Return the number that lies so far from low to high; ``share`` in [0, 1).

        Of other than whole numbers four digits are kept: more would say nothing and be hard to read.
        """
        # Each whole number is as wide as the others: the outermost would get half their share otherwise.
        low, high = (self.low - 0.5, self.high + 0.5) if self.integer else (self.low, self.high)
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        value = round(value) if self.integer else float(f"{value:.4g}")
        return min(max(value, self.low), self.high)

    @property
    def numbers(self) -> int | None:
        """How many numbers it has, or None if that is no matter of counting."""
        return int(self.high) - int(self.low) + 1 if self.integer else None


Space = Mapping[str, Choices | Range]
"""What may be chosen for each key."""
