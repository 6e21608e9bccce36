"""Recipes and models that plugins ship: those that are of no use here, and names that several have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genlab.errors import GenlabError
from genlab.inspection import Clash
from genlab.opening import open_recipe
from genlab.plugins import Plugins
from genlab.registry import OWN
from genlab.store import check_bundle


@dataclass(frozen=True)
class Closed:
    """A recipe, or a model, that a plugin ships and that cannot be opened here.

    kind: ``"recipe"`` or ``"model"``. cause: the first thing that is wrong.
    """

    kind: str
    name: str
    distribution: str
    cause: str

    @property
    def said(self) -> str:
        """What is wrong, in one line."""
        return f"shipped by {self.distribution}, cannot be opened: {self.cause}"


def closed(plugins: Plugins) -> Iterator[Closed]:
    """Yield what plugins ship and does not open. genlab's own may need plugins that nobody has to have."""
    for distribution, path in _recipes(plugins):
        if distribution != OWN:
            try:
                open_recipe(path, registry=plugins.registry)
            except GenlabError as error:
                yield Closed("recipe", path.stem, distribution, _first(error, path, f"{path.name}:"))
    for distribution, path in _models(plugins):
        try:
            check_bundle(path, plugins)
        except GenlabError as error:
            yield Closed("model", path.name, distribution, _first(error, path, ""))


def shipped_clashes(plugins: Plugins) -> list[Clash]:
    """Return the names that recipes, or models, of several distributions have."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for distribution, path in _recipes(plugins):
        owners["recipe", path.stem].append(distribution)
    for distribution, path in _models(plugins):
        owners["model", path.name].append(distribution)
    return [
        Clash(kind, name, tuple(dict.fromkeys(found)), OWN in found)
        for (kind, name), found in owners.items()
        if len(set(found)) > 1
    ]


def _recipes(plugins: Plugins) -> Iterator[tuple[str, Path]]:
    for distribution, folder in plugins.recipe_folders:
        for path in sorted(folder.glob("*.yaml")):
            yield distribution, path


def _models(plugins: Plugins) -> Iterator[tuple[str, Path]]:
    for distribution, folder in plugins.model_folders:
        for path in sorted(folder.glob("*")):
            if path.is_dir():
                yield distribution, path


def _first(error: GenlabError, path: Path, name: str) -> str:
    """Return the first line of a message, in which ``name`` is enough to say which file."""
    said = str(error).partition("\n")[0]
    return name + said.removeprefix(f"{path}:").removeprefix(f"{path}/")
