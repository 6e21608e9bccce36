"""``genlab new``: something of one's own to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genlab.scaffold import KINDS

app = typer.Typer(help="Begin something of your own.", no_args_is_help=True, rich_markup_mode=None)


def _kinds(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@app.command()
def plugin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Of the package; recipes call its part the same.")],
    kind: Annotated[
        str, typer.Option("--kind", help=f"What it brings: {', '.join(KINDS)}.", autocompletion=_kinds)
    ],
    folder: Annotated[Path, typer.Option("--dir", help="Where to put its folder.")] = Path(),
) -> None:
    """Write a plugin: a working part of about fifteen lines, a recipe, tests.

    Nothing is fetched.

    Example: genlab new plugin my-encoder --kind encoder
    """
    import shlex

    from genlab.scaffold import new_plugin, words_of

    root = context.find_root()
    commands = root.command.list_commands(root)  # type: ignore[attr-defined]
    made = new_plugin(name, kind, folder, commands=commands)
    roles = {
        made.module: f"{words_of(kind)} that works: make it yours",
        made.recipe: "a recipe to train it on made-up data" if kind != "command" else "a recipe, for a model",
        made.tests: "genlab's checks and your own",
    }
    width = max(len(str(path)) for path in roles)
    for path, role in roles.items():
        typer.echo(f"{path!s:{width}}  {role}")
    where = shlex.quote(str(made.folder) if made.folder.is_absolute() else f"./{made.folder}")
    typer.echo(f"\ninstall it:    pip install -e {where}")
    typer.echo(f"test it:       pytest {shlex.quote(str(made.folder))}")
    typer.echo(f"train it:      genlab run {shlex.quote(str(made.recipe))}")
    typer.echo("\nIt has no licence yet: README.md says where to put the one that you choose.")
