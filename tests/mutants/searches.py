"""Searches with one mistake each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genlab.parts.searches import Random
from genlab.space import Json, Range, Space
from tests.mutants.making import Mutant, altered, general


class Listening(Random):
    """Hears what became of what it chose."""

    adaptive = True

    def __init__(self, space: Space, folder: Path, seed: int) -> None:
        super().__init__(space, folder, seed)
        self.heard: list[str] = []

    def tell(self, values: Mapping[str, Json], loss: float | None) -> None:
        self.heard.append(repr(values))


def beyond(self: Any, own: Any) -> Mapping[str, Json] | None:
    values = own()
    return values and {k: 1e6 if isinstance(self._space[k], Range) else v for k, v in values.items()}


def numpy_numbers(self: Any, own: Any) -> Mapping[str, Any] | None:
    values = own()
    return values and {k: np.float64(v).astype(np.float32) if v in (0.5, 1.5) else v for k, v in values.items()}


def others(self: Any, own: Any) -> Mapping[str, Json] | None:
    self._random = random.SystemRandom()
    values: Mapping[str, Json] | None = own()
    return values


def insists(self: Any, own: Any, values: Mapping[str, Json], loss: float | None) -> None:
    if repr(values) in self.heard:
        raise KeyError(repr(values))
    own(values, loss)


def reopens(self: Any, own: Any) -> Mapping[str, Json] | None:
    values: Mapping[str, Json] | None = own()
    if values is None and getattr(self, "ended", False):
        return {"a": 1}
    self.ended = values is None
    return values


def first_key(self: Any, own: Any) -> Mapping[str, Json] | None:
    values = own()
    return values and dict(list(values.items())[:1])


MUTANTS: dict[str, Mutant] = {name: mutant for name, mutant in general(Random).items() if "schema" not in name} | {
    "builds": altered(Random, "adaptive is a word", adaptive="no"),
    "asks_for_every_key": altered(Random, "a value for the first key alone", ask=first_key),
    "chooses_from_the_space": altered(Random, "leaves the range", ask=beyond),
    "returns_plain_values": altered(Random, "numpy's numbers", ask=numpy_numbers),
    "repeats_itself_under_a_seed": altered(Random, "draws from a source of its own", ask=others),
    "bears_being_told_again": altered(Listening, "a KeyError for what it has heard", tell=insists),
    "ends_with_none": altered(Random, "begins again after its end", ask=reopens),
}
