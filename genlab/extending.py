"""``extends: other.yaml``: a recipe laid over others.

The files that it names, relative to its own folder, or the installed recipes, are laid over one another in the
order in which they are listed, and the recipe itself over them all (``tree.merged`` says how).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genlab.errors import RecipeError
from genlab.source import file_text, read_text
from genlab.tree import Node, Place, located, merged
from genlab.wording import printable, shown

KEY = "extends"
MAX_FILES = 32

Find = Callable[[str, Path], Path]
"""Returns the file that a reference in a recipe of some folder means; raises ``RecipeError`` if there is none."""


def extended(tree: Node, file: Path, find: Find) -> Node:
    """Return a recipe's tree laid over those that it extends, all that they extend included.

    Raises ``RecipeError`` for a reference that leads nowhere, or round in a circle.
    """
    return _Extension(find).of(tree, file, ())


@dataclass
class _Extension:
    find: Find
    read: list[Path] = field(default_factory=list)

    def of(self, tree: Node, file: Path, trail: tuple[Path, ...]) -> Node:
        check_is_mapping(tree)
        assert isinstance(tree.value, dict)
        if KEY not in tree.value:
            return tree
        trail = (*trail, file)
        base: Node | None = None
        for reference, place in _references(*tree.value[KEY]):
            try:
                path = self.find(reference, file.parent)
                text = file_text(path)
            except RecipeError as error:
                raise located(place, f"{KEY}: {error}") from None
            if path.resolve() in [earlier.resolve() for earlier in trail]:
                way = " -> ".join(printable(str(step)) for step in (*trail, path))
                raise located(place, f"{KEY}: it goes round in a circle: {way}")
            self.read.append(path)
            if len(self.read) > MAX_FILES:
                raise located(place, f"{KEY}: more than {MAX_FILES} files")
            below = self.of(read_text(text, str(path)), path, trail)
            base = below if base is None else merged(base, below)
        own = tree.without(KEY)
        return own if base is None else merged(base, own)


def check_is_mapping(tree: Node) -> None:
    """Raise ``RecipeError`` unless a recipe consists of ``key: value`` lines."""
    if not isinstance(tree.value, dict):
        what = "empty" if tree.value is None else "not a mapping"
        raise located(tree.place, f"the recipe is {what}; `key: value` lines are expected, `name:` first")


def _references(key: Place, node: Node) -> list[tuple[str, Place]]:
    expected = "a recipe file, the name of an installed recipe, or a list of them is expected"
    items = node.value if isinstance(node.value, list) else [node]
    for item in items:
        place = key if item.value is None and item is node else item.place
        if not isinstance(item.value, str) or not item.value:
            raise located(place, f"{KEY}: {shown(item.plain())} given; {expected}")
        if "://" in item.value:
            raise located(place, f"{KEY}: {shown(item.value)}: nothing is fetched; {expected}")
    return [(str(item.value), item.place) for item in items]
