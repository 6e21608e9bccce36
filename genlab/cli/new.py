"""``genlab new``: something of one's own to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Begin something of your own.\n\nExample: genlab new plugin my-encoder --kind encoder",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _kinds(incomplete: str) -> list[str]:
    from genlab.scaffold import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


@app.command()
def plugin(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the package, and what recipes will call its part.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="What it brings: encoder, decoder, prior, likelihood, objective, data, tracker, optimizer, "
            "schedule, search or command.",
            autocompletion=_kinds,
        ),
    ],
    folder: Annotated[Path, typer.Option("--dir", help="The folder to write its folder into.")] = Path(),
) -> None:
    """Write a plugin: a part that works, a recipe, tests.

    Its author's code is about fifteen lines, to be changed. Nothing is fetched.

    Example: genlab new plugin my-encoder --kind encoder
    """
    from genlab.scaffold import new_plugin, words_of

    root = context.find_root()
    commands = root.command.list_commands(root)  # type: ignore[attr-defined]
    made = new_plugin(name, kind, folder, commands=commands)
    roles = {
        made.module: f"{words_of(kind)} that works: make it yours",
        made.recipe: f"a recipe to try it {'on' if kind == 'command' else 'with'}",
        made.tests: "genlab's checks, and yours",
    }
    width = max(len(str(path)) for path in roles)
    for path, role in roles.items():
        typer.echo(f"{path!s:{width}}  {role}")
    where = str(made.folder)
    here = "" if made.folder.is_absolute() or where.startswith(".") else "./"  # by which pip knows a folder
    typer.echo(f"\ninstall it:    pip install -e {here}{shlex.quote(where)}")
    typer.echo(f"test it:       pytest {shlex.quote(where)}")
    typer.echo(f"train it:      genlab run {shlex.quote(str(made.recipe))}")
    typer.echo("\nIt has no licence yet: README.md says where to put the one that you choose.")
