"""Several sittings of the same thing, put together: then a sitting is the unit, as a process is within one.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from genlab.bench.estimates import estimate, seconds_of
from genlab.bench.result import BenchError, Cell, Combination, Estimate, Result, read_result


def read_side(path: Path) -> list[Result]:
    """Read one side of a comparison: a result, or a folder of results of one recipe, a sitting each, in order.

    Raises ``BenchError`` naming the file that is none, and if a folder has none or results of different recipes.
    """
    if not path.is_dir():
        return [read_result(path)]
    found = [(file, read_result(file)) for file in sorted(path.glob("*.json")) if not is_trace(file)]
    found = [(file, result) for file, result in found if result.cells]  # the others are profiles
    if not found:
        raise BenchError(f"{path}: no results of `genlab bench` in this folder")
    first = found[0]
    for file, result in found:
        if result.recipe.sha256 != first[1].recipe.sha256:
            raise BenchError(f"{path}: {first[0].name} and {file.name} are of different recipes")
    return sorted((result for _, result in found), key=lambda result: result.created)


def is_trace(path: Path) -> bool:
    """Whether a file is the trace that a profile has left beside its result."""
    return path.name.endswith(".trace.json")


def together(sittings: Sequence[Result]) -> Result:
    """Return the last of some sittings with the estimates of all, over their medians. Raises for none of them."""
    *_, last = sittings
    if len(sittings) == 1:
        return last
    cells = [cell.model_copy(update=_estimates(cell, sittings, last.protocol.bound)) for cell in last.cells]
    return last.model_copy(update={"cells": cells})


def units_of(combination: Combination, sittings: Sequence[Result]) -> list[float]:
    """Return seconds of a call that are independent of one another: of processes, or of sittings if several."""
    cells = [cell for result in sittings if (cell := result.cell(combination)) is not None and cell.processes]
    values = [seconds_of(cell.processes) for cell in cells]
    return values[0] if len(sittings) == 1 and values else [median(each) for each in values if each]


def _estimates(cell: Cell, sittings: Sequence[Result], bound: float) -> dict[str, Estimate | None]:
    seconds, examples = units_of(cell.combination, sittings), cell.examples_per_call
    speeds = [examples / value for value in seconds] if examples and cell.images_per_second else []
    return {"seconds": estimate(seconds, bound), "images_per_second": estimate(speeds, bound)}
