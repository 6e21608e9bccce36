"""What a search must do: choose the values that a sweep tries."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from genlab.errors import GenlabError
from genlab.interfaces import Search
from genlab.space import Choices, Json, Range, Space
from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject

LISTED: Space = {"a": Choices((1, "x", [2, 3], None)), "b": Choices((0.5, 1.5)), "c.d": Choices((True, False))}
RANGES: Space = {"lr": Range(1e-4, 1e-1, log=True), "latent": Range(2, 9, integer=True), "beta": Range(0.5, 4.0)}
ASKED = 5


class SearchSubject(PartSubject):
    """A search under test."""

    kind: ClassVar[str] = "search"

    @contextmanager
    def search(self, space: Space = LISTED, seed: int = 3) -> Iterator[Search]:
        """Build it for a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix="genlab-testing-", ignore_cleanup_errors=True) as folder:
            search: Search = self.build(space, Path(folder), seed)
            yield search


def asked(search: Search, times: int = 1) -> list[Mapping[str, Json]]:
    """Ask for values, and tell what became of them, so many times each; the last one failed."""
    found = []
    for loss in range(ASKED):
        values = search.ask()
        if values is None:
            break
        found.append(values)
        for _ in range(times if search.adaptive else 0):
            search.tell(values, float(loss) if loss < ASKED - 1 else None)
    return found


@check()
def builds(subject: SearchSubject) -> None:
    """It can be built, and says whether it is adaptive."""
    with subject.search() as search:
        if not isinstance(search.adaptive, bool):
            raise Failed(
                expected="adaptive: True or False",
                came=repr(search.adaptive),
                mend="adaptive: ClassVar[bool] = False",
            )


@check("builds")
def asks_for_every_key(subject: SearchSubject) -> None:
    """ask() gives each key of the space a value, in the order of the space."""
    with subject.search() as search:
        found: Any = search.ask()
    if not isinstance(found, Mapping) or list(found) != list(LISTED):
        raise Failed(
            expected=f"a mapping with the keys {', '.join(LISTED)}",
            came=repr(found),
            mend="return {key: ... for key in space}",
        )


@check("asks_for_every_key")
def chooses_from_the_space(subject: SearchSubject) -> None:
    """Every value is one of those listed, or lies in its range; whole numbers where those are asked for.

    A space that it cannot search it refuses with a GenlabError.
    """
    for space in (LISTED, RANGES):
        try:
            with subject.search(space) as search:
                found = asked(search)
        except GenlabError as error:
            if space is LISTED or error.__cause__ is not None:
                raise
            continue
        for values in found:
            for key, value in values.items():
                if not _within(space[key], value):
                    raise Failed(
                        expected=f"a value of {key} from {space[key]}",
                        came=repr(value),
                        mend="choose from Choices.values as they are; Range.at(share) gives a number of a range",
                    )


def _within(choices: Choices | Range, value: Json) -> bool:
    if isinstance(choices, Choices):
        return value in choices.values
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return choices.low <= value <= choices.high and (not choices.integer or value == int(value))


@check("asks_for_every_key")
def returns_plain_values(subject: SearchSubject) -> None:
    """Values are plain numbers, texts and lists, as a recipe has them: not numpy's."""
    with subject.search() as search:
        for values in asked(search):
            try:
                same = json.loads(json.dumps(dict(values))) == dict(values)
            except TypeError:
                same = False
            if not same:
                raise Failed(
                    expected="what JSON holds", came=repr(values), mend="convert numpy's numbers: .item()"
                )


@check("chooses_from_the_space", "returns_plain_values")
def repeats_itself_under_a_seed(subject: SearchSubject) -> None:
    """From the same space and seed, told the same, it chooses the same."""
    with subject.search() as first, subject.search() as second:
        found, again = asked(first), asked(second)
    if found != again:
        i = next((i for i, (a, b) in enumerate(zip(found, again, strict=False)) if a != b), len(again))
        raise Failed(
            expected=f"{dict(found[i]) if i < len(found) else 'nothing more'} as choice {i + 1}",
            came=f"{dict(again[i]) if i < len(again) else 'nothing more'} the second time",
            mend="draw from random.Random(seed), and keep nothing in the class or the module",
        )


@check("chooses_from_the_space")
def bears_being_told_again(subject: SearchSubject) -> None:
    """tell() bears being told the same again, of a failure, and of what it has not asked for.

    Another process may have asked, and been killed before it could tell.
    """
    with subject.search() as search:
        if not search.adaptive:
            raise Skipped("it is not adaptive: nobody tells it anything")
        try:
            asked(search, times=2)
            strange = {key: choices.values[-1] for key, choices in LISTED.items() if isinstance(choices, Choices)}
            search.tell(strange, None)
            search.tell(strange, 1.0)
            search.ask()
        except Exception as error:
            raise Failed(
                expected="that tell() takes what it has heard before, and what it has not asked for",
                came=refused_by(error),
                mend="look for the values first, and pass over what is known",
            ) from None


@check("chooses_from_the_space")
def ends_with_none(subject: SearchSubject) -> None:
    """When there is nothing more to try ask() returns None, and goes on to; or it never ends."""
    small: Space = {"a": Choices((1, 2))}
    with subject.search(small) as search:
        try:
            found = [search.ask() for _ in range(4)]
        except Exception as error:
            raise Failed(
                expected="None once both values have been tried",
                came=refused_by(error),
                mend="next(iterator, None)",
            ) from None
    ended = [values is None for values in found]
    if sorted(ended) != ended:
        raise Failed(
            expected="nothing but None after the first None",
            came=repr(found),
            mend="remember that the search is over",
        )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    builds,
    asks_for_every_key,
    chooses_from_the_space,
    returns_plain_values,
    repeats_itself_under_a_seed,
    bears_being_told_again,
    ends_with_none,
    parts.options_survive_a_recipe,
)
SEARCH = Suite("search", SearchSubject, CHECKS)
