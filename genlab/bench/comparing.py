"""Results beside one another: which differences are real, and what else differs that could explain them.

Nothing here needs torch. The first result is what the others are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from genlab.bench.contention import others_cores
from genlab.bench.result import BenchError, Cell, Combination, Result
from genlab.bench.sittings import together, units_of
from genlab.bench.statistics import Ratio, ratio_of, sitting_ratio
from genlab.difference import said, variations
from genlab.tree import Json

QUIET = 0.05  # share of the cores that others use on a machine that is left alone, daemons and the rest
LONG = 80  # characters of a value that are shown side by side


@dataclass(frozen=True)
class Row:
    """One combination in one result, beside the same in the first.

    after: which result, counted from 1. ratio: how many times as long it takes.
    """

    combination: Combination
    after: int
    first: Cell
    other: Cell
    ratio: Ratio


@dataclass(frozen=True)
class Difference:
    """One fact that is not the same in all results; a value for each."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What comparing has found.

    names: of the sides. sittings: of each. results: one for each side, with the estimates of all its sittings.
    alone: combinations that not all have, and who has them.
    """

    names: tuple[str, ...]
    sittings: tuple[int, ...]
    results: tuple[Result, ...]
    rows: list[Row]
    differences: list[Difference]
    alone: list[str]
    same_recipe: bool

    def said(self, number: int) -> str:
        """Return what a side is called, with how many sittings it is."""
        count = self.sittings[number]
        return self.names[number] + (f", {count} sittings" if count > 1 else "")

    def slower_than(self, factor: float) -> list[Row]:
        """Return what is significantly slower than the first, by more than ``factor``."""
        return [row for row in self.rows if row.ratio.verdict == "slower" and row.ratio.ratio > factor]

    @property
    def unjudged(self) -> list[str]:
        """What a comparison cannot vouch for: too little of it, or only in one, or fast because it is wrong."""
        told = ("too few measurements", "not all reached it")
        rows = [(row, f"{row.combination.label}, {self.names[row.after]}") for row in self.rows]
        few = [f"{name}: {row.ratio.verdict}" for row, name in rows if row.ratio.verdict in told]
        wrong = [f"{name}: disagrees" for row, name in rows if row.other.disagrees and not row.first.disagrees]
        return [*few, *wrong, *self.alone]

    @property
    def verdict(self) -> str:
        """The outcome in a few words."""
        said = [row.ratio.verdict for row in self.rows]
        counts = [(said.count(word), word) for word in ("slower", "faster") if word in said]
        if counts:
            return ", ".join(f"{count} of {len(said)} combinations {word}" for count, word in counts)
        if "too few measurements" in said:
            return "too few measurements to tell"
        return "not all trainings reached it" if "not all reached it" in said else "no significant difference"


Side = Sequence[Result]  # the sittings of one thing


def compare(sides: Sequence[Side], names: Sequence[str], *, anyway: bool = False) -> Comparison:
    """Compare sides with the first of them. anyway: even if they are not of the same recipe.

    Raises ``BenchError`` for fewer than two, for different recipes, and where no combination is in two of them.
    """
    if len(sides) < 2:
        raise BenchError("two or more results are compared; `genlab bench report` shows one")
    results = [together(side) for side in sides]
    first, *others = results
    same = len({result.recipe.sha256 for result in results}) == 1
    if not same and not anyway:
        raise BenchError(_recipes_differ(results, names))
    rows = [
        Row(cell.combination, number, cell, other, _ratio(cell.combination, sides[0], sides[number]))
        for cell in first.cells
        for number, result in enumerate(others, start=1)
        if (other := result.cell(cell.combination)) is not None and cell.seconds and other.seconds
    ]
    if not rows:
        raise BenchError(f"no combination is in {names[0]} and in another; there are {_listed(results, names)}")
    sittings = tuple(map(len, sides))
    return Comparison(
        tuple(names), sittings, tuple(results), rows, _differences(results), list(_alone(results, names)), same
    )


def _ratio(combination: Combination, before: Side, after: Side) -> Ratio:
    """Form a ratio, of sittings if each side is several; else what sittings differ by is allowed for."""
    found = _measured(combination, before, after)
    return found if _all_reached(combination, [*before, *after]) else replace(found, verdict="not all reached it")


def _all_reached(combination: Combination, sittings: Side) -> bool:
    """Whether each process has a time: a training that did not reach its val/loss has none."""
    cells = [cell for result in sittings if (cell := result.cell(combination)) is not None]
    return all(process.windows for cell in cells for process in cell.processes)


def _measured(combination: Combination, before: Side, after: Side) -> Ratio:
    if len(before) > 1 and len(after) > 1:
        return ratio_of(units_of(combination, before), units_of(combination, after))
    busy = abs(_busy(combination, before) - _busy(combination, after))
    return sitting_ratio(units_of(combination, before), units_of(combination, after), busy=busy)


def _busy(combination: Combination, side: Side) -> float:
    """Return the logarithm of how many times as long a call takes that has only the cores that others left."""
    result = side[-1]
    cell = result.cell(combination)
    known = [others_cores(process.before, process.after) for process in cell.processes] if cell else []
    taken = [cores for cores in known if cores is not None]
    share = median(taken) / len(result.environment.processor.usable) if taken else 0.0
    return 0.0 if share < QUIET else -math.log(1 - min(share, 0.9))


def _recipes_differ(results: Sequence[Result], names: Sequence[str]) -> str:
    varied = variations([result.recipe.resolved for result in results])
    lines = [f"  {each.key}: {' | '.join(_short(said(value)) for value in each.values)}" for each in varied]
    told = "\n".join(lines[:10] + [f"  ... and {len(lines) - 10} more"] * (len(lines) > 10))
    return (
        f"{' | '.join(names)}: results of different recipes, so their times do not compare; --anyway compares "
        f"them. They differ in\n{told}"
    )


def _differences(results: Sequence[Result]) -> list[Difference]:
    """Everything but the samples that is not the same, flags of the processor by those that not all have."""
    common = set.intersection(*(set(result.environment.processor.flags) for result in results))
    plain = [_plain(result, common) for result in results]
    return [
        Difference(each.key, tuple(_short(said(value)) for value in each.values)) for each in variations(plain)
    ]


def _plain(result: Result, common: set[str]) -> dict[str, Json]:
    environment = result.environment.model_dump(mode="json", exclude={"before", "after"})
    flags = [flag for flag in result.environment.processor.flags if flag not in common]
    environment["processor"]["flags"] = " ".join(flags)
    environment["accelerators"] = {each["device"]: each for each in environment["accelerators"]}
    environment["software"].pop("threading")  # its threads stand in a field of their own
    before = result.environment.before
    load: Json = before.load[0] if before.load else None
    return {
        "code": result.code.model_dump(mode="json"),
        "plugins": dict(result.plugins),
        "environment": environment,
        "load": load,
        "protocol": result.protocol.model_dump(mode="json", exclude={"order", "seed"}),
        "ended": result.ended,
    }


def _alone(results: Sequence[Result], names: Sequence[str]) -> Iterator[str]:
    every = dict.fromkeys(cell.combination for result in results for cell in result.cells)
    for combination in every:
        having = [name for name, result in zip(names, results, strict=True) if result.cell(combination)]
        if len(having) < len(names):
            yield f"{combination.label}: only in {', '.join(having)}"


def _listed(results: Sequence[Result], names: Sequence[str]) -> str:
    return "; ".join(
        f"{name}: {', '.join(cell.combination.label for cell in result.cells)}"
        for name, result in zip(names, results, strict=True)
    )


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"
