"""What is wrong with a value on the command line, in the words that recipes have for it."""

from __future__ import annotations

import re
from typing import Any

from genlab.wording import printable, suggest

_CHOICE = re.compile(r"(['\"])(.*)\1 is not one of ('.*')\.?", re.DOTALL)
_BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_TYPES = {"int": "an integer", "float": "a number", "bool": "true or false"}


def expected(error: Any) -> str:
    """Return ``abc: an integer is expected`` for typer's error about a value; what typer says if it is another."""
    said: str = error.message or ""
    if choice := _CHOICE.search(said):
        known = re.findall(r"'([^']*)'", choice[3])
        return f"{printable(choice[2])}: {suggest(choice[2], known)}one of {', '.join(known)} is expected"
    findings = getattr(error.__cause__, "errors", None)  # pydantic's, by which newer versions of typer read values
    if findings is None:
        return said
    found = findings()[0]
    given, what = found["input"], _TYPES.get(found["type"].partition("_")[0], "")
    for bound, sign in _BOUNDS.items():
        if (limit := found.get("ctx", {}).get(bound)) is not None:
            what = f"an integer {sign} {limit}" if isinstance(limit, int) else f"a number {sign} {limit:g}"
    return f"{printable(str(given))}: {what} is expected" if what else said.replace("Value error, ", "")
