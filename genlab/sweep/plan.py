"""What a sweep is to do, checked before any of it is done."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from genlab.errors import PluginError, RecipeError
from genlab.interfaces import Search
from genlab.opening import Opened, open_recipe
from genlab.overrides import Override, overrides_of
from genlab.recipe import PartSpec, Recipe
from genlab.registry import Registry
from genlab.rehearsal import metrics_of
from genlab.source import read_text
from genlab.space import Choices, Json, Range, Space
from genlab.tree import Place
from genlab.wording import Allowed, finding, shown, suggest

MAX_RUNS = 1000  # of one sweep
MAX_PROBLEMS = 20  # that one message lists


@dataclass(frozen=True)
class Source:
    """The recipe that a sweep varies: a file, and what every trial overrides in it."""

    recipe: str
    overrides: Sequence[Override]
    registry: Registry

    def resolved(self, values: Mapping[str, object] | None = None) -> Recipe:
        """Return the recipe with some more values set; ``RecipeError`` lists every problem with its place."""
        return self.opened(values).recipe

    def opened(self, values: Mapping[str, object] | None = None) -> Opened:
        """Return the same with where each value was written."""
        # A part is named before its options are set, whichever was written first.
        ordered = sorted((*self.overrides, *overrides_of(values)), key=lambda override: len(override.path))
        return open_recipe(self.recipe, ordered, registry=self.registry)


@dataclass(frozen=True)
class Combination:
    """Values of the swept keys, and the recipe of each seed."""

    values: Mapping[str, Json]
    recipes: Sequence[Recipe]


def read_search(text: str, registry: Registry) -> PartSpec:
    """Read ``optuna`` or ``{use: optuna, sampler: random}``; every default is filled in.

    Raises ``RecipeError`` for an unknown search or option.
    """
    place = Place(f"--search {shown(text)}")
    written = read_text(text, str(place), place).plain()
    try:
        spec = PartSpec.of(written)
    except ValidationError:
        raise RecipeError(f"{place}: a name, or {{use: name, option: value}}, is expected") from None
    try:
        part = registry.get("search", spec.use)
    except PluginError as error:
        raise RecipeError(f"{place}: {error}") from None
    try:
        return PartSpec(use=registry.written(part, spec.use), options=part.plain(spec.options))
    except ValidationError as error:
        allowed, item = Allowed.by(part.options), error.errors(include_url=False)[0]
        name = str(item["loc"][0])
        if item["type"] == "extra_forbidden":
            reason = f"unknown option; allowed: {', '.join(part.option_names) or 'none'}"
        else:
            reason = finding(item, spec.options.get(name), allowed.at((name,)))
        raise RecipeError(f"{place}: {name}: {reason}") from None


def seeds_of(source: Source, seeds: int | Sequence[object] | None) -> tuple[int, ...]:
    """Return the seeds of each combination: so many from the recipe's own on, or those listed, checked."""
    if seeds is None or isinstance(seeds, int):
        if (seeds or 1) > MAX_RUNS:
            raise RecipeError(f"{seeds} seeds; one sweep has {MAX_RUNS} runs at most")
        first = source.resolved().seed
        seeds = [first + i for i in range(seeds or 1)]
    return tuple(source.resolved({"seed": seed}).seed for seed in seeds)


def check_space(space: Space, seeds: Sequence[int]) -> None:
    """Raise ``RecipeError`` unless there is something to sweep over that makes a difference to training."""
    if not space and len(seeds) < 2:
        raise RecipeError(
            "nothing is swept; list values, as in 'latent=2,8,32', give a range, as in "
            "'optimizer.lr=log:1e-4..1e-2' --samples 20, or ask for several --seeds"
        )
    for key in ("name", "description"):
        if key in space:
            quoted = "; one text with a comma is put in quotes: 'description=\"a, b\"'" * (key == "description")
            raise RecipeError(f"{key}: it changes nothing about training; sweep over something else{quoted}")


