"""``train.epochs=3`` on the command line, ``{"train.epochs": 3}`` in Python: a recipe with some values changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genlab.errors import RecipeError
from genlab.extending import KEY
from genlab.recipe import PARTS, PartSpec, Recipe
from genlab.source import read_text
from genlab.tree import Json, Node, Place, tree_of
from genlab.wording import printable, shown
from genlab.writing import as_yaml


@dataclass(frozen=True)
class Override:
    """One value that is laid over a recipe's.

    path: the steps of its key. node: the value; its place is what messages call the override.
    """

    path: tuple[str, ...]
    node: Node

    @property
    def key(self) -> str:
        """The key as it is written, ``train.epochs``."""
        return ".".join(self.path)

    def __str__(self) -> str:
        """Return the override as one would type it: read again, it is the same."""
        return f"{self.key}={as_yaml(self.node.plain())}"


Overrides = Mapping[str, object] | Sequence[Override]
"""What Python callers may pass: ``{"train.epochs": 3}``, or overrides that were read already."""


def parse_overrides(tokens: Iterable[str]) -> tuple[Override, ...]:
    """Read ``a.b=value`` tokens; values are YAML."""
    overrides: dict[str, Override] = {}
    for token in tokens:
        key, equals, text = token.partition("=")
        place = Place(f"override {shown(token)}")
        if not equals or not all(key.split(".")):
            raise RecipeError(f"{place}: key=value is expected, as in train.epochs=3")
        if key in overrides:
            raise RecipeError(f"{place}: {printable(key)} is set twice")
        overrides[key] = Override(tuple(key.split(".")), read_text(text, str(place), place))
    return tuple(overrides.values())


def overrides_of(given: Overrides | None) -> tuple[Override, ...]:
    """Return what a Python caller passed as overrides; raise ``RecipeError`` for what a recipe cannot hold."""
    if given is None or isinstance(given, Mapping):
        return tuple(_override(key, value) for key, value in (given or {}).items())
    return tuple(given)


def apply_overrides(tree: Node, overrides: Iterable[Override]) -> Node:
    """Return the tree with the overrides laid over it, each remembered as its own place."""
    done: list[str] = []
    for override in overrides:
        key, path, node = override.key, override.path, override.node
        if path[0] == KEY:
            raise RecipeError(f"{node.place}: {KEY} is read from files only; write it into a recipe of your own")
        outer = key.removesuffix(".use")
        if undone := [earlier for earlier in done if earlier.startswith(f"{outer}.")]:
            raise RecipeError(f"{node.place}: it would undo the override of {undone[0]}; put it before that one")
        default = Recipe.model_fields[path[0]].default if path[0] in PARTS else None
        if len(path) > 1 and isinstance(default, PartSpec) and not tree.find(path[:1])[0]:
            tree = tree.set(path[:1], tree_of(default.use, node.place))  # its option is set: name the part
        tree = tree.set(path, node, part=path[0] in PARTS)
        done.append(key)
    return tree


def _override(key: object, value: object) -> Override:
    if not isinstance(key, str) or not all(key.split(".")):
        raise RecipeError(f"override {shown(key)}: a key is expected, as in 'train.epochs'")
    place = Place(f"override {printable(key)}={shown(value)}")
    return Override(tuple(key.split(".")), tree_of(_plain(value, key), place))


def _plain(value: object, key: str) -> Json:
    """Accept what Python callers pass as an override: numbers, texts, lists, tuples, mappings, paths."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, key) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, key) for v in value]
    raise RecipeError(f"override {key}: {type(value).__name__} is not a recipe value; pass a number, text or list")
