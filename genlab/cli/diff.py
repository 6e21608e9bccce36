"""``genlab diff``: in what two recipes differ."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, PluginFiles, split_plain
from genlab.units import as_json

if TYPE_CHECKING:
    from rich.console import Console

    from genlab.difference import Difference, Resolved, Value


def command(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="A B",
            help="Two recipes, by file or name, or runs, by directory or run:NAME.",
            autocompletion=completion.recipes_and_runs,
        ),
    ],
    json: AsJson = False,
    plugin: PluginFiles = None,
) -> None:
    """Show the keys in which two recipes differ, and their origins.

    Exit code 0 whether they differ or not.

    Example: genlab diff recipes/mnist_cvae.yaml run:mnist_cvae
    """
    from genlab.cli.display import console
    from genlab.difference import differences, resolved

    a, b = (resolved(ref) for ref in split_plain(recipes, "recipes", 2))
    found = differences(a, b)
    if json:
        typer.echo(as_json(_plain(a, b, found)))
    elif not found:
        typer.echo("no difference")
    else:
        _show(a, b, found, console())


def _show(a: Resolved, b: Resolved, found: list[Difference], out: Console) -> None:
    """Print a row a key; where a terminal has no room for its columns, a few lines a key."""
    from genlab.cli.fitting import Column, fits, paragraph, table, without_empty
    from genlab.difference import said
    from genlab.wording import printable

    out.print(f"A  {printable(a.what)}\nB  {printable(b.what)}\n")
    keys = [printable(one.key) for one in found]
    sides = {"A": [(said(one.a), _short(one.origin_a, a.what)) for one in found]}
    sides["B"] = [(said(one.b), _short(one.origin_b, b.what)) for one in found]
    columns = [Column("key", keys)]
    for title, cells in sides.items():
        values, origins = zip(*cells, strict=True)
        columns += without_empty([Column(title, values), Column("from", origins, style="dim")])
    if not out.is_terminal or fits(columns, out.width):
        out.print(table(columns))
        return
    for i, key in enumerate(keys):
        out.print(key)
        for title, cells in sides.items():
            paragraph(out, "  ".join(filter(None, cells[i])), mark=f"{title}  ")


def _short(origin: str, what: str) -> str:
    """Leave out of an origin the file that is compared, and the folder of any other; JSON has it in full."""
    from genlab.wording import printable

    if origin.startswith(f"{what}:"):
        origin = f"line {origin.removeprefix(f'{what}:')}"
    return origin and printable(re.sub(r"^[^ ]*/(?=[^/ ]+:\d)", "", origin))


def _plain(a: Resolved, b: Resolved, found: list[Difference]) -> dict[str, object]:
    """Return the differences for programs; a side that lacks a key has no ``value`` there."""
    from genlab.difference import ABSENT

    def side(value: Value, origin: str) -> dict[str, object]:
        found: dict[str, object] = {} if value is ABSENT else {"value": value}
        return found | ({"origin": origin} if origin else {})

    return {
        "a": a.what,
        "b": b.what,
        "differences": [
            {"key": one.key, "a": side(one.a, one.origin_a), "b": side(one.b, one.origin_b)} for one in found
        ],
    }
