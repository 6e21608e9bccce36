"""``genlab show``: a recipe as it will be run."""

from __future__ import annotations

from pathlib import Path

import typer

from genlab.cli.arguments import RecipeAndOverrides, split_overrides


def command(recipe: RecipeAndOverrides) -> None:
    """Print a recipe with every default filled in, and the model's layers; no data is read.

    Example: genlab show recipes/mnist_cvae.yaml latent=8
    """
    from genlab.build import build_data, build_model
    from genlab.cli.display import console
    from genlab.cli.tables import layer_table
    from genlab.plugins import installed
    from genlab.recipe import load_recipe, parse_overrides

    path, tokens = split_overrides(recipe, "recipe")
    registry = installed().registry
    resolved = load_recipe(Path(path), parse_overrides(tokens), registry=registry)
    model = build_model(resolved, build_data(resolved, registry).x_shape, registry)
    typer.echo(resolved.to_yaml())
    console().print(layer_table(model))
