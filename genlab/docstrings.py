"""What a class's docstring says of it and of its options; what is code there stands in `single` backticks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable


def summary(cls: type) -> str:
    """Return the first line of a class's docstring."""
    return _plain(inspect.getdoc(cls) or "").partition("\n")[0]


def option_meanings(cls: type, options: Iterable[str]) -> dict[str, str]:
    """Return ``{option: meaning}`` for the options that the docstrings of a class and its bases explain.

    They are looked for where genlab's own parts have them: ``width: of the hidden layer. depth: of them.``, or
    ``first, last: the two ends.``, at the beginning of a paragraph or of a sentence.
    """
    found: dict[str, str] = {}
    name = "|".join(map(re.escape, options))
    if not name:
        return found
    head = re.compile(rf"(?:^|(?<=[.;] ))((?:{name})(?:, (?:{name}))*): ")
    for owner in cls.__mro__:
        for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(owner.__dict__.get("__doc__") or "")):
            text = " ".join(_plain(paragraph).split())
            heads = list(head.finditer(text))
            ends = [*(match.start() for match in heads[1:]), len(text)]
            for match, end in zip(heads, ends, strict=False):
                for option in match[1].split(", "):
                    found.setdefault(option, text[match.end() : end].strip().removesuffix("."))
    return found


def _plain(text: str) -> str:
    return text.replace("``", "`")
