"""YAML text -> a tree of values that know the line and column where they were written.

Values follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema): ``1e-3`` is a number
and ``no`` a string. Tags are refused, duplicate keys are errors, and size, depth and aliases are limited, so
that a recipe from a stranger can do nothing but fail with a message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from genlab.errors import RecipeError
from genlab.mistakes import Mistakes
from genlab.tree import (
    MAX_DEPTH,
    MAX_INT,
    MIN_INT,
    WHOLE,
    Mistake,
    Node,
    Place,
    TooMuch,
    check_characters,
    lines_of,
    unknown,
)  # fmt: skip
from genlab.wording import dotted, printable, shown

MAX_BYTES = 200_000
MAX_NODES = 10_000


def read_file(path: Path) -> Node:
    """Read and parse one YAML file; raise ``RecipeError`` listing all that is wrong with it, place and remedy."""
    return read_text(file_text(path), str(path))


def file_text(path: Path) -> str:
    """Return the text of a YAML file; raise ``RecipeError`` if it is no text file that can be read."""
    name = printable(str(path))
    try:
        if path.is_dir():
            raise RecipeError(f"{name}: a folder; a recipe is one YAML file{neighbours(path)}")
        path.stat()  # raises where there is nothing
        if not path.is_file():  # a pipe or a device could keep us waiting, or never end
            raise RecipeError(f"{name}: not a regular file; a recipe is one YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{name}: no such file{neighbours(path.parent)}") from None
    except OSError as error:
        raise RecipeError(f"{name}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise RecipeError(f"{name}: not a file name") from None
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{name}: more than {MAX_BYTES} bytes; a recipe is shorter")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = lines_of(error.object[: error.start].decode())  # the object begins after a mark of the byte order
        line = lines_of(error.object.decode(errors="replace"))[len(before) - 1]
        place = Place(str(path), len(before), len(before[-1]) + 1, line)
        raise Mistake(place, "not UTF-8 text; save the file as UTF-8") from None


def read_text(text: str, name: str, at: Place | None = None) -> Node:
    """Parse YAML text; raise ``RecipeError`` as ``read_file`` does.

    name: what messages call it. at: one place for all nodes (for overrides).
    """
    with Mistakes() as mistakes:
        return parsed(text, name, mistakes, at)


def parsed(text: str, name: str, mistakes: Mistakes, at: Place | None = None) -> Node:
    """Parse YAML text, adding to ``mistakes``; raise ``Mistake`` for what leaves nothing to go on with."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    check_characters(text, at or Place(name, WHOLE))
    lines = lines_of(text)
    try:
        return _Composer(YAML(typ="safe", pure=True).parse(text), name, lines, at, mistakes).document()
    except MarkedYAMLError as error:
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        # What was begun and not finished is to blame, not where that came to light.
        unclosed = any(words in problem for words in ("end of stream", "<stream end>", "not find expected ':'"))
        mark = (unclosed and error.context_mark) or error.problem_mark or error.context_mark
        place = at or _place(mark, name, lines)
        hint = next((hint for words, hint in _HINTS.items() if words in f"{problem} {place.text}"), "")
        raise Mistake(place, f"not YAML: {problem}{hint}") from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise Mistake(at or Place(name), f"not YAML: {' '.join(str(error).split())}") from None


_HINTS = {
    "${": "; put a value that has ${...} in quotes",
    r"'\t'": "; use spaces, not tabs",
    "mapping values are not allowed": "; put a text that has a colon in quotes, and check the indentation",
    "cannot start any token": "; put a text that begins so in quotes",
    "not find expected ':'": "; a line is `key: value`, with a space after the colon",
    "<block end>": "; the keys of one mapping begin in the same column",
    "end of stream": "; close the quote",
    "<stream end>": "; close the bracket or brace",
    "<document start>": "; what stands before it is no `key: value` line",
    "expected ',' or": "; within { } and [ ] a comma stands between items",
}


