"""``genlab schema``: what editors and validators check recipes by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import PluginFiles


def command(
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write it to this file.")] = None,
    plugin: PluginFiles = None,
) -> None:
    """Print the JSON Schema of recipes, for editors and validators.

    Draft 7, with the options of every installed part.

    Example: genlab schema -o recipe.schema.json
    """
    from genlab.files import write_text
    from genlab.plugins import installed
    from genlab.schema import schema_text

    text = schema_text(installed().registry)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_text(output, text)
        typer.echo(f"{output}: written; a recipe beside it begins with")
        typer.echo(f"# yaml-language-server: $schema={output.name}")
