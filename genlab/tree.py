"""A tree of values that know where they were written, and how one tree is laid over another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from unicodedata import east_asian_width

from genlab.errors import RecipeError
from genlab.wording import Steps, printable, shown

MAX_DEPTH = 32
MIN_INT, MAX_INT = -(2**63), 2**63 - 1
WHOLE = 0  # the line number of a text that is a whole file
WINDOW = 100  # characters of a long line that a message shows

Uses = Mapping[str, str]
"""The part that each section of a recipe means if it names none, ``{"optimizer": "adam"}``."""

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True)
class Place:
    """Where something was written: a file and position with the line itself, or a command-line override."""

    file: str
    line: int | None = None
    column: int | None = None
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        file = printable(self.file)
        return file if self.line is None else f"{file}:{self.line}:{self.column}"

    @property
    def short(self) -> str:
        """File and line, without the column."""
        return printable(self.file) if self.line is None else f"{printable(self.file)}:{self.line}"

    @property
    def order(self) -> tuple[bool, str, int, int]:
        """What sorts places as they stand, overrides, which stand in no file, first."""
        return self.line is not None, self.file, self.line or 0, self.column or 0

    @property
    def excerpt(self) -> str:
        """The line with a caret below the column, on two lines of their own; empty for an override."""
        if self.column is None or not self.text.strip():
            return ""
        at = self.column - 1
        start = max(0, at - WINDOW // 2) if len(self.text) > WINDOW else 0
        window = "".join(c if c.isprintable() else " " for c in self.text[start : start + WINDOW])
        before = sum(2 if east_asian_width(c) in "WF" else 1 for c in window[: at - start])
        return f"\n    {window.rstrip()}\n    {' ' * before}^"


class Mistake(RecipeError):
    """What is wrong at one place: position, message, and the line with a caret."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {message}{place.excerpt}")
        self.place = place


class TooMuch(Mistake):
    """A limit is passed: nothing more is read, whatever else may be wrong."""


# What YAML calls printable (https://yaml.org/spec/1.2.2/#51-character-set), less the invisible U+FEFF and what
# YAML does not take for the end of a line but other programs do: U+0085, U+2028, U+2029.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def check_characters(text: str, place: Place) -> None:
    """Raise ``RecipeError`` if a text holds a character that a recipe cannot."""
    if match := _FORBIDDEN.search(text):
        if place.line == WHOLE:
            before = lines_of(text[: match.start()])
            line = lines_of(text)[len(before) - 1]
            place = Place(place.file, len(before), len(before[-1]) + 1, line)
        raise Mistake(place, f"character U+{ord(match[0]):04X} is not allowed; a recipe is plain text")


