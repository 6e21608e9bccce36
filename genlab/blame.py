"""Mistakes that show only when a recipe's parts are built or used, told with the place of what is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from genlab.errors import PartError
from genlab.interfaces import Terms
from genlab.recipe import Recipe
from genlab.tree import Mistake, Node
from genlab.wording import suggest


@contextmanager
def blaming(tree: Node) -> Iterator[None]:
    """Say of a ``PartError`` about one kind of part where the recipe names that part."""
    try:
        yield
    except PartError as error:
        if not error.kind:
            raise PartError(f"{tree.place}: {error}") from error
        found, place, _ = tree.find((error.kind,))
        excerpt = place.excerpt if found else ""  # no line is to blame for a part that none names
        raise PartError(f"{place}: {error}{excerpt}", error.kind) from error


def metric_names(terms: Terms) -> list[str]:
    """Return the metrics that an objective with such terms makes."""
    return [f"{split}/{name}" for split in ("train", "val") for name in ("loss", *terms.logs)]


def check_monitors(recipe: Recipe, terms: Terms, tree: Node) -> None:
    """Raise ``RecipeError`` if a recipe watches a metric that an objective with such terms does not make.

    tree: what is written, for the place.
    """
    known = metric_names(terms)
    watched: dict[tuple[str, ...], object] = {("schedule", "monitor"): recipe.schedule.options.get("monitor")}
    if recipe.train.early_stopping is not None:
        watched["train", "early_stopping", "monitor"] = recipe.train.early_stopping.monitor
    for path, monitor in watched.items():
        if isinstance(monitor, str) and monitor not in known:
            raise Mistake(
                tree.place_of(path),
                f"{'.'.join(path)}: unknown metric {monitor!r}; {suggest(monitor, known)}"
                f"this objective has {', '.join(known)}",
            )
