"""``genlab diff``: in what two recipes differ."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli.arguments import Json, split_plain

if TYPE_CHECKING:
    from rich.table import Table

    from genlab.difference import Difference, Resolved, Value


def command(
    recipes: Annotated[
        list[str],
        typer.Argument(metavar="A B", help="Two recipes, by file or name, or runs, by directory or run:NAME."),
    ],
    json: Json = False,
) -> None:
    """Show the keys in which two resolved recipes differ, and where each value comes from.

    Exit code 0 whether they differ or not.

    Example: genlab diff recipes/mnist_cvae.yaml run:mnist_cvae
    """
    from genlab.cli.display import console
    from genlab.difference import differences, resolved

    a, b = (resolved(ref) for ref in split_plain(recipes, "recipes", 2))
    found = differences(a, b)
    if json:
        typer.echo(json_module.dumps(_as_json(a, b, found), ensure_ascii=False))
    elif not found:
        typer.echo("no difference")
    else:
        console().print(_table(a, b, found))


def _table(a: Resolved, b: Resolved, found: list[Difference]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from genlab.difference import ABSENT, said
    from genlab.wording import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("key", overflow="fold")
    for side, origins in ((a, [one.origin_a for one in found]), (b, [one.origin_b for one in found])):
        table.add_column(Text(printable(side.what)), overflow="fold")
        if any(origins):
            table.add_column("from", style="dim", overflow="fold")
    shown_a, shown_b = any(one.origin_a for one in found), any(one.origin_b for one in found)

    def cell(value: Value) -> Text:
        return Text(said(value), style="dim" if value is ABSENT else "")

    for one in found:
        row = [Text(one.key), cell(one.a)]
        row += [Text(one.origin_a)] if shown_a else []
        row += [cell(one.b)]
        row += [Text(one.origin_b)] if shown_b else []
        table.add_row(*row)
    return table


def _as_json(a: Resolved, b: Resolved, found: list[Difference]) -> dict[str, object]:
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
