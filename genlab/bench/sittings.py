"""Several sittings of the same thing, put together: then a sitting is the unit, as a process is within one.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from genlab.bench.estimates import estimate, seconds_of
from genlab.bench.folders import is_folder, result_files
from genlab.bench.result import (
    Agreement,
    BenchError,
    Cell,
    Combination,
    Estimate,
    NoResultError,
    Result,
    read_result,
)


def read_side(path: Path) -> list[Result]:
    """Read one side of a comparison: a result, or a folder of results of one recipe, a sitting each, in order.

    Raises ``BenchError`` naming the file that is none, and if a folder has none or results of different recipes.
    """
    if not is_folder(path):
        return [read_result(path)]
    found = []
    for file in result_files(path):
        with suppress(NoResultError):  # a comparison
            found.append((file, read_result(file)))
    found = [(file, result) for file, result in found if result.cells]  # the others are profiles
    if not found:
        raise BenchError(f"{path}: no results of `genlab bench` in this folder")
    first = found[0]
    for file, result in found:
        if result.recipe.sha256 != first[1].recipe.sha256:
            raise BenchError(f"{path}: {first[0].name} and {file.name} are of different recipes")
    return sorted((result for _, result in found), key=lambda result: result.created)


def together(sittings: Sequence[Result]) -> Result:
    """Return the last of some sittings with the estimates of all, over their medians.

    A combination that disagreed in one of them disagrees.
    """
    *_, last = sittings
    if len(sittings) == 1:
        return last
    every = {cell.combination: cell for result in sittings for cell in result.cells}
    cells = [cell.model_copy(update=_of_all(cell, sittings, last.protocol.bound)) for cell in every.values()]
    return last.model_copy(update={"cells": cells})


def units_of(combination: Combination, sittings: Sequence[Result]) -> list[float]:
    """Return seconds of a call that are independent of one another: of processes, or of sittings if several."""
    cells = [cell for result in sittings if (cell := result.cell(combination)) is not None and cell.processes]
    values = [seconds_of(cell.processes) for cell in cells]
    return values[0] if len(sittings) == 1 and values else [median(each) for each in values if each]


def _of_all(cell: Cell, sittings: Sequence[Result], bound: float) -> dict[str, Estimate | Agreement | None]:
    found = [same.agreement for result in sittings if (same := result.cell(cell.combination)) and same.agreement]
    agreement = next((each for each in found if each.disagrees), cell.agreement)
    seconds, examples = units_of(cell.combination, sittings), cell.examples_per_call
    speeds = [examples / value for value in seconds] if examples and cell.images_per_second else []
    return {
        "agreement": agreement,
        "seconds": estimate(seconds, bound),
        "images_per_second": estimate(speeds, bound),
    }
