"""Searches that do not look at results: every combination, or some drawn at random."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from genlab.errors import PartError
from genlab.interfaces import Search
from genlab.space import Choices, Json, Range, Space


class Grid(Search):
    """Every combination of the values, the last key's changing fastest."""

    adaptive = False

    def __init__(self, space: Space, folder: Path, seed: int) -> None:
        values = []
        for key, choices in space.items():
            if isinstance(choices, Range):
                raise PartError(
                    f"{key}: a grid has no end of values from {choices.low} to {choices.high}; list them, as "
                    f"in {key}={choices.low},{choices.high}, or draw some: --search random --samples 20"
                )
            values.append(choices.values)
        self._rest: Iterator[tuple[Json, ...]] = itertools.product(*values)
        self._keys = list(space)

    def ask(self) -> Mapping[str, Json] | None:
        """Return the next combination."""
        values = next(self._rest, None)
        return None if values is None else dict(zip(self._keys, values, strict=True))


class Random(Search):
    """Combinations drawn at random, none of them twice (Bergstra & Bengio 2012).

    Choices are equally likely; of a range equal parts are, or equal ratios if it is a logarithmic one.
    """

    adaptive = False

    def __init__(self, space: Space, folder: Path, seed: int) -> None:
        self._space = space
        self._random = random.Random(seed)
        self._drawn: set[str] = set()
        sizes = [len(s.values) if isinstance(s, Choices) else s.numbers for s in space.values()]
        self._size = math.inf if None in sizes else math.prod(size for size in sizes if size is not None)

    def ask(self) -> Mapping[str, Json] | None:
        """Draw a combination that was not drawn before; None if there is none left."""
        for _ in range(DRAWS):
            if len(self._drawn) >= self._size:
                return None
            values = {key: self._draw(choices) for key, choices in self._space.items()}
            drawn = json.dumps(values)
            if drawn not in self._drawn:
                self._drawn.add(drawn)
                return values
        return None  # ranges so narrow that four digits cannot tell their numbers apart

    def _draw(self, choices: Choices | Range) -> Json:
        if isinstance(choices, Choices):
            return self._random.choice(choices.values)
        return choices.at(self._random.random())


DRAWS = 100_000
"""How often to draw in search of something new: enough to find the last of 10,000 combinations."""
