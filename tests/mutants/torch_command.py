"""A hook in a module that imports torch."""

from __future__ import annotations

import torch
import typer


def genlab_commands(app: typer.Typer) -> None:
    def ones(number: int = 1) -> None:
        """Print so many ones.

        Example: genlab ones --number 3
        """
        typer.echo(torch.ones(number))

    app.command("ones")(ones)
