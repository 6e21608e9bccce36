"""Docstrings as they are written here: ``width: of the hidden layer.`` explains a parameter or field."""

from __future__ import annotations

import dataclasses
import inspect
import re
from contextlib import suppress
from typing import Any

from sphinx.application import Sphinx


def explained(obj: Any) -> list[str]:
    """Return the names that a docstring may explain: parameters, fields, what constructors are given."""
    names = [field.name for field in dataclasses.fields(obj)] if dataclasses.is_dataclass(obj) else []
    with suppress(TypeError, ValueError):
        names += inspect.signature(obj).parameters
    for given in re.findall(r"Constructor: ``\((.*?)\)``", inspect.getdoc(obj) or "", re.DOTALL):
        names += re.findall(r"(\w+):", given)
    return names


def as_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn such explanations into fields; they stand at the beginning of a paragraph or of a sentence."""
    names = "|".join(map(re.escape, explained(obj)))
    if not names:
        return
    head = re.compile(rf"(?:^|(?<=[.;] ))((?:{names})(?:, (?:{names}))*): ")
    text, fields = [], []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        flat = " ".join(paragraph.split())
        heads = list(head.finditer(flat))
        if not heads:
            text += [*paragraph.split("\n"), ""]
            continue
        if before := flat[: heads[0].start()].strip():
            text += [before, ""]
        for found, end in zip(heads, [*(h.start() for h in heads[1:]), len(flat)], strict=True):
            fields += [f":param {each}: {flat[found.end() : end].strip()}" for each in found[1].split(", ")]
    lines[:] = [*text, *fields, ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to autodoc."""
    app.connect("autodoc-process-docstring", as_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
