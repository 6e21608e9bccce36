"""A recipe as a user names it -> read, extended, overridden, interpolated, validated; origins are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from genlab.errors import RecipeError
from genlab.extending import extended
from genlab.interpolation import interpolated
from genlab.mistakes import Mistakes
from genlab.overrides import Overrides, apply_overrides, overrides_of
from genlab.plugins import installed
from genlab.recipe import Recipe
from genlab.registry import OWN, Registry
from genlab.resolving import resolve
from genlab.source import file_text, neighbours, parsed
from genlab.tree import Node
from genlab.wording import Steps, dotted, printable, suggest


@dataclass(frozen=True)
class InstalledRecipe:
    """A recipe that a plugin ships."""

    name: str
    path: Path
    distribution: str


def installed_recipes() -> list[InstalledRecipe]:
    """Return the recipes that plugins ship, by name."""
    found = [
        InstalledRecipe(path.stem, path, distribution)
        for distribution, folder in installed().recipe_folders
        for path in folder.glob("*.yaml")
    ]
    return sorted(found, key=lambda recipe: (recipe.name, recipe.distribution))


@dataclass(frozen=True)
class Opened:
    """A recipe, and how it came to be.

    name: what messages call the file. text: of the file. tree: what is written, where; all but the defaults.
    """

    recipe: Recipe
    name: str
    text: str
    tree: Node

    def origins(self) -> dict[str, str]:
        """Return where each value of the recipe comes from: ``{"latent": "recipes/x.yaml:7"}``.

        A dotted key each, lists as a whole; a file and line, an override, or ``default``.
        """
        return {dotted(path): self._origin(path) for path in _leaves(self.recipe.written(), ())}

    def _origin(self, path: Steps) -> str:
        found, place, node = self.tree.find(path)
        named = isinstance(node.value, str) and (*found, "use") == path  # the name alone stands for its part
        if found != path and not named:
            return "default"
        if node.clears:
            return f"default, null at {place.short}"
        return f"{place.short}, {printable(node.expression)}" if node.expression else place.short


def open_recipe(
    ref: str | Path, overrides: Overrides | None = None, *, registry: Registry | None = None
) -> Opened:
    """Open a recipe file, or an installed recipe by its name.

    overrides: ``{"train.epochs": 3}``; they count as written on the command line.
    Raises ``RecipeError`` listing every problem with file, line and column.
    """
    path = find_recipe(ref)
    return open_text(file_text(path), path, overrides, registry=registry)


def open_text(
    text: str, path: Path, overrides: Overrides | None = None, *, registry: Registry | None = None
) -> Opened:
    """Do what ``open_recipe`` does with the text of a file; ``path`` stands in messages."""
    given = overrides_of(overrides)
    with Mistakes() as mistakes:
        tree = extended(parsed(text, str(path), mistakes), path, find_recipe, mistakes)
        tree = interpolated(apply_overrides(tree, given, mistakes), mistakes)
        return Opened(resolve(tree, registry or installed().registry, mistakes), str(path), text, tree)


def find_recipe(ref: str | Path, folder: Path | None = None) -> Path:
    """Return the file that a path, relative to ``folder``, or the name of an installed recipe means.

    Of several recipes of one name it is genlab's own, else the one that lies in ``folder`` too: what a plugin's
    recipe extends is not for other plugins to decide. Raises ``RecipeError`` if there is none, or no such one.
    """
    text, path = str(ref), Path(folder or "", ref)
    try:
        if path.is_file() or Path(ref).suffix in (".yaml", ".yml") or Path(ref).is_absolute():
            return path
    except (OSError, ValueError):
        return path  # whoever reads it says what is wrong
    recipes = installed_recipes()
    found = [r for r in recipes if text in (r.name, f"{r.distribution}/{r.name}")]
    # As with parts, the bare name of one of genlab's means that one, whatever plugins bring.
    found = [r for r in found if r.distribution == OWN] or _shipped_with(folder, found) or found
    if len(found) == 1:
        return found[0].path
    if found:
        names = " or ".join(f"{recipe.distribution}/{recipe.name}" for recipe in found)
        raise RecipeError(f"{printable(text)}: several installed recipes have this name; say {names}")
    if path.exists():
        return path
    known = [recipe.name for recipe in recipes]
    near = suggest(text, known)
    raise RecipeError(
        f"{printable(text)}: no such file{neighbours(path.parent)}, and no installed recipe of that name; "
        f"{near}installed: {', '.join(known) or 'none'}"
    )


def _shipped_with(folder: Path | None, found: list[InstalledRecipe]) -> list[InstalledRecipe]:
    """Return those that the distribution ships whose recipes lie in ``folder``."""
    if folder is None or len(found) < 2:
        return []
    here = folder.resolve()
    owners = {owner for owner, place in installed().recipe_folders if place.resolve() == here}
    return [recipe for recipe in found if recipe.distribution in owners]


def _leaves(value: Mapping[str, object], path: Steps) -> Iterator[Steps]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, (*path, key))
        else:
            yield (*path, key)
