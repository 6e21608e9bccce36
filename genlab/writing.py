"""Plain values -> YAML that a person reads: short mappings on one line, comments beside their keys."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from genlab.errors import RecipeError
from genlab.source import read_text
from genlab.tree import Json

WIDTH = 100  # of a mapping that is written on one line
COLUMN = 44  # where comments stand, unless a line is longer

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NOT_TEXT = ("null", "true", "false")


def as_yaml(value: Json) -> str:
    """Return a value as YAML on one line, as a recipe would have it: read again, it is the same."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{as_yaml(key)}: {as_yaml(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, str):
        return value if _bare(value) else _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' * (value < 0)}.inf"
    text = json.dumps(value)
    # YAML 1.1 programs too take 1.0e-08 for a number, but not 1e-08.
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text


def _bare(text: str) -> bool:
    """Whether a text is read as that text without quotes, in a list too."""
    if _WORD.fullmatch(text):
        return text.lower() not in _NOT_TEXT
    try:
        return text.isprintable() and read_text(f"[{text}]", "value").plain() == [text]
    except RecipeError:
        return False


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if quoted.isprintable() else json.dumps(text)


class _Representer(RoundTripRepresenter):
    def represent_float(self, data: float) -> ScalarNode:
        """Write 1.0e-07, which YAML 1.1 programs too take for a number, where Python has 1e-07."""
        node = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e")
        return node

    def represent_null(self, data: None) -> ScalarNode:
        """Write the word where ruamel leaves a gap."""
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(float, _Representer.represent_float)
_Representer.add_representer(type(None), _Representer.represent_null)


def written_yaml(values: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    """Return YAML 1.2 that reads as a recipe of just these values: ``${`` in a text is written ``$${``.

    comments: by dotted key, that of a list by the key of the list.
    """
    return _dumped(_mapping(values, comments, ()))


def _mapping(values: Mapping[str, Any], comments: Mapping[str, str], path: tuple[str, ...]) -> CommentedMap:
    mapping = CommentedMap()
    for key, value in values.items():
        here = (*path, key)
        if isinstance(value, Mapping) and value:
            mapping[key] = _mapping(value, comments, here)
        else:
            mapping[key] = _flow(value)
        if comment := comments.get(".".join(here)):
            mapping.yaml_add_eol_comment(comment, key, column=COLUMN)
    if path and not comments and len(_dumped(_flow(values))) + len(path[-1]) < WIDTH:
        mapping.fa.set_flow_style()
    return mapping


def _flow(value: Any) -> Any:
    """Return a value whose lists and mappings are written on one line."""
    if isinstance(value, Mapping):
        mapping = CommentedMap({key: _flow(item) for key, item in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list | tuple):
        sequence = CommentedSeq(map(_flow, value))
        sequence.fa.set_flow_style()
        return sequence
    return value.replace("${", "$${") if isinstance(value, str) else value


def _dumped(values: CommentedMap) -> str:
    yaml = YAML(pure=True)
    yaml.Representer = _Representer
    yaml.width = 10_000  # a value on one line: its comment belongs beside it
    stream = StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
