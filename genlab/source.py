"""YAML text -> a tree of values that know the line and column where they were written.

Values follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema): ``1e-3`` is a number
and ``no`` a string. Tags are refused, duplicate keys are errors, and size, depth and aliases are limited, so
that a recipe from a stranger can do nothing but fail with a message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genlab.errors import RecipeError
from genlab.wording import printable, shown

MAX_BYTES = 200_000
MAX_DEPTH = 32
MAX_NODES = 10_000

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True)
class Place:
    """Where something was written: a file and position, or a command-line override."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        file = printable(self.file)
        return file if self.line is None else f"{file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Node:
    """A value and its place. Mappings hold, for each key, the key's own place and the node."""

    value: bool | int | float | str | list[Node] | dict[str, tuple[Place, Node]] | None
    place: Place

    def plain(self) -> Json:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], Place, Node]:
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

    def place_of(self, path: tuple[str | int, ...]) -> Place:
        """Return the place of the deepest part of ``path`` that exists (for a key: where the key stands)."""
        return self.find(path)[1]

    def set(self, path: tuple[str, ...], new: Node, *, short: bool = False) -> Node:
        """Return a copy with the value at ``path`` replaced; missing mappings on the way are made.

        short: a text stands for ``{use: text}``, so that an option of ``encoder: conv`` can be set.
        """
        if not path:
            return new
        step, rest = path[0], path[1:]
        entries: dict[str, tuple[Place, Node]]
        if isinstance(self.value, dict):
            entries = dict(self.value)
        elif isinstance(self.value, str) and short:
            entries = {"use": (self.place, self)}
        elif self.value is None:
            entries = {}
        else:
            remedy = "set the whole list" if isinstance(self.value, list) else "it has nothing inside"
            raise RecipeError(
                f"{new.place}: {printable(step)} cannot be set in {shown(self.plain())}, which is written at "
                f"{self.place}; {remedy}"
            )
        known = entries.get(step)
        child = known[1] if known else Node(None, new.place)
        place = known[0] if known and rest else new.place
        entries[step] = (place, child.set(rest, new, short=short))
        return Node(entries, self.place)