_LINE_END = re.compile("\r\n|\r|\n")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, as YAML counts them."""
    return _LINE_END.split(text)


@dataclass(frozen=True)
class Node:
    """A value and its place. Mappings hold, for each key, the key's own place and the node.

    clears: a null that stands where another tree has a value. expression: the ``${...}`` that it came from.
    unknown: a mapping of which not all is known, or nothing, for a mistake that is told elsewhere.
    """

    value: bool | int | float | str | list[Node] | dict[str, tuple[Place, Node]] | None
    place: Place
    clears: bool = False
    expression: str = ""
    unknown: bool = False

    def plain(self) -> Json:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, path: Steps) -> tuple[Steps, Place, Node]:
        """Follow ``path`` as far as it exists: how far that is, where the last key stands, and what is there."""
        node, place = self, self.place
        for depth, step in enumerate(path):
            if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
                place, node = node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                place = node.place
            else:
                return path[:depth], place, node
        return path, place, node

    @property
    def certain(self) -> bool:
        """Whether all that it holds is known."""
        inside = [node for _, node in self.value.values()] if isinstance(self.value, dict) else self.value
        return not self.unknown and (not isinstance(inside, list) or all(node.certain for node in inside))

    def knows(self, path: Steps) -> bool:
        """Whether it is certain what stands at ``path``, or that nothing does."""
        return not any(self.find(path[:n])[2].unknown for n in range(len(path) + 1))

    def place_of(self, path: Steps) -> Place:
        """Return the place of the deepest part of ``path`` that exists (for a key: where the key stands)."""
        return self.find(path)[1]

    def without(self, *keys: str) -> Node:
        """Return a mapping without some keys."""
        assert isinstance(self.value, dict)
        return replace(self, value={key: entry for key, entry in self.value.items() if key not in keys})

    def set(
        self, path: Sequence[str], new: Node, *, part: bool = False, uses: Uses | None = None, use: str = ""
    ) -> Node:
        """Return a copy with ``new`` laid over what is at ``path``; missing mappings on the way are made.

        part: this is a part of a recipe, where a text stands for ``{use: text}`` and options go with ``use``.
        uses, use: as ``merged`` has them.
        """
        if not path:
            return merged(self, new, uses, use)
        step, rest = path[0], path[1:]
        entries: dict[str, tuple[Place, Node]]
        if isinstance(self.value, dict):
            entries = dict(self.value)
        elif isinstance(self.value, str) and part:
            entries = {"use": (self.place, self)}
        elif self.value is None:
            entries = {}
        else:
            remedy = "set the whole list" if isinstance(self.value, list) else "it has nothing inside"
            written = f"{shown(self.plain())}, which is written at {self.place}"
            raise Mistake(new.place, f"{printable(step)} cannot be set in {written}; {remedy}")
        known = entries.get(step)
        if part and step == "use" and not rest and _named(entries, use) not in ("", new.value):
            entries = {}  # the options were another part's
        if known is None:
            entries[step] = (new.place, Node(None, new.place).set(rest, new, part=part) if rest else new)
        else:
            below = known[1].set(rest, new, part=part, use=(uses or {}).get(step, ""))
            entries[step] = (known[0] if rest else new.place, below)
        return replace(self, value=entries)


def unknown(place: Place) -> Node:
    """Return what stands for a value that cannot be known, for a mistake that is told."""
    return Node({}, place, unknown=True)


def merged(base: Node, over: Node, uses: Uses | None = None, use: str = "") -> Node:
    """Return ``base`` with ``over`` laid on it.

    Mappings are merged key by key; anything else is replaced. A mapping that names another part (``use``)
    replaces: the options were that other part's. Options alone are added to a part written as its name.

    use: the part that ``base`` means if it names none. uses: the same of each of its keys.
    """
    if over.value is None:
        return Node(None, over.place, clears=True)
    if not isinstance(over.value, dict):
        return over
    below = base.value
    if isinstance(below, str) and "use" not in over.value:
        below = {"use": (base.place, base)}
    if not isinstance(below, dict):
        return over
    if "use" in over.value and _named(below, use) not in ("", over.value["use"][1].value):
        return over
    entries = dict(below)
    for key, (place, node) in over.value.items():
        if key in entries or base.unknown:
            inherited = entries[key][1] if key in entries else unknown(base.place)
            node = merged(inherited, node, use=(uses or {}).get(key, ""))
        entries[key] = (place, node)
    return Node(entries, over.place, unknown=base.unknown or over.unknown)


def _named(entries: Mapping[str, tuple[Place, Node]], use: str) -> object:
    """Return the part that a mapping names, or ``use``."""
    return entries["use"][1].value if "use" in entries else use


def tree_of(value: Json, place: Place, depth: int = 0) -> Node:
    """Return plain values as a tree, all of it at one place."""
    if depth > MAX_DEPTH:
        raise Mistake(place, f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return Node({str(k): (place, tree_of(child, place, depth + 1)) for k, child in value.items()}, place)
    if isinstance(value, list):
        return Node([tree_of(child, place, depth + 1) for child in value], place)
    if isinstance(value, str):
        check_characters(value, place)
    elif isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        raise Mistake(place, "an integer beyond 64 bits")
    return Node(value, place)
