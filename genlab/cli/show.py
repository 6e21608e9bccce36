"""``genlab show``: a recipe as it will be run, or as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, PluginFiles, split_overrides

if TYPE_CHECKING:
    from rich.table import Table

    from genlab.opening import Opened


def command(
    recipe: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [KEY=VALUE]",
            help="A recipe, by file or name, and values to change in it; or a run, by directory or run:NAME.",
            autocompletion=completion.recipe_or_run_and_keys,
        ),
    ],
    origins: Annotated[
        bool,
        typer.Option(
            "--origins", help="Say beside each value where it is from: file and line, override or default."
        ),
    ] = False,
    json: AsJson = False,
    plugin: PluginFiles = None,
) -> None:
    """Print a recipe with every default filled in, and its layers.

    Of a run: the recipe that it stored. No data is read.

    Example: genlab show recipes/mnist_cvae.yaml latent=8 --origins
    """
    from genlab.cli.display import console
    from genlab.difference import resolved
    from genlab.overrides import parse_overrides
    from genlab.units import as_json
    from genlab.wording import printable
    from genlab.writing import written_yaml

    ref, tokens = split_overrides(recipe, "recipe or run")
    found = resolved(ref, parse_overrides(tokens))
    if json:
        typer.echo(as_json({"recipe": found.values} | ({"origins": found.origins} if origins else {})))
        return
    layers = None if origins or found.opened is None else _layers(found.opened)
    beside = {key: printable(origin) for key, origin in found.origins.items()} if origins else {}
    typer.echo(written_yaml(found.values, beside), nl=False)
    if layers is not None:
        typer.echo()
        console().print(layers)


def _layers(opened: Opened) -> Table:
    from genlab.blame import blaming
    from genlab.build import build_data, build_model
    from genlab.cli.tables import layer_table
    from genlab.plugins import installed
    from genlab.rehearsal import check_size

    registry = installed().registry
    with blaming(opened.tree):
        x_shape = build_data(opened.recipe, registry).x_shape
        check_size(opened.recipe, x_shape, registry)
        model = build_model(opened.recipe, x_shape, registry)
    return layer_table(model)
