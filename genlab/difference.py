"""In what resolved recipes differ, key by key; plain values suffice, so no plugin need be installed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from genlab.errors import ModelError, RecipeError
from genlab.interpolation import read_written
from genlab.runfiles import is_run
from genlab.tree import Json
from genlab.writing import as_yaml

if TYPE_CHECKING:  # they bring torch, which looking at runs does not need
    from genlab.opening import Opened
    from genlab.overrides import Override


class Absent:
    """What a recipe has at a key that it does not have."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()

Value = Json | Absent


@dataclass(frozen=True)
class Resolved:
    """A recipe with every default filled in, and where its values come from.

    what: what it is called. values: as in ``resolved.yaml``. origins: a dotted key -> ``recipes/x.yaml:7``,
    ``override latent=8`` or ``default``; empty where it is not known. opened: the recipe, if it is not a run's or
    a model's.
    """

    what: str
    values: Mapping[str, Json]
    origins: Mapping[str, str] = field(default_factory=dict)
    opened: Opened | None = None

    def origin(self, key: str) -> str:
        """Return where the value at a key comes from, or the first of those inside it; empty if not known."""
        inside = (origin for other, origin in self.origins.items() if other.startswith(f"{key}."))
        return self.origins.get(key) or next(inside, "")


@dataclass(frozen=True)
class Varied:
    """One key and its value in each recipe, ``ABSENT`` where it has none."""

    key: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Difference:
    """One key in which two recipes differ, and where each has its value from."""

    key: str
    a: Value
    b: Value
    origin_a: str
    origin_b: str


def differences(a: Resolved, b: Resolved) -> list[Difference]:
    """Return the keys whose values differ, in the order in which ``a`` has them, then ``b``."""
    return [
        Difference(
            varied.key,
            first := varied.values[0],
            second := varied.values[1],
            "" if isinstance(first, Absent) else a.origin(varied.key),
            "" if isinstance(second, Absent) else b.origin(varied.key),
        )
        for varied in variations([a.values, b.values])
    ]


def variations(recipes: Sequence[Mapping[str, Json]]) -> list[Varied]:
    """Return the keys whose values are not the same in all of some resolved recipes.

    Mappings are compared key by key, lists as a whole. The options of a part that another recipe does not use
    are absent there.
    """
    found: list[Varied] = []
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    for key in keys:
        found += _compare(key, [recipe.get(key, ABSENT) for recipe in recipes])
    return found


def _compare(key: str, values: Sequence[Value]) -> list[Varied]:
    mappings = [value for value in values if isinstance(value, dict)]
    if mappings and all(isinstance(value, dict | Absent) for value in values):
        inner = dict.fromkeys(step for mapping in mappings for step in mapping)
        return [
            varied
            for step in inner
            for varied in _compare(
                f"{key}.{step}",
                [value.get(step, ABSENT) if isinstance(value, dict) else ABSENT for value in values],
            )
        ]
    if all(same(values[0], value) for value in values[1:]):
        return []
    return [Varied(key, tuple(values))]


def same(a: Value, b: Value) -> bool:
    """Whether two values mean the same: 1 and 1.0 do, 1 and true do not."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return isinstance(a, bool) is isinstance(b, bool) and a == b


def resolved(ref: str, overrides: Sequence[Override] = ()) -> Resolved:
    """Read what a reference names: a recipe, by file or by its installed name, or what a run or model was made by.

    A run is read from its own files, whatever is installed; overrides are for recipes.
    Raises ``GenlabError`` if there is no such thing.
    """
    try:
        stored = _stored(ref)
    except ModelError as error:
        if ":" in ref:
            raise
        try:
            return _of_recipe(ref, overrides)
        except RecipeError as other:
            raise RecipeError(f"{other}\n{error}") from None
    if stored is None:
        return _of_recipe(ref, overrides)
    if overrides:
        raise RecipeError(f"{overrides[0]}: {ref} is a run or model, and stays what it was made by")
    return stored


def values_at(path: Path) -> dict[str, Json]:
    """Read a file of resolved values; raise ``RecipeError`` if it is none."""
    plain = read_written(path).plain()
    if not isinstance(plain, dict):
        raise RecipeError(f"{path}: damaged; a resolved recipe is a mapping")
    return plain


def _stored(ref: str) -> Resolved | None:
    """Return what a run or model was made by; None for a recipe."""
    if is_run(Path(ref)):
        return _of_run(Path(ref), ref)
    return None if _is_recipe(ref) else _of_model(ref)


def _of_run(path: Path, ref: str) -> Resolved:
    from genlab.runs import RunDirectory

    return Resolved(ref, values_at(path / "resolved.yaml"), RunDirectory(path).origins())


def _is_recipe(ref: str) -> bool:
    from genlab.opening import installed_recipes

    try:
        if Path(ref).suffix in (".yaml", ".yml") or Path(ref).is_file():
            return True
    except (OSError, ValueError):
        return False
    return any(ref in (known.name, f"{known.distribution}/{known.name}") for known in installed_recipes())


def _of_recipe(ref: str, overrides: Sequence[Override]) -> Resolved:
    from genlab.opening import open_recipe

    opened = open_recipe(ref, overrides)
    return Resolved(ref, opened.recipe.written(), opened.origins(), opened)


def _of_model(ref: str) -> Resolved:
    from genlab.store import find, read_config

    folder = find(ref).folder
    if is_run(folder.parent):
        return _of_run(folder.parent, ref)
    return Resolved(ref, read_config(folder).recipe, {})


def said(value: Value) -> str:
    """Return a value as a recipe would have it, on one line and in full."""
    return "absent" if isinstance(value, Absent) else as_yaml(value)
