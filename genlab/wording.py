"""What is wrong with a value, and what is allowed there, in the words of somebody who writes recipes."""

from __future__ import annotations

import difflib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

LEAVE_OUT = "; leave the line out for the default"
CUT = 60  # characters of a value that a message shows

Steps = tuple[str | int, ...]


def shown(value: object) -> str:
    """Return a value on one line, as YAML has it (``null``, ``true``, ``{use: 'mlp'}``), cut if it is long."""
    text = _written(value)
    return text if len(text) <= CUT else f"{text[: CUT - 3]}..."


def printable(text: str) -> str:
    """Return text as it is if a terminal shows it as it is, else with escapes: ``'a\\x1b[31m'``."""
    return text if text.isprintable() and text.strip() == text and text else repr(text)


def escaped(text: str) -> str:
    """Return lines of text as they are if a terminal shows them as they are, else with escapes."""
    return "\n".join(line if line.isprintable() else repr(line)[1:-1] for line in text.split("\n"))


def dotted(path: Steps) -> str:
    """Return ``encoder.hidden.0``."""
    return ".".join(cut if len(cut := printable(str(step))) <= CUT else f"{cut[: CUT - 3]}..." for step in path)


def suggest(word: str, known: Sequence[str]) -> str:
    """Return ``"did you mean 'x'? "`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(str(word).lower(), known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _written(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:  # Python itself refuses to write a very long one
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return ".nan" if math.isnan(value) else f"{'-' * (value < 0)}.inf"
    if isinstance(value, str):
        return repr(value[: 2 * CUT])
    if isinstance(value, list | tuple):
        return f"[{', '.join(_written(item) for item in value[:CUT])}]"
    if isinstance(value, dict):
        items = list(value.items())[:CUT]
        return f"{{{', '.join(f'{printable(str(key))}: {_written(item)}' for key, item in items)}}}"
    return repr(value)


@dataclass(frozen=True)
class Allowed:
    """What a model allows at one place: a piece of its JSON schema, which says it in words."""

    schema: dict[str, Any]
    root: dict[str, Any]

    @classmethod
    def by(cls, model: type[BaseModel]) -> Allowed:
        """Return what ``model`` allows; nothing is known of types that JSON schema cannot express."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about defaults, which are not needed here
                root = model.model_json_schema()
        except PydanticInvalidForJsonSchema:
            root = {}
        return cls(root, root)

    def at(self, path: Steps) -> Allowed:
        """Return what is allowed at ``path`` below here."""
        here = self
        for step in path:
            found = [below for branch in here._branches() if (below := _below(branch, step))]
            here = Allowed(found[0] if found else {}, self.root)
        return here

    @property
    def names(self) -> list[str]:
        """The keys that a mapping may have here."""
        return [name for branch in self._branches() for name in branch.get("properties", {})]

    @property
    def nullable(self) -> bool:
        """Whether null is a value here."""
        return any(branch.get("type") == "null" for branch in self._branches())

    @property
    def members(self) -> tuple[Any, ...]:
        """Every value that is allowed here; none if they cannot be told one by one."""
        found: list[Any] = []
        for branch in self._branches():
            if "const" in branch:
                found.append(branch["const"])
            elif values := branch.get("enum") or _MEMBERS.get(branch.get("type", "")):
                found += values
            else:
                return ()
        return tuple(found)

    @property
    def words(self) -> str:
        """``an integer > 0 or null``; empty if it cannot be said."""
        words = [_words(Allowed(branch, self.root)) for branch in self._branches()]
        return " or ".join(dict.fromkeys(words)) if all(words) else ""

    @property
    def default(self) -> str:
        """`` (default 20)``; empty if there is none, or a long one."""
        value = self.schema.get("default")
        return "" if value in (None, "") or isinstance(value, dict) else f" (default {shown(value)})"

    @property
    def meaning(self) -> str:
        """`` (Z, the size of a latent)``: the description; empty if there is none."""
        text = self.schema.get("description")
        return f" ({text})" if text else ""

    def _branches(self) -> Iterator[dict[str, Any]]:
        schema = self.schema
        if reference := schema.get("$ref"):
            schema = self.root["$defs"][reference.rpartition("/")[2]]
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if alternatives is None:
            yield schema
        else:
            for branch in alternatives:
                yield from Allowed(branch, self.root)._branches()


