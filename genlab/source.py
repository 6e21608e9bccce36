"""YAML text -> a tree of values that know the line and column where they were written.

Values follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema): ``1e-3`` is a number
and ``no`` a string. Tags are refused, duplicate keys are errors, and size, depth and aliases are limited, so
that a recipe from a stranger can do nothing but fail with a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from genlab.errors import RecipeError

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 100_000

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Place:
    """Where something was written: a file and position, or a command-line override."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Node:
    """A value and its place. Mappings hold, for each key, the key's own place and the node."""

    value: None | bool | int | float | str | list[Node] | dict[str, tuple[Place, Node]]
    place: Place

    def plain(self) -> Json:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, (_, node) in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def place_of(self, path: tuple[str | int, ...]) -> Place:
        """Return the place of the deepest part of ``path`` that exists (for a key: where the key stands)."""
        node, place = self, self.place
        for step in path:
            if isinstance(node.value, dict) and isinstance(step, str) and step in node.value:
                place, node = node.value[step]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                place = node.place
            else:
                break
        return place

    def set(self, path: tuple[str, ...], new: Node) -> Node:
        """Return a copy with the value at ``path`` replaced; missing mappings on the way are made.

        A part written short, ``encoder: conv``, becomes ``{use: conv}`` when an option of it is set.
        """
        if not path:
            return new
        step, rest = path[0], path[1:]
        entries: dict[str, tuple[Place, Node]]
        if isinstance(self.value, dict):
            entries = dict(self.value)
        elif isinstance(self.value, str):
            entries = {"use": (self.place, self)}
        elif self.value is None:
            entries = {}
        else:
            raise RecipeError(
                f"{new.place}: {'.'.join(path)} cannot be set inside {self.plain()!r} at {self.place}"
            )
        child = entries[step][1] if step in entries else Node(None, new.place)
        entries[step] = (new.place if not rest or step not in entries else entries[step][0], child.set(rest, new))
        return Node(entries, self.place)


def read_file(path: Path) -> Node:
    """Read one YAML file; raise ``RecipeError`` with place and remedy for anything that is wrong with it."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if path.is_file() and size <= MAX_BYTES else None
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file{_neighbours(path)}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from None
    if data is None:
        if path.is_dir():
            raise RecipeError(f"{path}: a folder; a recipe is one YAML file{_neighbours(path / 'x')}")
        what = f"{size} bytes; a recipe has at most {MAX_BYTES}" if path.is_file() else "not a regular file"
        raise RecipeError(f"{path}: {what}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RecipeError(f"{path}:{line}: not UTF-8 text (byte {error.start})") from None
    return read_text(text, str(path))


def read_text(text: str, name: str, at: Place | None = None) -> Node:
    """Parse YAML text. ``name`` stands in messages; ``at`` is one place for all nodes (for overrides)."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _Composer(YAML(typ="safe", pure=True).parse(text), name, at).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = at or Place(name, mark.line + 1, mark.column + 1)
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise RecipeError(f"{place}: not YAML: {problem}") from None
    except (YAMLError, ValueError) as error:
        raise RecipeError(f"{at or name}: not YAML: {' '.join(str(error).split())}") from None


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
                    raise RecipeError(f"{self.place(event)}: a second document; a recipe is one")
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
                raise RecipeError(f"{place}: alias *{event.anchor} has no anchor before it")
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
            plain = event.style is None or event.style == ""
            node = Node(_scalar(event.value) if plain else event.value, place)
        elif isinstance(event, ev.SequenceStartEvent):
            items = []
            while not isinstance(event := next(self.events), ev.SequenceEndEvent):
                items.append(self.node(event, depth + 1))
            node = Node(items, place)
        else:
            node = Node(self.entries(depth), place)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = (node, self.count - start)
        return node

    def entries(self, depth: int) -> dict[str, tuple[Place, Node]]:
        from ruamel.yaml import events as ev

        entries: dict[str, tuple[Place, Node]] = {}
        while not isinstance(event := next(self.events), ev.MappingEndEvent):
            key = self.node(event, depth + 1)
            if isinstance(key.value, list | dict):
                raise RecipeError(f"{key.place}: a key must be a word, not a list or mapping")
            name = key.value if isinstance(key.value, str) else str(getattr(event, "value", key.value))
            if name in entries:
                raise RecipeError(f"{key.place}: key {name!r} appears twice; first at {entries[name][0]}")
            entries[name] = (key.place, self.node(next(self.events), depth + 1))
        return entries

    def spend(self, nodes: int, place: Place) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            raise RecipeError(f"{place}: more than {MAX_NODES} values, aliases counted in full")


_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE = re.compile(r"(?:true|True|TRUE)")
_FALSE = re.compile(r"(?:false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]{1,4000}")
_OCT = re.compile(r"0o([0-7]+)")
_HEX = re.compile(r"0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")


def _scalar(text: str) -> None | bool | int | float | str:
    """Resolve a plain scalar by the YAML 1.2 core schema."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if _INT.fullmatch(text):
        return int(text)
    if match := _OCT.fullmatch(text):
        return int(match[1], 8)
    if match := _HEX.fullmatch(text):
        return int(match[1], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INF.fullmatch(text):
        return float(match[1] + "inf")
    if _NAN.fullmatch(text):
        return float("nan")
    return text


def _neighbours(path: Path) -> str:
    """Name the recipe files that lie where a missing one was looked for."""
    try:
        found = sorted(p.name for p in path.parent.glob("*.y*ml"))
    except OSError:
        return ""
    return f"; in {path.parent}: {', '.join(found[:8])}" if found else ""
