"""Recipe -> everything that training needs, checked before anything is written."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from genlab.blame import blaming, check_monitors
from genlab.build import build_data, build_model, build_objective, build_optimizer, build_schedule
from genlab.contract import check_objective, check_probabilities
from genlab.data import Batches, fits, read_split
from genlab.device import Device, resolve
from genlab.environment import capture
from genlab.errors import RecipeError
from genlab.exits import answering
from genlab.interfaces import DataSource, Examples, Objective, Schedule, Terms
from genlab.model import LatentModel
from genlab.owners import owners
from genlab.plugins import installed
from genlab.precision import resolve_precision
from genlab.recipe import Recipe
from genlab.runfiles import Environment
from genlab.train.allocator import keep_freed_memory
from genlab.train.options import RunnerOption
from genlab.tree import Node


@dataclass(frozen=True)
class Prepared:
    """Everything that is known before the first step."""

    recipe: Recipe
    device: Device
    data: DataSource
    train: Batches
    val: Batches
    val_examples: Examples
    model: LatentModel
    objective: Objective
    optimizer: Optimizer
    schedule: Schedule
    environment: Environment


def prepare(recipe: Recipe, device: str, *, tree: Node, command: str) -> Prepared:
    """Build, place and check; raise ``GenlabError`` for every mistake in the input.

    tree: the recipe as it is written, for messages. command: what makes this run, for the records.
    """
    with blaming(tree), answering():
        return _prepare(recipe, device, tree, command)


def _prepare(recipe: Recipe, device: str, tree: Node, command: str) -> Prepared:
    plugins = installed()
    registry = plugins.registry
    options = recipe.train
    on = resolve(device)
    _check_runner(options.runner, on)
    tuned = on.can.host_memory and keep_freed_memory()
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which cuBLAS reads when it is first used

    data = build_data(recipe, registry)
    model = build_model(recipe, data.x_shape, registry)
    objective = build_objective(recipe, registry)
    examples, val_examples = read_split(data, "train"), read_split(data, "val")
    on.place(model)
    on.place(objective)
    model.precision = resolve_precision(options.precision, on)
    stream = options.data == "stream" or (options.data == "auto" and not fits(examples.x, on))
    train = Batches(
        examples.x, data.prepare, options.batch_size,
        device=on, seed=recipe.seed, stream=stream, workers=options.workers,
    )  # fmt: skip
    val = Batches(val_examples.x, data.prepare, options.eval_batch_size, device=on, stream=stream)
    x = next(iter(val))[:2]
    check_probabilities(model, x)
    check_monitors(recipe, _terms(model, objective, x), tree)
    params = [p for p in (*model.parameters(), *objective.parameters()) if p.requires_grad]
    optimizer = build_optimizer(recipe, params, registry, fused=on.can.fused)
    return Prepared(
        recipe=recipe,
        device=on,
        data=data,
        train=train,
        val=val,
        val_examples=val_examples,
        model=model,
        objective=objective,
        optimizer=optimizer,
        schedule=build_schedule(recipe, registry),
        environment=capture(
            on,
            options.precision,
            options.runner,
            plugins.distributions,
            owners(recipe, plugins),
            deterministic=options.deterministic,
            allocator_tuned=tuned,
            command=command,
        ),
    )


def _check_runner(name: RunnerOption, device: Device) -> None:
    if name != "auto" and name not in device.runners:
        raise RecipeError(
            f"runner {name!r} is not available on {device.on.type}; available: auto, {', '.join(device.runners)}"
        )


def _terms(model: LatentModel, objective: Objective, x: Tensor) -> Terms:
    """Return the terms of an evaluation."""
    model.eval()
    objective.eval()
    with torch.no_grad():
        terms = check_objective(objective, model, x)
    model.train()
    objective.train()
    return terms
