"""A part under test: registered as a plugin would register it, and built as a recipe would build it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import JsonValue

from genlab.build import build_part
from genlab.errors import GenlabError, PluginError
from genlab.plugins import Plugins, installed
from genlab.recipe import PartSpec, Recipe
from genlab.registry import KINDS, Part, Registry
from genlab.resolving import recipe_from
from genlab.testing.checking import Skipped

NAME = "under_test"
DISTRIBUTION = "genlab.testing"
X_SHAPES = ((1, 4, 4), (5,), (3, 5, 7), (1, 28, 28))
"""The shapes of x that parts are tried with: a small image, a vector, one with odd sides, a digit."""
LATENTS = (3, 1, 2, 8)
"""The latent sizes that parts are tried with, the usual one first."""
BATCHES = (1, 3)
AROUND: Mapping[str, JsonValue] = {
    "name": NAME, "data": "bars", "encoder": {"use": "mlp", "hidden": [16]}, "latent": 3,
    "decoder": {"use": "mlp", "hidden": [16]}, "likelihood": "bernoulli",
}  # fmt: skip
"""A recipe of built-in parts, in which the part under test takes its place."""


class Overlay(Registry):
    """The installed parts, and one more."""

    def __init__(self, cls: type) -> None:
        super().__init__()
        for part in installed().registry.parts():
            self.register(part.name, part.cls, part.distribution)
        self.register(NAME, cls, DISTRIBUTION)


@dataclass(frozen=True)
class Registered:
    """What came of registering a class: a registry that has it, or why it was refused."""

    registry: Registry
    refusal: str = ""


class PartSubject:
    """A class that is to be a part of one kind, and the options that it is to be built with."""

    kind: ClassVar[str]

    def __init__(self, cls: type, /, **options: Any) -> None:
        self.cls, self.options = cls, options

    @property
    def title(self) -> str:
        """Kind and class, ``"encoder MyEncoder"``."""
        return f"{self.kind} {getattr(self.cls, '__name__', self.cls)}"

    @cached_property
    def registered(self) -> Registered:
        """What came of registering it."""
        if not isinstance(self.cls, type) or not issubclass(self.cls, KINDS[self.kind]):
            given = self.cls.__name__ if isinstance(self.cls, type) else repr(self.cls)
            return Registered(installed().registry, f"{given} is no subclass of {KINDS[self.kind].__name__}")
        try:
            return Registered(Overlay(self.cls))
        except PluginError as error:
            return Registered(installed().registry, str(error).replace(f" {NAME!r}", ""))

    @property
    def part(self) -> Part:
        """The registered part; raises ``Skipped`` if it was refused."""
        if self.registered.refusal:
            raise Skipped("it cannot be registered")
        return self.registered.registry.get(self.kind, NAME)

    @property
    def plugins(self) -> Plugins:
        """Everything installed, and the part under test."""
        there = installed()
        known = (*there.distributions, (DISTRIBUTION, "unknown"))
        return replace(there, registry=self.registered.registry, distributions=known)

    @property
    def written(self) -> dict[str, JsonValue]:
        """The part as it stands in a recipe."""
        return {"use": NAME, **self.options}

    def recipe(self, options: Mapping[str, JsonValue] | None = None, **changes: JsonValue) -> Recipe:
        """Return a recipe with the part in its place; ``options`` instead of its own."""
        spec: dict[str, JsonValue] = self.written if options is None else {"use": NAME, **options}
        place: dict[str, JsonValue] = {"trackers": [spec]} if self.kind == "tracker" else {self.kind: spec}
        return recipe_from({**AROUND, **place, **changes}, NAME, registry=self.registered.registry)

    def build(self, *given: Any, seed: int = 0) -> Any:
        """Build it as genlab does, after seeding everything; raises what it raises."""
        seed_all(seed)
        if self.registered.refusal:
            return self.cls(*given, **self.options)
        return build_part(self.kind, PartSpec(use=NAME, options=self.options), given, self.registered.registry)


def seed_all(seed: int) -> None:
    """Set the random state of torch, numpy and Python, all of which genlab seeds and keeps."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  what parts may draw from
    random.seed(seed)


def random_states() -> dict[str, bytes]:
    """Return the random state of torch, numpy and Python."""
    numpy = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": numpy.tobytes(),
        "Python": repr(random.getstate()).encode(),
    }


def refuses(error: Exception) -> bool:
    """Whether an error is a constructor's answer to what it cannot be built for, not a defect."""
    cause = error.__cause__
    return isinstance(error if cause is None else cause, ValueError | GenlabError)
