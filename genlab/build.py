"""Recipe -> data, model, objective and optimizer: the one place that fixes the order of construction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from genlab.contract import Faults, decoder_out_shape
from genlab.errors import GenlabError, PartError
from genlab.interfaces import DataSource, Decoder, Encoder, Likelihood, Objective, Prior, Schedule, Search, Tracker
from genlab.model import LatentModel
from genlab.recipe import PartSpec, Recipe
from genlab.registry import Registry
from genlab.seeds import seeded
from genlab.space import Space
from genlab.train.parameters import alike, flattened


def build_data(recipe: Recipe, registry: Registry) -> DataSource:
    """Build the data source; no file is read yet."""
    data = cast(DataSource, build_part("data", recipe.data, (), registry))
    shape = getattr(data, "x_shape", None)
    if not isinstance(shape, tuple) or not shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise PartError(
            f"data {recipe.data.use!r} has x_shape {shape!r}; a tuple of positive integers is expected, "
            "(1, 28, 28) for example",
            "data",
        )
    return data


def build_model(recipe: Recipe, x_shape: tuple[int, ...], registry: Registry) -> LatentModel:
    """Build the model on the CPU, its initial weights a function of the recipe's seed alone.

    They are those of ``torch.manual_seed(seed)`` and the same parts built by hand in this order. The
    likelihood comes first, because it says what the decoder must produce.
    """
    with seeded(recipe.seed, torch.device("cpu")):
        encoder, decoder, prior, likelihood = _model_parts(recipe, x_shape, registry)
    model = LatentModel(encoder, decoder, prior, likelihood, x_shape=x_shape, latent=recipe.latent)
    model.recipe = recipe
    return model


def parameter_counts(recipe: Recipe, x_shape: tuple[int, ...], registry: Registry) -> dict[str, int]:
    """Return how many parameters each part of the model will have, without the memory for any of them.

    Raises whatever a part raises that cannot be built on torch's meta device.
    """
    with torch.device("meta"):
        parts = _model_parts(recipe, x_shape, registry)
    kinds = ("encoder", "decoder", "prior", "likelihood")
    return {kind: sum(p.numel() for p in part.parameters()) for kind, part in zip(kinds, parts, strict=True)}


def _model_parts(
    recipe: Recipe, x_shape: tuple[int, ...], registry: Registry
) -> tuple[Encoder, Decoder, Prior, Likelihood]:
    """Build each part, or raise ``PartErrors`` that names every one that cannot be built."""

    def built(kind: str, *given: Any) -> Any:
        with faults.collecting():
            return build_part(kind, recipe.part(kind), given, registry)

    with Faults() as faults:
        likelihood = built("likelihood", x_shape)
        prior = built("prior", recipe.latent)
        encoder = built("encoder", x_shape, recipe.latent)
        asked = registry.get("likelihood", recipe.likelihood.use).cls if likelihood is None else likelihood
        with faults.collecting() if likelihood is asked else suppress(PartError):
            decoder = built("decoder", recipe.latent, decoder_out_shape(asked, x_shape))
    return encoder, decoder, prior, likelihood


def build_objective(recipe: Recipe, registry: Registry) -> Objective:
    """Build the objective."""
    return cast(Objective, build_part("objective", recipe.objective, (), registry))


def build_optimizer(recipe: Recipe, params: Sequence[Parameter], registry: Registry, *, fused: bool) -> Optimizer:
    """Build the optimizer of ``params``; ``fused`` says whether their device has fused kernels.

    One that is ``elementwise`` is given the parameters as one vector.
    """
    elementwise = getattr(registry.get("optimizer", recipe.optimizer.use).cls, "elementwise", False)
    given = [flattened(params)] if elementwise and alike(params) else list(params)
    return cast(Optimizer, build_part("optimizer", recipe.optimizer, (given, fused), registry))


def build_schedule(recipe: Recipe, registry: Registry) -> Schedule:
    """Build the learning-rate schedule."""
    return cast(Schedule, build_part("schedule", recipe.schedule, (), registry))


def build_trackers(recipe: Recipe, registry: Registry, folder: Path, step: int) -> list[Tracker]:
    """Build the trackers of a run in ``folder`` that goes on after ``step``."""
    trackers: list[Tracker] = []
    try:
        for spec in recipe.trackers:
            trackers.append(cast(Tracker, build_part("tracker", spec, (folder, step), registry)))  # noqa: PERF401
    except BaseException:
        for tracker in trackers:
            tracker.close()
        raise
    return trackers


def build_search(spec: PartSpec, space: Space, folder: Path, seed: int, registry: Registry) -> Search:
    """Build the search of a sweep in ``folder``."""
    return cast(Search, build_part("search", spec, (space, folder, seed), registry))


def build_part(kind: str, spec: PartSpec, positional: tuple[Any, ...], registry: Registry) -> Any:
    """Build a part, and first those nested in it, from what the framework gives and a recipe's options.

    Raises ``PartError`` naming it if it raises anything but a ``GenlabError``, or calls ``sys.exit``.
    """
    part = registry.get(kind, spec.use)
    options = part.parse(spec.options)
    for name, nested_kind in part.nested.items():
        options[name] = build_part(nested_kind, PartSpec.of(options[name]), positional, registry)
    try:
        return part.cls(*positional, **options)
    except GenlabError:
        raise
    except SystemExit as error:
        said = f"it called sys.exit({error.code!r})"
        raise PartError(f"{kind} {part.name!r} of {part.distribution} cannot be built: {said}", kind) from error
    except Exception as error:
        # ValueErrors are addressed to whoever wrote the recipe; of others the type is half of what they say.
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise PartError(f"{kind} {spec.use!r} cannot be built: {said}", kind) from error
