"""What is to go from the API warns one minor version ahead, in the same words everywhere."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from genlab.api import Version

P = ParamSpec("P")
R = TypeVar("R")


class GenlabDeprecationWarning(DeprecationWarning):
    """Something of genlab's that a plugin or script uses is going to go."""


@dataclass(frozen=True)
class Deprecation:
    """Something that is to go.

    what: its name, as its users write it. since: the version of the API that first warns of it. gone: that which
    no longer has it, at least one minor version later. instead: what to write.
    """

    what: str
    since: str
    gone: str
    instead: str

    def __post_init__(self) -> None:
        if Version.of(self.gone) <= Version.of(self.since):
            raise ValueError(
                f"{self.what}: deprecated since API {self.since} and gone in {self.gone}; at least one version "
                "must warn"
            )

    def __str__(self) -> str:
        return (
            f"{self.what} is deprecated since API {self.since} of genlab and goes with API {self.gone}; "
            f"write {self.instead}"
        )

    def warn(self, depth: int = 2) -> None:
        """Warn the code that uses it. depth: how many calls up that is; 2 is the caller of who calls this."""
        warnings.warn(str(self), GenlabDeprecationWarning, stacklevel=depth + 1)


def deprecated(*, since: str, gone: str, instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, or a hook's specification, that is to go: whoever calls it is warned."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        note = Deprecation(f"{function.__qualname__}()", since, gone, instead)

        @functools.wraps(function)
        def warning(*args: P.args, **kwargs: P.kwargs) -> R:
            note.warn()
            return function(*args, **kwargs)

        return warning

    return decorate
