"""``train.epochs=3`` on the command line, ``{"train.epochs": 3}`` in Python: a recipe with some values changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genlab.extending import KEY
from genlab.mistakes import Mistakes
from genlab.recipe import PARTS, USES
from genlab.source import parsed
from genlab.tree import Json, Mistake, Node, Place, tree_of
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
    """Read ``a.b=value`` tokens; values are YAML. Raises ``RecipeError`` listing every one that cannot be read."""
    overrides: dict[str, Override] = {}
    with Mistakes() as mistakes:
        for token in tokens:
            key, equals, text = token.partition("=")
            place = Place(f"override {shown(token)}")
            with mistakes.collecting():
                if not equals or not all(key.split(".")):
                    raise Mistake(place, "key=value is expected, as in train.epochs=3")
                if key in overrides:
                    raise Mistake(place, f"{printable(key)} is set twice")
                node = parsed(text, str(place), mistakes, place)
                overrides[key] = Override(tuple(key.split(".")), node)
    return tuple(overrides.values())


def overrides_of(given: Overrides | None) -> tuple[Override, ...]:
    """Return what a Python caller passed as overrides; raise ``RecipeError`` listing what a recipe cannot hold."""
    if not isinstance(given, Mapping):
        return tuple(given or ())
    overrides: list[Override] = []
    with Mistakes() as mistakes:
        for key, value in given.items():
            with mistakes.collecting():
                overrides.append(_override(key, value))
    return tuple(overrides)


def apply_overrides(tree: Node, overrides: Iterable[Override], mistakes: Mistakes) -> Node:
    """Return the tree with the overrides laid over it, each remembered as its own place.

    Adds to ``mistakes`` for each that cannot be.
    """
    done: list[str] = []
    for override in overrides:
        with mistakes.collecting():
            tree = _applied(tree, override, done)
            done.append(override.key)
    return tree


def _applied(tree: Node, override: Override, done: Sequence[str]) -> Node:
    """Return the tree with one more override laid over it; ``done``: the keys of those before."""
    key, path, node = override.key, override.path, override.node
    if path[0] == KEY:
        raise Mistake(node.place, f"{KEY} is read from files only; write it into a recipe of your own")
    outer = key.removesuffix(".use")
    if undone := [earlier for earlier in done if earlier.startswith(f"{outer}.")]:
        raise Mistake(node.place, f"it would undo the override of {undone[0]}; put it before that one")
    return tree.set(path, node, part=path[0] in PARTS, uses=USES)


def _override(key: object, value: object) -> Override:
    if not isinstance(key, str) or not all(key.split(".")):
        raise Mistake(Place(f"override {shown(key)}"), "a key is expected, as in 'train.epochs'")
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
    said = f"{type(value).__name__} is not a recipe value; pass a number, text or list"
    raise Mistake(Place(f"override {key}"), said)
