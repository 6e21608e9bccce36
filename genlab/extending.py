"""``extends: other.yaml``: a recipe laid over others.

The files that it names, relative to its own folder, or the installed recipes, are laid over one another in the
order in which they are listed, and the recipe itself over them all (``tree.merged`` says how).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genlab.errors import RecipeError
from genlab.mistakes import Mistakes
from genlab.recipe import USES
from genlab.source import file_text, parsed
from genlab.tree import Mistake, Node, Place, TooMuch, merged, unknown
from genlab.wording import printable, shown

KEY = "extends"
MAX_FILES = 32

Find = Callable[[str, Path], Path]
"""Returns the file that a reference in a recipe of some folder means; raises ``RecipeError`` if there is none."""


def extended(tree: Node, file: Path, find: Find, mistakes: Mistakes) -> Node:
    """Return a recipe's tree laid over those that it extends, all that they extend included.

    Adds to ``mistakes`` for each that leads nowhere, round in a circle, or to what cannot be read, and takes what
    it may hold for unknown. Raises ``Mistake`` if the recipe itself is none.
    """
    return _Extension(find, mistakes).of(tree, file, ())


@dataclass
class _Extension:
    find: Find
    mistakes: Mistakes
    read: list[Path] = field(default_factory=list)

    def of(self, tree: Node, file: Path, trail: tuple[Path, ...]) -> Node:
        check_is_mapping(tree)
        assert isinstance(tree.value, dict)
        if KEY not in tree.value:
            return tree
        key, node = tree.value[KEY]
        base: Node | None = None
        for item in node.value if isinstance(node.value, list) else [node]:
            below = unknown(item.place)
            with self.mistakes.collecting():
                place = key if item.value is None and item is node else item.place
                below = self.base(item, place, file, (*trail, file))
            base = below if base is None else merged(base, below, USES)
        own = tree.without(KEY)
        return own if base is None else merged(base, own, USES)

    def base(self, item: Node, place: Place, file: Path, trail: tuple[Path, ...]) -> Node:
        """Return the tree of one that is extended; ``place``: where it is named."""
        if item.unknown:
            return item
        reference = _reference(item, place)
        try:
            path = self.find(reference, file.parent)
            text = file_text(path)
        except RecipeError as error:
            raise Mistake(place, f"{KEY}: {error}") from None
        if path.resolve() in [earlier.resolve() for earlier in trail]:
            way = " -> ".join(printable(str(step)) for step in (*trail, path))
            raise Mistake(place, f"{KEY}: it goes round in a circle: {way}")
        self.read.append(path)
        if len(self.read) > MAX_FILES:
            raise TooMuch(place, f"{KEY}: more than {MAX_FILES} files")
        return self.of(parsed(text, str(path), self.mistakes), path, trail)


def check_is_mapping(tree: Node) -> None:
    """Raise ``RecipeError`` unless a recipe consists of ``key: value`` lines."""
    if not isinstance(tree.value, dict):
        what = "empty" if tree.value is None else "not a mapping"
        raise Mistake(tree.place, f"the recipe is {what}; `key: value` lines are expected, `name:` first")


def _reference(item: Node, place: Place) -> str:
    """Return what ``extends`` names; ``place``: where."""
    expected = "a recipe file, the name of an installed recipe, or a list of them is expected"
    if not isinstance(item.value, str) or not item.value:
        hint = "; leave it out to extend nothing" if item.value is None else ""
        raise Mistake(place, f"{KEY}: {shown(item.plain())} given; {expected}{hint}")
    if "://" in item.value:
        raise Mistake(place, f"{KEY}: {shown(item.value)}: nothing is fetched; {expected}")
    return item.value