def whole_plan(source: Source, search: Search, limit: int | None, seeds: Sequence[int]) -> list[Combination]:
    """Return every combination that a search without interest in results asks for, checked.

    Raises ``RecipeError`` listing every problem of every one of them once, and for two that are the same recipe.
    """
    plan: list[Combination] = []
    problems: dict[str, None] = {}
    for values in _asked(search, limit):
        try:
            plan.append(combination(source, values, seeds))
        except RecipeError as error:
            problems |= dict.fromkeys(_separate(str(error)))
    _raise(problems)
    seen: dict[str, Mapping[str, Json]] = {}
    for each in plan:
        written = identity(each.recipes[0])
        if written in seen:
            raise RecipeError(
                f"{_said(seen[written])} and {_said(each.values)} are the same recipe; leave one out"
            )
        seen[written] = each.values
    return plan


def check_ends(source: Source, space: Space) -> None:
    """Check a space that is searched by results: each choice, and each end of a range, once."""
    ends = {
        key: choices.values if isinstance(choices, Choices) else (choices.low, choices.high)
        for key, choices in space.items()
    }
    first = {key: first_of(choices) for key, choices in space.items()}
    problems: dict[str, None] = {}
    for key, values in ends.items():
        for value in values:
            try:
                source.resolved({**first, key: value})
            except RecipeError as error:
                problems |= dict.fromkeys(_separate(str(error)))
    _raise(problems)


def combination(source: Source, values: Mapping[str, Json], seeds: Sequence[int]) -> Combination:
    """Return some values with their recipes; ``RecipeError`` lists every problem."""
    return Combination(values, [source.resolved({**values, "seed": seed}) for seed in seeds])


def identity(recipe: Recipe) -> str:
    """Return what two recipes have in common only if they are the same."""
    return json.dumps(recipe.written(), sort_keys=True)


def combinations_of(space: Space) -> int | None:
    """Return how many combinations there are; None if there is no end of them."""
    sizes = [len(each.values) if isinstance(each, Choices) else each.numbers for each in space.values()]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def first_of(choices: Choices | Range) -> Json:
    """Return the first choice, or the lower end of a range."""
    return choices.values[0] if isinstance(choices, Choices) else choices.low


def check_metric(recipe: Recipe, metric: str, registry: Registry) -> None:
    """Raise ``RecipeError`` if no run of a recipe will have a metric, ``PartError`` if its parts do not fit."""
    known = metrics_of(recipe, registry)
    if metric not in known:
        raise RecipeError(f"metric {metric!r}: unknown; {suggest(metric, known)}there are {', '.join(known)}")


def check_size(space: Space, limit: int | None, seeds: int) -> None:
    """Raise ``RecipeError`` if there would be more runs than anybody means to start."""
    size = combinations_of(space)
    known = [count for count in (size, limit) if count is not None]
    if known and min(known) * seeds > MAX_RUNS:
        raise RecipeError(
            f"{min(known) * seeds} runs; one sweep has {MAX_RUNS} at most: list fewer values or seeds, or draw "
            "some combinations: --search random --samples 50"
        )


def _asked(search: Search, limit: int | None) -> Iterator[Mapping[str, Json]]:
    number = 0
    while number < (MAX_RUNS if limit is None else limit) and (values := search.ask()) is not None:
        number += 1
        yield values


def _separate(message: str) -> list[str]:
    """Return the problems that a message lists; lines that belong to one begin with a space."""
    return re.split(r"\n(?! )", message)


def _raise(problems: Iterable[str]) -> None:
    if found := list(problems):
        more = [f"... and {len(found) - MAX_PROBLEMS} more"] if len(found) > MAX_PROBLEMS else []
        raise RecipeError("\n".join(found[:MAX_PROBLEMS] + more))


def _said(values: Mapping[str, Json]) -> str:
    return " ".join(f"{key}={shown(value)}" for key, value in values.items())