def tree_of(value: Json, place: Place, depth: int = 0) -> Node:
    """Return plain values as a tree, all of it at one place."""
    if depth > MAX_DEPTH:
        raise RecipeError(f"{place}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return Node({str(k): (place, tree_of(child, place, depth + 1)) for k, child in value.items()}, place)
    if isinstance(value, list):
        return Node([tree_of(child, place, depth + 1) for child in value], place)
    if isinstance(value, str):
        _check_characters(value, place.file, place)
    elif isinstance(value, int) and not _MIN_INT <= value <= _MAX_INT:
        raise RecipeError(f"{place}: an integer beyond 64 bits")
    return Node(value, place)


def read_file(path: Path) -> Node:
    """Read and parse one YAML file; raise ``RecipeError`` with place and remedy for anything wrong with it."""
    return read_text(file_text(path), str(path))


def file_text(path: Path) -> str:
    """Return the text of a YAML file; raise ``RecipeError`` if it is no text file that can be read."""
    name = printable(str(path))
    try:
        if path.is_dir():
            raise RecipeError(f"{name}: a folder; a recipe is one YAML file{_neighbours(path)}")
        path.stat()  # raises where there is nothing
        if not path.is_file():  # a pipe or a device could keep us waiting, or never end
            raise RecipeError(f"{name}: not a regular file; a recipe is one YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{name}: no such file{_neighbours(path.parent)}") from None
    except OSError as error:
        raise RecipeError(f"{name}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise RecipeError(f"{name}: not a file name") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{name}: more than {MAX_BYTES} bytes; a recipe is shorter")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig")) + 1
        place = Place(str(path), before.count(b"\n") + 1, column)
        raise RecipeError(f"{place}: not UTF-8 text; save the file as UTF-8") from None


def read_text(text: str, name: str, at: Place | None = None) -> Node:
    """Parse YAML text. ``name`` stands in messages; ``at`` is one place for all nodes (for overrides)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    _check_characters(text, name, at)
    try:
        return _Composer(YAML(typ="safe", pure=True).parse(text), name, at).document()
    except MarkedYAMLError as error:
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        unclosed = "end of stream" in problem or "<stream end>" in problem
        mark = (unclosed and error.context_mark) or error.problem_mark or error.context_mark
        place = at or Place(name, mark.line + 1, mark.column + 1)
        hint = next((hint for words, hint in _HINTS.items() if words in problem), "")
        raise RecipeError(f"{place}: not YAML: {problem}{hint}") from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise RecipeError(f"{at or printable(name)}: not YAML: {' '.join(str(error).split())}") from None


_HINTS = {
    r"'\t'": "; use spaces, not tabs",
    "mapping values are not allowed": "; put a text that has a colon in quotes, and check the indentation",
    "cannot start any token": "; put a text that begins so in quotes",
}

# What YAML calls printable (https://yaml.org/spec/1.2.2/#51-character-set), less the invisible U+FEFF and what
# YAML does not take for the end of a line but other programs do: U+0085, U+2028, U+2029.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def _check_characters(text: str, name: str, at: Place | None) -> None:
    if match := _FORBIDDEN.search(text):
        lines = re.split("\r\n|\r|\n", text[: match.start()])
        place = at or Place(name, len(lines), len(lines[-1]) + 1)
        raise RecipeError(f"{place}: character U+{ord(match[0]):04X} is not allowed; a recipe is plain text")


class _Composer:
    """Builds nodes from parser events, which show tags and aliases before anything is constructed."""

    def __init__(self, events: Iterator[object], name: str, at: Place | None) -> None:
        self.events, self.name, self.at = iter(events), name, at
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0

    def document(self) -> Node:
        from ruamel.yaml import events as ev

        root: Node | None = None
        for event in self.events:
            if isinstance(event, ev.DocumentStartEvent):
                if root is not None:
                    raise RecipeError(f"{self.place(event)}: a second document; a recipe is one document")
                if event.version not in (None, (1, 2)):
                    raise RecipeError(f"{self.place(event)}: recipes are YAML 1.2; leave the %YAML line out")
            elif isinstance(event, ev.NodeEvent):
                root = self.node(event, 0)
        return root or Node(None, self.at or Place(self.name, 1, 1))

    def place(self, event: object) -> Place:
        mark = event.start_mark  # type: ignore[attr-defined]
        return self.at or Place(self.name, mark.line + 1, mark.column + 1)

    def node(self, event: object, depth: int) -> Node:
        from ruamel.yaml import events as ev

        place = self.place(event)
        if isinstance(event, ev.AliasEvent):
            if event.anchor not in self.anchors:
                raise RecipeError(
                    f"{place}: alias *{event.anchor} has no finished value &{event.anchor} before it"
                )
            node, size = self.anchors[event.anchor]
            self.spend(size, place)
            return node
        if depth > MAX_DEPTH:
            raise RecipeError(f"{place}: nested deeper than {MAX_DEPTH} levels")
        tag = getattr(event, "ctag", None) or getattr(event, "tag", None)
        if tag:
            raise RecipeError(f"{place}: tag {tag} is not allowed; recipes hold plain values only")
        start = self.count
        self.spend(1, place)
        if isinstance(event, ev.ScalarEvent):
            node = Node(self.scalar(event, place), place)
        elif isinstance(event, ev.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self.events), ev.SequenceEndEvent):
                items.append(self.node(item, depth + 1))
            node = Node(items, place)
        else:
            node = Node(self.entries(depth), place)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = (node, self.count - start)
        return node

    def scalar(self, event: Any, place: Place) -> bool | int | float | str | None:
        text = event.value
        if event.style:  # quoted: an escape such as "\\e" may have brought in what the text itself cannot hold
            _check_characters(text, self.name, place)
            return str(text)
        try:
            return _scalar(text)
        except ValueError as error:
            raise RecipeError(f"{place}: {shown(text)}: {error}") from None

    def entries(self, depth: int) -> dict[str, tuple[Place, Node]]:
        from ruamel.yaml import events as ev

        entries: dict[str, tuple[Place, Node]] = {}
        while not isinstance(event := next(self.events), ev.MappingEndEvent):
            key = self.node(event, depth + 1)
            if isinstance(key.value, list | dict):
                raise RecipeError(f"{key.place}: a key must be a word, not a list or mapping")
            name = key.value if isinstance(key.value, str) else str(getattr(event, "value", key.value))
            if name in entries:
                raise RecipeError(f"{key.place}: key {shown(name)} appears twice; first at {entries[name][0]}")
            entries[name] = (key.place, self.node(next(self.events), depth + 1))
        return entries

    def spend(self, nodes: int, place: Place) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            raise RecipeError(f"{place}: more than {MAX_NODES} values, aliases counted in full")


_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE = re.compile(r"(?:true|True|TRUE)")
_FALSE = re.compile(r"(?:false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+")
_OCT = re.compile(r"0o([0-7]+)")
_HEX = re.compile(r"0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


def _scalar(text: str) -> bool | int | float | str | None:
    """Resolve a plain scalar by the YAML 1.2 core schema; raise ``ValueError`` for a number out of range."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return _integer(text, 10)
    if match := _OCT.fullmatch(text):
        return _integer(match[1], 8)
    if match := _HEX.fullmatch(text):
        return _integer(match[1], 16)
    if _FLOAT.fullmatch(text):
        if math.isinf(value := float(text)):
            raise ValueError("too large for a number; infinity is .inf")
        return value
    if match := _INF.fullmatch(text):
        return float(match[1] + "inf")
    if _NAN.fullmatch(text):
        return float("nan")
    return text


def _integer(digits: str, base: int) -> int:
    if len(digits) > 64 or not _MIN_INT <= (value := int(digits, base)) <= _MAX_INT:
        raise ValueError("an integer beyond 64 bits; a text of digits needs quotes")
    return value


def _neighbours(folder: Path) -> str:
    """Name the recipe files that lie where a missing one was looked for."""
    try:
        found = sorted(printable(path.name) for path in folder.glob("*.y*ml"))
    except (OSError, ValueError):
        return ""
    return f"; in {printable(str(folder))}: {', '.join(found[:8])}" if found else ""
