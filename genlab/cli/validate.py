"""``genlab validate``: is a recipe right, and do its parts work together?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from genlab.cli.arguments import AsJson, PluginFiles, RecipesAndOverrides, split_many
from genlab.errors import GenlabError
from genlab.units import as_json

if TYPE_CHECKING:
    from genlab.overrides import Override
    from genlab.registry import Registry
    from genlab.rehearsal import Rehearsal


@dataclass(frozen=True)
class Judged:
    """What is to be said of one recipe: how it went, or what is wrong with it."""

    given: str
    rehearsal: Rehearsal | None
    error: GenlabError | None


def command(recipes: RecipesAndOverrides, json: AsJson = False, plugin: PluginFiles = None) -> None:
    """Check recipes and their parts: everything short of training.

    The parts are built, and one made-up batch goes forward, backward and into one step of the optimizer.
    No data is read and no tracker opened. Exit code 2 if any recipe is wrong.

    Example: genlab validate recipes/mnist_cvae.yaml recipes/bars.yaml latent=8
    """
    from genlab.overrides import parse_overrides
    from genlab.plugins import installed
    from genlab.wording import printable

    given, tokens = split_many(recipes, "recipe")
    overrides = parse_overrides(tokens)
    registry = installed().registry
    width = max(len(printable(name)) for name in given)
    judged = []
    for name in given:
        one = _judged(name, overrides, registry)
        judged.append(one)
        if not json:
            _print(one, width, alone=len(given) == 1)
    if json:
        typer.echo(as_json([_plain(one) for one in judged]))
    if not json and len(judged) == 1 and judged[0].error is not None:
        raise judged[0].error  # --debug shows where it came from
    if any(one.error for one in judged):
        raise typer.Exit(2)


def _judged(name: str, overrides: Sequence[Override], registry: Registry) -> Judged:
    from genlab.opening import open_recipe
    from genlab.rehearsal import rehearse

    try:
        return Judged(name, rehearse(open_recipe(name, overrides, registry=registry), registry), None)
    except GenlabError as error:
        return Judged(name, None, error)


def _print(one: Judged, width: int, *, alone: bool) -> None:
    from genlab.wording import escaped, printable

    name, found = printable(one.given), one.rehearsal
    if found is None:
        typer.echo(f"{name:<{width}}  wrong")
        if not alone:
            typer.echo(escaped(f"error: {one.error}"), err=True)
        return
    typer.echo(f"{name:<{width}}  ok  {found.parameters:>12,} parameters  {found.seconds:5.2f} s")
    for warning in found.warnings:
        typer.echo(escaped(f"warning: {name}: {warning}"), err=True)


def _plain(one: Judged) -> dict[str, object]:
    found = one.rehearsal
    return {
        "recipe": one.given,
        "ok": found is not None,
        "name": found.recipe.name if found else None,
        "parameters": found.parameters if found else None,
        "seconds": round(found.seconds, 3) if found else None,
        "warnings": list(found.warnings) if found else [],
        "error": None if one.error is None else str(one.error),
    }
