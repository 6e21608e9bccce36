"""``genlab show``: a recipe as it will be run."""

from __future__ import annotations

from typing import Annotated

import typer

from genlab.cli.arguments import PluginFiles, RecipeAndOverrides, split_overrides


def command(
    recipe: RecipeAndOverrides,
    origins: Annotated[
        bool,
        typer.Option(
            "--origins", help="Say beside each value where it is from: file and line, override or default."
        ),
    ] = False,
    plugin: PluginFiles = None,
) -> None:
    """Print a recipe with every default filled in, and its layers.

    No data is read.

    Example: genlab show recipes/mnist_cvae.yaml latent=8 --origins
    """
    from genlab.blame import blaming
    from genlab.build import build_data, build_model
    from genlab.cli.display import console
    from genlab.cli.tables import layer_table
    from genlab.opening import open_recipe
    from genlab.overrides import parse_overrides
    from genlab.plugins import installed
    from genlab.rehearsal import check_size

    ref, tokens = split_overrides(recipe, "recipe")
    opened = open_recipe(ref, parse_overrides(tokens))
    if origins:
        typer.echo(opened.recipe.to_yaml(opened.origins()), nl=False)
        return
    registry = installed().registry
    with blaming(opened.tree):
        x_shape = build_data(opened.recipe, registry).x_shape
        check_size(opened.recipe, x_shape, registry)
        model = build_model(opened.recipe, x_shape, registry)
    typer.echo(opened.recipe.to_yaml())
    console().print(layer_table(model))
