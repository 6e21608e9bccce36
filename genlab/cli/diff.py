"""``genlab diff``: in what two recipes differ."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, PluginFiles, split_plain
from genlab.units import as_json

if TYPE_CHECKING:
    from rich.table import Table

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
    from genlab.wording import printable

    a, b = (resolved(ref) for ref in split_plain(recipes, "recipes", 2))
    found = differences(a, b)
    if json:
        typer.echo(as_json(_plain(a, b, found)))
    elif not found:
        typer.echo("no difference")
    else:
        out = console()
        out.print(f"A  {printable(a.what)}\nB  {printable(b.what)}\n")
        out.print(_table(a, b, found))


def _table(a: Resolved, b: Resolved, found: list[Difference]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from genlab.difference import ABSENT, said
    from genlab.wording import printable

    def cell(value: Value) -> Text:
        return Text(said(value), style="dim" if value is ABSENT else "")

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("key", no_wrap=True)
    columns = [[Text(printable(one.key)) for one in found]]
    for title, side, values, origins in (
        ("A", a, [one.a for one in found], [one.origin_a for one in found]),
        ("B", b, [one.b for one in found], [one.origin_b for one in found]),
    ):
        table.add_column(title, overflow="fold")
        columns.append([cell(value) for value in values])
        if any(origins):
            table.add_column("from", style="dim", overflow="fold")
            columns.append([Text(origin and printable(_short(origin, side.what))) for origin in origins])
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    return table


def _short(origin: str, what: str) -> str:
    """Leave out of an origin the file that is compared, and the folder of any other; JSON has it in full."""
    if origin.startswith(f"{what}:"):
        return f"line {origin.removeprefix(f'{what}:')}"
    return re.sub(r"^[^ ]*/(?=[^/ ]+:\d)", "", origin)


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
