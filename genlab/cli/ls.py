"""``genlab ls``: recipes, models, parts and runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import AsJson, PluginFiles

Row = dict[str, object]


class What(StrEnum):
    """What can be listed."""

    all = "all"
    recipes = "recipes"
    models = "models"
    parts = "parts"
    runs = "runs"


def command(
    what: Annotated[What, typer.Argument(metavar="WHAT", help="all, recipes, models, parts or runs.")] = What.all,
    json: AsJson = False,
    plugin: PluginFiles = None,
) -> None:
    """List recipes, models, parts and runs.

    Example: genlab ls parts
    """
    from genlab.cli.listed import list_as_json, show_list
    from genlab.housekeeping import list_runs
    from genlab.units import as_json

    chosen = [section for section in What if section is not What.all and what in (What.all, section)]
    if json:
        found = {one: _ROWS[one]() if one in _ROWS else list_as_json(list_runs()) for one in chosen}
        typer.echo(as_json(found))
        return
    for section in chosen:
        if what is What.all:
            typer.echo(f"\n{section.upper()}")
        if section is What.runs:
            show_list(list_runs(), every=False)
        else:
            typer.echo(_table(_ROWS[section]()) or f"no {section}")


def _table(rows: Sequence[Row]) -> str:
    """Return rows without their paths and without columns in which nothing stands."""
    from genlab.cli.tables import listing

    known = [
        key for key in (rows[0] if rows else ()) if key != "path" and any(row[key] is not None for row in rows)
    ]
    cells = [tuple(_said(row[key]) for key in known) for row in rows]
    return listing(tuple(known), cells) if rows else ""


def _said(value: object) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _recipes() -> list[Row]:
    from genlab.errors import GenlabError
    from genlab.opening import installed_recipes, open_recipe

    files = [(str(path), path, "this folder") for path in sorted(Path("recipes").glob("*.yaml"))]
    files += [(recipe.name, recipe.path, recipe.distribution) for recipe in installed_recipes()]
    rows: list[Row] = []
    for name, path, source in files:
        about = problem = None
        try:
            about = open_recipe(path).recipe.description
        except GenlabError as error:
            problem = str(error).partition("\n")[0]
        rows.append({"name": name, "from": source, "description": about, "problem": problem, "path": str(path)})
    return rows


def _models() -> list[Row]:
    from genlab.errors import GenlabError
    from genlab.runs import known_runs
    from genlab.store import read_metrics, shipped_models

    bundles = [
        (status.name, run.model, f"run {run.path.name}")
        for run, status in known_runs()
        if status.status == "completed" and run.model.is_dir()
    ]
    bundles += [(name, folder, distribution) for name, folder, distribution in shipped_models()]
    rows: list[Row] = []
    for name, folder, source in bundles:
        loss = problem = None
        try:
            loss = read_metrics(folder).metrics.get("val/loss")
        except GenlabError as error:
            problem = str(error).partition("\n")[0]
        rows.append({"name": name, "val/loss": loss, "from": source, "problem": problem, "path": str(folder)})
    return rows


def _parts() -> list[Row]:
    from genlab.plugins import installed

    registry = installed().registry
    return [
        {"kind": part.kind, "name": registry.use_of(part), "from": part.distribution, "description": part.summary}
        for part in registry.parts()
    ]


_ROWS: dict[What, Callable[[], list[Row]]] = {
    What.recipes: _recipes,
    What.models: _models,
    What.parts: _parts,
}
