"""``genlab ls``: recipes, models, parts and runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from genlab.cli.arguments import PluginFiles


class What(StrEnum):
    """What can be listed."""

    all = "all"
    recipes = "recipes"
    models = "models"
    parts = "parts"
    runs = "runs"


def command(
    what: Annotated[What, typer.Argument(metavar="WHAT", help="all, recipes, models, parts or runs.")] = What.all,
    plugin: PluginFiles = None,
) -> None:
    """List recipes, models, parts and runs.

    Example: genlab ls parts
    """
    from genlab.cli.tables import listing

    sections = {
        What.recipes: (_recipes, ("recipe", "from", "description")),
        What.models: (_models, ("name", "val/loss", "from")),
        What.parts: (_parts, ("kind", "name", "from", "what it is")),
        What.runs: (_runs, ("name", "status", "best val/loss", "epoch", "started (UTC)", "folder")),
    }
    for section, (rows, columns) in sections.items():
        if what not in (What.all, section):
            continue
        found = rows()
        if what is What.all:
            typer.echo(f"\n{section.upper()}" if found else f"\n{section.upper()}: none")
        if found:
            typer.echo(listing(columns, found))


def _recipes() -> list[tuple[str, ...]]:
    from genlab.errors import GenlabError
    from genlab.opening import installed_recipes, open_recipe

    files = [(str(path), path, "this folder") for path in sorted(Path("recipes").glob("*.yaml"))]
    files += [(recipe.name, recipe.path, recipe.distribution) for recipe in installed_recipes()]
    rows: list[tuple[str, ...]] = []
    for name, path, source in files:
        try:
            about = open_recipe(path).recipe.description
        except GenlabError as error:
            about = f"unusable: {str(error).partition(chr(10))[0]}"
        rows.append((name, source, about))
    return rows


def _models() -> list[tuple[str, ...]]:
    from genlab.errors import GenlabError
    from genlab.runs import known_runs
    from genlab.store import read_metrics, shipped_models

    bundles = [
        (status.name, run.model, f"run {run.path.name}")
        for run, status in known_runs()
        if status.status == "completed" and run.model.is_dir()
    ]
    bundles += [(name, folder, distribution) for name, folder, distribution in shipped_models()]
    rows: list[tuple[str, ...]] = []
    for name, folder, source in bundles:
        try:
            loss = f"{read_metrics(folder).metrics.get('val/loss', float('nan')):.2f}"
        except GenlabError:
            loss = "damaged"
        rows.append((name, loss, source))
    return rows


def _parts() -> list[tuple[str, ...]]:
    from genlab.plugins import installed

    registry = installed().registry
    return [(p.kind, registry.use_of(p), p.distribution, p.summary) for p in registry.parts()]


def _runs() -> list[tuple[str, ...]]:
    from genlab.runs import known_runs

    return [
        (
            status.name,
            status.status,
            f"{status.best['val/loss']:.2f}" if "val/loss" in status.best else "",
            str(status.best_epoch or ""),
            status.started.removesuffix("+00:00").replace("T", " "),
            str(run.path),
        )
        for run, status in known_runs()
    ]
