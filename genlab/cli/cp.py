"""``genlab cp``: a copy of a recipe to change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import Force, PluginFiles


def command(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="The name of an installed recipe, or a recipe file.",
            autocompletion=completion.one_recipe,
        ),
    ],
    dest: Annotated[
        Path | None,
        typer.Argument(metavar="DEST", help="A file or folder for the copy [the recipe's name, here]."),
    ] = None,
    force: Force = False,
    plugin: PluginFiles = None,
) -> None:
    """Copy a recipe to a file of your own, comments included.

    Example: genlab cp mnist_cvae digits.yaml
    """
    from genlab.cli.announcing import announce
    from genlab.placing import copy_recipe
    from genlab.plugins import installed

    announce(copy_recipe(recipe, dest, installed().registry, force=force))
