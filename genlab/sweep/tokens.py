"""``key=value`` tokens -> what every trial has in common, and what is swept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from genlab.errors import RecipeError
from genlab.overrides import Override, parse_overrides
from genlab.source import read_text
from genlab.space import Choices, Range
from genlab.tree import Node, Place
from genlab.wording import shown

_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"(log:)?({_NUMBER})\.\.({_NUMBER})")
_HALF = re.compile(rf"log:.*|{_NUMBER}\.\.|\.\.{_NUMBER}", re.DOTALL)


@dataclass(frozen=True)
class Tokens:
    """What the tokens of a sweep say.

    overrides: values of every trial. space: what is swept. seeds: those listed as ``seed=0,1,2``, if any.
    """

    overrides: tuple[Override, ...]
    space: dict[str, Choices | Range]
    seeds: tuple[object, ...] | None


def read_tokens(tokens: Iterable[str]) -> Tokens:
    """Read tokens: one value is an override, several (``2,8,32``) or a range (``log:1e-4..1e-2``) are swept.

    Values are YAML, separated as in a YAML list: commas in brackets, braces and quotes do not count. Raises
    ``RecipeError`` naming the token for one that means nothing.
    """
    plain: list[str] = []
    space: dict[str, Choices | Range] = {}
    seeds: tuple[object, ...] | None = None
    keys: set[str] = set()
    for token in tokens:
        key, equals, text = token.partition("=")
        place = Place(f"override {shown(token)}")
        swept = _swept(text.strip(), place) if equals else None
        if key in keys:
            raise RecipeError(f"{place}: {key} is set twice")
        keys.add(key)
        if swept is None:
            plain.append(token)
        elif key == "seed":
            if isinstance(swept, Range):
                raise RecipeError(f"{place}: seeds are listed, as in seed=0,1,2, or counted, as in --seeds 3")
            seeds = swept.values
        elif not all(key.split(".")):
            raise RecipeError(f"{place}: key=value,value is expected, as in latent=2,8,32")
        else:
            space[key] = swept
    return Tokens(parse_overrides(plain), space, seeds)


def _swept(text: str, place: Place) -> Choices | Range | None:
    """Return what a text sweeps over, or None if it is one value."""
    if match := _RANGE.fullmatch(text):
        return _range(match, place)
    if _HALF.fullmatch(text):
        raise RecipeError(f"{place}: a range is written 0.1..0.5, or log:1e-4..1e-2 for equal ratios")
    if "," not in text:
        return None
    try:
        items = read_text(f"[{text}]", str(place), place).value
    except RecipeError:
        return None  # whoever reads it as one value says what is wrong
    if not isinstance(items, list) or len(items) < 2:
        return None
    return _choices(items, place)


def _choices(items: list[Node], place: Place) -> Choices:
    values = tuple(item.plain() for item in items)
    seen: set[str] = set()
    for value in values:
        written = json.dumps(value)
        if written in seen:
            raise RecipeError(f"{place}: {shown(value)} is listed twice")
        seen.add(written)
    return Choices(values)


def _range(match: re.Match[str], place: Place) -> Range:
    log, low, high = match.groups()
    ends = read_text(f"[{low}, {high}]", str(place), place).plain()
    assert isinstance(ends, list)
    low, high = ends
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low < high:
        raise RecipeError(f"{place}: a range goes up: {shown(low)} is not below {shown(high)}")
    if log and low <= 0:
        raise RecipeError(f"{place}: a logarithmic range starts above 0, not at {shown(low)}")
    return Range(low, high, log=bool(log), integer=isinstance(low, int) and isinstance(high, int))
