"""Mistakes in a recipe, collected on the way: all of them are told at once, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from genlab.errors import RecipeError
from genlab.tree import Mistake, TooMuch

MAX_MISTAKES = 20  # that one message lists


class Mistakes:
    """What is wrong so far. As a context it raises all of it at its end, or when a ``Mistake`` ends it early."""

    def __init__(self) -> None:
        self._found: dict[str, Mistake] = {}  # by what is said, so that nothing is said twice

    def add(self, mistake: Mistake) -> None:
        """Remember a mistake."""
        self._found.setdefault(str(mistake), mistake)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Remember the mistake that ends a block, and go on after the block; not after a limit is passed."""
        try:
            yield
        except TooMuch:
            raise
        except Mistake as mistake:
            self.add(mistake)

    def check(self) -> None:
        """Raise ``RecipeError`` that lists every mistake, if there are any."""
        if len(self._found) == 1:
            raise next(iter(self._found.values()))
        if self._found:
            raise RecipeError(str(self)) from None

    def __str__(self) -> str:
        """List them as they stand; those of overrides, which stand in no file, come first."""
        ordered = sorted(self._found.values(), key=lambda mistake: mistake.place.order)
        lines = [str(mistake) for mistake in ordered[:MAX_MISTAKES]]
        if more := len(ordered) - len(lines):
            lines.append(f"... and {more} more")
        return "\n".join(lines)

    def __enter__(self) -> Mistakes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Mistake):
            self.add(error)
        if error is None or isinstance(error, Mistake):
            self.check()