_TYPES = {
    "integer": "an integer", "number": "a number", "boolean": "true or false", "string": "a text",
    "null": "null", "object": "a mapping",
}  # fmt: skip
_MEMBERS: dict[str, list[Any]] = {"boolean": [True, False], "null": [None]}
_BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}


def _words(here: Allowed) -> str:
    schema = here.schema
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(shown, schema['enum']))}"
    if schema.get("type") == "array":
        return _list_words(here)
    if schema.get("properties"):
        return f"a mapping of {', '.join(schema['properties'])}"
    words = "a path" if schema.get("format") == "path" else _TYPES.get(schema.get("type", ""), "")
    if words == "a text" and schema.get("examples"):
        words += f" such as {shown(schema['examples'][0])}"
    bounds = [f"{sign} {_number(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
    return f"{words} {' and '.join(bounds)}".strip() if words else ""


def _list_words(here: Allowed) -> str:
    schema = here.schema
    fixed = schema.get("prefixItems")
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least == most:
        words = f"a list of {least}"
    elif most is None:
        words = f"a list of {least} or more" if least else "a list"
    else:
        words = f"a list of {least} to {most}"
    each = dict.fromkeys(Allowed(item, here.root).words for item in fixed or [schema.get("items", {})])
    if not all(each):
        return words
    return f"{words}, each {next(iter(each))}" if len(each) == 1 else f"{words}: {', '.join(each)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**63 else repr(value)


def _below(schema: dict[str, Any], step: str | int) -> dict[str, Any] | None:
    if isinstance(step, str):
        properties: dict[str, Any] = schema.get("properties", {})
        return properties.get(step)
    fixed = schema.get("prefixItems", [])
    return fixed[step] if step < len(fixed) else schema.get("items")


# What pydantic calls a finding that the words of ``Allowed`` explain in full.
_EXPLAINED = {
    "int_type", "int_from_float", "float_type", "bool_type", "string_type", "path_type", "none_required",
    "tuple_type", "list_type", "set_type", "frozen_set_type", "dict_type", "model_type", "model_attributes_type",
    "greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number", "too_short", "too_long",
    "literal_error", "enum", "missing",
}  # fmt: skip


def finding(item: Any, given: object, allowed: Allowed) -> str:
    """Put one of pydantic's findings about the value ``given`` into words: what it is, what is allowed."""
    kind, words = item["type"], allowed.words
    if kind in ("value_error", "assertion_error"):
        return f"{shown(given)} given; {item['ctx']['error']}"
    if kind not in _EXPLAINED or not words:
        message = item["msg"].replace("Input should be", "it must be")
        return f"{shown(given)} given; {message[:1].lower()}{message[1:]}"
    if kind == "finite_number":
        words = words.replace("a number", "a finite number")
    return f"{shown(given)} given; expected: {words}{allowed.default}{_hint(given, words, allowed.schema)}"


def _hint(given: object, words: str, schema: Mapping[str, Any]) -> str:
    if given is None and "default" in schema:
        return LEAVE_OUT
    if "a text" in words and isinstance(given, bool | int | float):
        return "; put it in quotes to make it a text"
    if "an integer" in words and isinstance(given, float) and given.is_integer() and abs(given) < 1e15:
        return f"; the integer is written {int(given)}"
    if isinstance(given, str) and ("number" in words or "integer" in words):
        try:
            float(given)
        except ValueError:
            return ""
        return "; without quotes it is a number" if "_" not in given else ""
    return ""
