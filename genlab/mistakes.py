"""Mistakes, collected on the way: all of them are told at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

from genlab.errors import GenlabError, RecipeErrors
from genlab.tree import Mistake, TooMuch

MAX_MISTAKES = 20  # that one message lists

Error = TypeVar("Error", bound=GenlabError)


class Collected(Generic[Error]):
    """Errors of one kind. As a context it raises them all at its end, or when one of the kind ends it early."""

    def __init__(self, kind: type[Error]) -> None:
        self.kind = kind
        self.found: dict[str, Error] = {}  # by what is said, so that nothing is said twice

    def add(self, error: Error) -> None:
        """Remember an error."""
        self.found.setdefault(str(error), error)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Remember the error that ends a block, and go on after the block; not after a limit is passed."""
        try:
            yield
        except TooMuch:
            raise
        except self.kind as error:
            self.add(error)

    def check(self) -> None:
        """Raise the error if there is one, and if there are several one that tells them all."""
        errors = list(self.found.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise self.together() from errors[0]

    def together(self) -> GenlabError:
        """Return one error that tells them all."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self.kind):
            self.add(error)
        if error is None or isinstance(error, self.kind):
            self.check()


class Mistakes(Collected[Mistake]):
    """What is wrong with a recipe so far; ``str`` of it lists all in the order in which they stand."""

    def __init__(self) -> None:
        super().__init__(Mistake)

    def together(self) -> GenlabError:
        """Return the error that lists them."""
        return RecipeErrors(str(self), list(self.found.values()))

    def __str__(self) -> str:
        # Those of overrides, which stand in no file, come first.
        ordered = sorted(self.found.values(), key=lambda mistake: mistake.place.order)
        lines = [str(mistake) for mistake in ordered[:MAX_MISTAKES]]
        if more := len(ordered) - len(lines):
            lines.append(f"... and {more} more")
        return "\n".join(lines)
