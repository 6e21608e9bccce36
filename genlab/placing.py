"""Recipe files of one's own: written with the schema that editors check them by beside them, or copied."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genlab.errors import RecipeError
from genlab.files import write_text
from genlab.opening import find_recipe
from genlab.registry import Registry
from genlab.schema import TITLE, schema_text
from genlab.source import file_text, read_text
from genlab.tree import Node
from genlab.wording import printable, shown

SCHEMA_FILE = "recipe.schema.json"
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"
_SCHEMA_LINES = re.compile(r"^[ \t]*#[ \t]*yaml-language-server:[ \t]*\$schema=.*(?:\r?\n|\Z)", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Placed:
    """A recipe file and its schema: what became of the schema's file."""

    recipe: Path
    schema: Path
    became: Literal["written", "refreshed", "unchanged"]


def place(text: str, path: Path, registry: Registry, *, force: bool = False) -> Placed:
    """Write a recipe, the schema's line first, and the schema beside it.

    Raises ``RecipeError`` if there is such a file already, unless ``force``.
    """
    check_free(path, force=force)
    schema = path.with_name(SCHEMA_FILE)
    became = _write_schema(schema, schema_text(registry))
    write_text(path, with_schema_line(text))
    return Placed(path, schema, became)


def check_free(path: Path, *, force: bool = False) -> None:
    """Raise ``RecipeError`` if a recipe cannot be written to ``path``, or would replace a file there."""
    name = printable(str(path))
    if path.is_dir():
        raise RecipeError(f"{name}: a folder; name a file in it")
    if path.suffix not in _SUFFIXES:
        raise RecipeError(f"{name}: a recipe's name ends in .yaml, and there is no folder of that name")
    if not path.parent.is_dir():
        raise RecipeError(f"{name}: there is no folder {printable(str(path.parent))}; make it first")
    if path.exists() and not force:
        raise RecipeError(f"{name}: there is such a file already; choose another name, or --force to replace it")


def with_schema_line(text: str) -> str:
    """Return a recipe's text with the line that tells editors its schema: first, and once."""
    end = "\r\n" if "\r\n" in text else "\n"
    return f"{SCHEMA_LINE}{end}{_SCHEMA_LINES.sub('', text)}"


def copy_recipe(ref: str, dest: Path | None, registry: Registry, *, force: bool = False) -> Placed:
    """Copy a recipe, comments and all, to a file of one's own; relative ``extends:`` go on meaning the same.

    ref: a file, or the name of an installed recipe. dest: a file, or a folder; the current one by default.
    Raises ``RecipeError`` as ``place`` does, where there is no such recipe, and where an ``extends:`` cannot be
    carried over.
    """
    source = find_recipe(ref)
    text = file_text(source)
    path = Path(f"{source.stem}.yaml") if dest is None else dest
    if path.is_dir():
        path = path / f"{source.stem}.yaml"
    if path.exists() and path.samefile(source):
        raise RecipeError(f"{printable(str(path))}: that is the recipe itself; choose another name")
    check_free(path, force=force)
    if path.parent.resolve() != source.parent.resolve():
        text = _carried(text, source, path.parent)
    return place(text, path, registry, force=force)


def _write_schema(path: Path, text: str) -> Literal["written", "refreshed", "unchanged"]:
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        write_text(path, text)
        return "written"
    except (OSError, UnicodeDecodeError):
        old = ""
    if old == text:
        return "unchanged"
    if f'"title": "{TITLE}"' not in old:
        raise RecipeError(
            f"{printable(str(path))}: not a schema that genlab wrote, and one has to lie there; move it away"
        )
    write_text(path, text)
    return "refreshed"


def _carried(text: str, source: Path, folder: Path) -> str:
    """Return a recipe's text with each relative file that it extends given from where the copy is."""
    tree = read_text(text, str(source))
    extends = tree.value.get("extends") if isinstance(tree.value, dict) else None
    if extends is None:
        return text
    node = extends[1]
    lines = text.splitlines(keepends=True)
    # From the end, so that what is put in moves nothing that is still to come.
    for entry in reversed(node.value if isinstance(node.value, list) else [node]):
        if not isinstance(entry.value, str) or Path(entry.value).is_absolute():
            continue
        file = source.parent / entry.value
        if file.suffix in _SUFFIXES or file.is_file():
            _replace(lines, entry, _from(folder.resolve(), file.resolve()))
    return "".join(lines)


def _from(folder: Path, file: Path) -> str:
    """Return a file's path from a folder, or from the root where they have nothing else in common."""
    together = Path(os.path.commonpath([folder, file]))
    return str(file) if together == Path(file.anchor) else Path(os.path.relpath(file, folder)).as_posix()


def _replace(lines: list[str], node: Node, new: str) -> None:
    """Put a quoted text where a value stands that is written on one line, in its place."""
    place, value = node.place, str(node.value)
    line = lines[(place.line or 1) - 1]
    start = (place.column or 1) - 1
    for written in (value, f"'{value}'", f'"{value}"'):
        if line.startswith(written, start):
            lines[(place.line or 1) - 1] = (
                f"{line[:start]}{json.dumps(new, ensure_ascii=False)}{line[start + len(written) :]}"
            )
            return
    raise RecipeError(
        f"{place}: extends {shown(value)} is relative to {printable(place.file)}, and written so that it cannot "
        "be carried over; write it on one line, between plain quotes, or copy both files into one folder"
    )
