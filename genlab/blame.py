"""Mistakes that show only when a recipe's parts are built or used, told with the place of what is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from genlab.errors import GenlabError, PartError, PartErrors
from genlab.interfaces import Terms
from genlab.mistakes import Mistakes
from genlab.recipe import Recipe
from genlab.tree import Mistake, Node
from genlab.wording import suggest


@contextmanager
def blaming(tree: Node) -> Iterator[None]:
    """Say of a ``PartError`` about one kind of part where the recipe names that part; of several, of each."""
    try:
        yield
    except PartErrors as several:
        mistakes = Mistakes()
        for one in several.errors:
            mistakes.add(_placed(one, tree))
        raise PartError(str(mistakes)) from several
    except PartError as error:
        raise PartError(str(_placed(error, tree)), error.kind) from error


def _placed(error: GenlabError, tree: Node) -> Mistake:
    if isinstance(error, Mistake):
        return error
    kind = error.kind if isinstance(error, PartError) else ""
    found, place, _ = tree.find((kind,))
    return Mistake(place if found else replace(place, text=""), str(error))  # no line names what is not written


def metric_names(terms: Terms) -> list[str]:
    """Return the metrics that an objective with such terms makes."""
    return [f"{split}/{name}" for split in ("train", "val") for name in ("loss", *terms.logs)]


def check_monitors(recipe: Recipe, terms: Terms, tree: Node) -> None:
    """Raise ``RecipeError`` if a recipe watches metrics that an objective with such terms does not make.

    tree: what is written, for the place.
    """
    known = metric_names(terms)
    watched: dict[tuple[str, ...], object] = {("schedule", "monitor"): recipe.schedule.options.get("monitor")}
    if recipe.train.early_stopping is not None:
        watched["train", "early_stopping", "monitor"] = recipe.train.early_stopping.monitor
    with Mistakes() as mistakes:
        for path, monitor in watched.items():
            if isinstance(monitor, str) and monitor not in known:
                said = f"{'.'.join(path)}: unknown metric {monitor!r}; {suggest(monitor, known)}"
                mistakes.add(Mistake(tree.place_of(path), f"{said}this objective has {', '.join(known)}"))