class _Composer:
    """Builds nodes from parser events, which show tags and aliases before anything is constructed."""

    def __init__(
        self, events: Iterator[object], name: str, lines: list[str], at: Place | None, mistakes: Mistakes
    ) -> None:
        self.events, self.name, self.lines, self.at = iter(events), name, lines, at
        self.mistakes = mistakes
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.count = 0

    def document(self) -> Node:
        from ruamel.yaml import events as ev

        root: Node | None = None
        for event in self.events:
            if isinstance(event, ev.DocumentStartEvent):
                if root is not None:
                    self.mistake(event, "a second document; a recipe is one document")
                    break
                if event.version not in (None, (1, 2)):
                    self.mistake(event, "recipes are YAML 1.2; leave the %YAML line out")
            elif isinstance(event, ev.NodeEvent):
                root = self.node(event, 0)
        return root or Node(None, self.at or Place(self.name, 1, 1))

    def place(self, event: object) -> Place:
        return self.at or _place(event.start_mark, self.name, self.lines)  # type: ignore[attr-defined]

    def mistake(self, event: object, message: str) -> Node:
        """Remember a mistake; return what stands for the value that it hides."""
        place = self.place(event)
        self.mistakes.add(Mistake(place, message))
        return unknown(place)

    def node(self, event: object, depth: int) -> Node:
        from ruamel.yaml import events as ev

        place = self.place(event)
        if isinstance(event, ev.AliasEvent):
            if event.anchor not in self.anchors:
                name = dotted((event.anchor,))  # cut, and printable
                return self.mistake(event, f"alias *{name} has no finished value &{name} before it")
            node, size = self.anchors[event.anchor]
            self.spend(size, place)
            return node
        if depth > MAX_DEPTH:
            raise TooMuch(place, f"nested deeper than {MAX_DEPTH} levels")
        start = self.count
        self.spend(1, place)
        if isinstance(event, ev.ScalarEvent):
            node = self.scalar(event, place)
        elif isinstance(event, ev.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self.events), ev.SequenceEndEvent):
                items.append(self.node(item, depth + 1))
            node = Node(items, place)
        else:
            node = self.mapping(place, depth)
        tag = getattr(event, "ctag", None) or getattr(event, "tag", None)
        if tag:
            said = f"tag {dotted((str(tag),))} is not allowed; recipes hold plain values only"
            hidden = self.mistake(event, said)
            node = replace(node, unknown=True) if isinstance(node.value, dict) else hidden
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = (node, self.count - start)
        return node

    def scalar(self, event: Any, place: Place) -> Node:
        text = event.value
        if not event.style:
            try:
                return Node(bare(text), place)
            except ValueError as error:
                return self.mistake(event, f"{shown(text)}: {error}")
        with self.mistakes.collecting():  # an escape such as "\\e" may bring in what the text itself cannot hold
            check_characters(text, place)
            return Node(str(text), place)
        return unknown(place)

    def mapping(self, place: Place, depth: int) -> Node:
        from ruamel.yaml import events as ev

        entries: dict[str, tuple[Place, Node]] = {}
        every = True
        while not isinstance(event := next(self.events), ev.MappingEndEvent):
            key = self.node(event, depth + 1)
            name = key.value if isinstance(key.value, str) else str(getattr(event, "value", key.value))
            word = not isinstance(key.value, list | dict)
            if not word and not key.unknown:
                self.mistake(event, "a key must be a word, not a list or mapping")
            if word and name in entries:
                self.mistake(event, f"key {shown(name)} appears twice; first at {entries[name][0]}")
            value = self.node(next(self.events), depth + 1)
            if word:
                entries.setdefault(name, (key.place, value))
            every = every and word
        return Node(entries, place, unknown=not every)

    def spend(self, nodes: int, place: Place) -> None:
        self.count += nodes
        if self.count > MAX_NODES:
            raise TooMuch(place, f"more than {MAX_NODES} values, aliases counted in full")


_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_TRUE = re.compile(r"(?:true|True|TRUE)")
_FALSE = re.compile(r"(?:false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+")
_OCT = re.compile(r"0o([0-7]+)")
_HEX = re.compile(r"0x([0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")


def bare(text: str) -> bool | int | float | str | None:
    """Resolve a bare word by the YAML 1.2 core schema; raise ``ValueError`` for a number out of range."""
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
    if len(digits) > 64 or not MIN_INT <= (value := int(digits, base)) <= MAX_INT:
        raise ValueError("an integer beyond 64 bits; a text of digits needs quotes")
    return value


def _place(mark: Any, name: str, lines: list[str]) -> Place:
    text = lines[mark.line] if mark.line < len(lines) else ""
    return Place(name, mark.line + 1, mark.column + 1, text)


def neighbours(folder: Path) -> str:
    """Name the recipe files that lie where a missing one was looked for."""
    try:
        found = sorted(printable(path.name) for path in folder.glob("[!.]*.y*ml"))
    except (OSError, ValueError):
        return ""
    return f"; in {printable(str(folder))}: {', '.join(found[:8])}" if found else ""
