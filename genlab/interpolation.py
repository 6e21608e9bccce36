"""``${train.epochs}`` and ``${env:NAME,default}`` in a recipe: values that stand for others.

A value that is nothing but one ``${...}`` takes over what it names, its type included; within a longer text it
is written into it. What the environment holds is read as YAML reads a bare word: ``3`` is a number. ``$${`` is
``${`` itself. Keys are those that are written, in this recipe, in one that it extends or on the command line:
a default has no place to be looked up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from genlab.mistakes import Mistakes
from genlab.source import MAX_BYTES, MAX_NODES, bare, file_text, parsed
from genlab.tree import MAX_DEPTH, Mistake, Node, Place, TooMuch, check_characters, unknown
from genlab.wording import Steps, printable, shown, suggest

_OPEN = re.compile(r"(\$?)\$\{")
_KEY = re.compile(r"[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_]{1,100})*")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(?:,(.*))?", re.DOTALL)


def interpolated(tree: Node, mistakes: Mistakes, environ: Mapping[str, str] = os.environ) -> Node:
    """Return the tree with every ``${...}`` replaced, adding to ``mistakes`` for each that means nothing.

    Raises ``TooMuch`` where they make too many values, or too deep ones.
    """
    return _Interpolation(tree, mistakes, environ).at((), tree, 0)


def read_written(path: Path) -> Node:
    """Read a recipe that genlab wrote with every value resolved: ``$${`` is ``${``, no value stands for another.

    Raises ``RecipeError`` if it cannot be read.
    """
    with Mistakes() as mistakes:
        return interpolated(parsed(file_text(path), str(path), mistakes), mistakes, {})


@dataclass
class _Interpolation:
    """Replaces what it meets on its way through a tree, and before that what it refers to.

    Every reference is followed anew, and what that makes is counted: a few lines must not become a million values.
    One that means nothing is told once, and not again by what refers to it.
    """

    tree: Node
    mistakes: Mistakes
    environ: Mapping[str, str]
    under_way: list[Steps] = field(default_factory=list)
    failed: set[Steps] = field(default_factory=set)
    made: int = 0
    written: int = 0

    def at(self, path: Steps, node: Node, depth: int) -> Node:
        """Return the node at ``path`` with its texts replaced."""
        self.made += 1
        if self.under_way and isinstance(node.value, str):
            self.spend(node.value, node.place)
        if max(depth, len(self.under_way)) > MAX_DEPTH:
            raise TooMuch(node.place, f"${{...}} nests deeper than {MAX_DEPTH} levels")
        if self.made > MAX_NODES:
            raise TooMuch(node.place, f"${{...}} makes more than {MAX_NODES} values of this recipe")
        if isinstance(node.value, dict):
            entries = {
                key: (place, self.at((*path, key), child, depth + 1)) for key, (place, child) in node.value.items()
            }
            return replace(node, value=entries)
        if isinstance(node.value, list):
            items = [self.at((*path, i), child, depth + 1) for i, child in enumerate(node.value)]
            return replace(node, value=items)
        if isinstance(node.value, str) and "${" in node.value:
            found = unknown(node.place) if path in self.failed else self.text(node.value, path, node.place, depth)
            if found.unknown:
                self.failed.add(path)
            return found
        return node

    def text(self, text: str, path: Steps, place: Place, depth: int) -> Node:
        """Return what a text with ``${`` in it stands for; what cannot be known if that means nothing."""
        pieces: list[str] = []
        end, known = 0, True
        while match := _OPEN.search(text, end):
            pieces.append(text[end : match.start()])
            end = match.end()
            if match[1]:
                pieces.append("${")
                continue
            close = text.find("}", end)
            if close < 0:
                problem = f"{shown(text)}: ${{ without }}; write $${{ for the characters themselves"
                self.mistakes.add(Mistake(place, problem))
                return unknown(place)
            name, end = text[end:close], close + 1
            found = unknown(place)
            with self.mistakes.collecting():
                found = self.reference(name, text, path, place, depth)
            if match.start() == 0 and end == len(text):
                return replace(found, place=place, expression=text)
            pieces.append(str(found.value))
            known = known and not found.unknown
        whole = "".join([*pieces, text[end:]])
        self.spend(whole, place)
        return Node(whole, place, expression=text) if known else unknown(place)

    def reference(self, name: str, text: str, path: Steps, place: Place, depth: int) -> Node:
        """Return what ``${name}`` stands for if it is the whole text, else what it writes into the text."""
        whole = text == f"${{{name}}}"
        if env := _ENV.fullmatch(name):
            value = self.variable(env, place)
            return _read(value, env[1], place) if whole else Node(value, place)
        found = self.value(name, path, place, depth)
        return found if whole or found.unknown else Node(_written(found, text, place), place)

    def spend(self, text: str, place: Place) -> None:
        """Count the characters that references make."""
        self.written += len(text)
        if self.written > MAX_BYTES:
            raise TooMuch(place, f"${{...}} makes more than {MAX_BYTES} characters of this recipe")

    def value(self, name: str, path: Steps, place: Place, depth: int) -> Node:
        """Return what is written at a key, all that it holds replaced."""
        if not _KEY.fullmatch(name):
            said = f"${{{name and printable(name)}}}: a key, as in ${{train.epochs}}, or ${{env:NAME,default}}"
            raise Mistake(place, f"{said} is expected")
        steps = tuple(int(step) if step.isdecimal() and len(step) < 10 else step for step in name.split("."))
        if steps in self.under_way or steps == path[: len(steps)]:
            raise Mistake(place, f"${{{name}}} refers to itself")
        found, _, node = self.tree.find(steps)
        if found != steps and not self.tree.knows(steps):
            return unknown(place)
        if found != steps:
            keys = node.value if isinstance(node.value, dict) else ()
            hint = suggest(name, [".".join(map(str, (*found, key))) for key in keys])
            problem = f"${{{name}}}: no such key is written; {hint}"
            raise Mistake(place, f"{problem}a default cannot be referred to, write it out")
        self.under_way.append(steps)
        result = self.at(steps, node, depth)
        self.under_way.pop()
        return result

    def variable(self, env: re.Match[str], place: Place) -> str:
        """Return the text of an environment variable, or the default."""
        text = self.environ.get(env[1], env[2])
        if text is None:
            remedy = f"set it or give a default: ${{env:{env[1]},...}}"
            raise Mistake(place, f"environment variable {env[1]} is not set; {remedy}")
        check_characters(text, place)
        return text


def _read(text: str, variable: str, place: Place) -> Node:
    try:
        return Node(bare(text.strip()), place)
    except ValueError as error:
        raise Mistake(place, f"environment variable {variable}: {shown(text)}: {error}") from None


def _written(node: Node, text: str, place: Place) -> str:
    """Return a value as it is written into a longer text."""
    if isinstance(node.value, str):
        return node.value
    if isinstance(node.value, dict | list) or node.value is None:
        raise Mistake(place, f"{shown(text)}: {shown(node.plain())} cannot be written into a text")
    return shown(node.value)
