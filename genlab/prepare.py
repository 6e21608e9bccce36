"""Recipe -> everything that training needs, checked before anything is written."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim import Optimizer

from genlab.build import build_data, build_model, build_objective, build_optimizer
from genlab.contract import check_dtypes
from genlab.data import Batches, read_split
from genlab.device import Device, resolve
from genlab.environment import Environment, capture
from genlab.errors import RecipeError
from genlab.interfaces import DataSource, Examples, Objective
from genlab.model import LatentModel
from genlab.plugins import installed
from genlab.precision import resolve_precision
from genlab.recipe import Recipe, parse_recipe
from genlab.registry import suggest
from genlab.seeds import seeded
from genlab.source import Node, file_text
from genlab.train.allocator import keep_freed_memory


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before the first step. written: the recipe's text as it was read."""

    recipe: Recipe
    written: str
    device: Device
    data: DataSource
    train: Batches
    val: Batches
    val_examples: Examples
    model: LatentModel
    objective: Objective
    optimizer: Optimizer
    environment: Environment


def prepare(path: Path, overrides: Mapping[str, object], device: str) -> Prepared:
    """Read, build, place and check; raise ``GenlabError`` for every mistake in the input."""
    plugins = installed()
    registry = plugins.registry
    written = file_text(path)
    recipe = parse_recipe(written, str(path), overrides, registry=registry)
    options = recipe.train
    where = resolve(device)
    tuned = where.can.host_memory and keep_freed_memory()

    data = build_data(recipe, registry)
    model = build_model(recipe, data.x_shape, registry)
    objective = build_objective(recipe, registry)
    examples, val_examples = read_split(data, "train"), read_split(data, "val")
    where.place(model)
    where.place(objective)
    model.precision = resolve_precision(options.precision, where)
    train = Batches(examples.x, data.prepare, options.batch_size, device=where, seed=recipe.seed)
    val = Batches(val_examples.x, data.prepare, options.eval_batch_size, device=where)
    check_dtypes(model, next(iter(val))[:2])
    _check_monitor(recipe, model, objective, next(iter(val))[:2], path)
    params = [p for p in (*model.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = build_optimizer(recipe, params, registry, fused=where.can.fused)

    changed = [f"{key}={_as_typed(value)}" for key, value in overrides.items()]
    command = shlex.join(["genlab", "run", str(path), *changed])
    environment = capture(where, options.precision, plugins.distributions, allocator_tuned=tuned, command=command)
    return Prepared(
        recipe=recipe,
        written=written,
        device=where,
        data=data,
        train=train,
        val=val,
        val_examples=val_examples,
        model=model,
        objective=objective,
        optimizer=optimizer,
        environment=environment,
    )


def _check_monitor(recipe: Recipe, model: LatentModel, objective: Objective, x: torch.Tensor, path: Path) -> None:
    """Raise ``RecipeError`` if early stopping watches a metric that there will not be."""
    if recipe.train.early_stopping is None:
        return
    with torch.no_grad(), seeded(0, model.device):
        terms = objective(model, x)
    known = [f"{split}/{name}" for split in ("train", "val") for name in ("loss", *terms.logs)]
    monitor = recipe.train.early_stopping.monitor
    if monitor not in known:
        raise RecipeError(
            f"{path}: train.early_stopping.monitor: unknown metric {monitor!r}; {suggest(monitor, known)}"
            f"this objective has {', '.join(known)}"
        )


def _as_typed(value: object) -> str:
    plain = value.plain() if isinstance(value, Node) else value
    return plain if isinstance(plain, str) else json.dumps(plain, default=str)
