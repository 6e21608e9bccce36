"""Do the metrics exist that early stopping and schedules watch?"""

from __future__ import annotations

from genlab.errors import RecipeError
from genlab.interfaces import Terms
from genlab.recipe import Recipe
from genlab.registry import suggest


def watched(recipe: Recipe) -> dict[str, str]:
    """Return the metrics that a recipe watches, ``{"train.early_stopping.monitor": "val/loss"}``."""
    found: dict[str, object] = {"schedule.monitor": recipe.schedule.options.get("monitor")}
    if recipe.train.early_stopping is not None:
        found["train.early_stopping.monitor"] = recipe.train.early_stopping.monitor
    return {key: monitor for key, monitor in found.items() if isinstance(monitor, str)}


def metrics_of(terms: Terms) -> list[str]:
    """Return the names of the metrics that an objective with such terms makes."""
    return [f"{split}/{name}" for split in ("train", "val") for name in ("loss", *terms.logs)]


def check_monitors(recipe: Recipe, terms: Terms, where: str) -> None:
    """Raise ``RecipeError``, beginning with ``where``, if a recipe watches a metric that there will not be."""
    known = metrics_of(terms)
    for key, monitor in watched(recipe).items():
        if monitor not in known:
            raise RecipeError(
                f"{where}: {key}: unknown metric {monitor!r}; {suggest(monitor, known)}"
                f"this objective has {', '.join(known)}"
            )
