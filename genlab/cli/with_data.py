"""A trained model together with the data that its recipe names, for the commands that need both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from genlab.errors import RecipeError

if TYPE_CHECKING:
    from genlab.interfaces import DataSource
    from genlab.model import LatentModel
    from genlab.recipe import Recipe


@dataclass(frozen=True)
class WithData:
    """A model in eval mode, its recipe, and its data source."""

    model: LatentModel
    recipe: Recipe
    data: DataSource


def load_with_data(ref: str, tokens: list[str], device: str) -> WithData:
    """Load a model and build its data source; ``tokens`` override ``data.*`` options only."""
    from genlab.build import build_data
    from genlab.overrides import parse_overrides
    from genlab.plugins import installed
    from genlab.resolving import overridden
    from genlab.store import load

    overrides = parse_overrides(tokens)
    for key in (override.key for override in overrides):
        if not key.startswith("data."):
            raise RecipeError(f"override {key}: a trained model is fixed; only data.* options can be changed")
    model = load(ref, device)
    assert model.recipe is not None  # every bundle has one
    registry = installed().registry
    recipe = overridden(model.recipe, overrides, registry=registry)
    data = build_data(recipe, registry)
    if tuple(data.x_shape) != tuple(model.x_shape):
        raise RecipeError(f"{ref} takes x of shape {model.x_shape}, but this data has {data.x_shape}")
    return WithData(model, recipe, data)
