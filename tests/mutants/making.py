"""How a part with one mistake is made of one without."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A part with one mistake. options: that it is built with."""

    cls: Any
    mistake: str
    options: dict[str, Any] = field(default_factory=dict)


def altered(base: type, mistake: str, *, init: Callable[[Any], None] | None = None, **methods: Any) -> Mutant:
    """Return a subclass whose constructor goes on with ``init(self)``, and with other methods.

    Each is called with the base's own, bound, before its arguments: ``forward=lambda self, own, x: own(x)``.
    What is not a function is a class attribute.
    """
    namespace: dict[str, Any] = {"__doc__": f"{mistake[:1].upper()}{mistake[1:]}."}
    if init is not None:
        namespace["__init__"] = _then(base.__init__, init)  # type: ignore[misc]
    for name, method in methods.items():
        namespace[name] = _instead(base, name, method) if callable(method) else method
    return Mutant(type("Mutant", (base,), namespace), mistake)


def _then(own: Callable[..., None], change: Callable[[Any], None]) -> Callable[..., None]:
    @functools.wraps(own)
    def init(self: Any, *args: Any, **options: Any) -> None:
        own(self, *args, **options)
        change(self)

    return init


def _instead(base: type, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
    own = getattr(base, name)

    @functools.wraps(own)
    def method(self: Any, *args: Any) -> Any:
        return change(self, functools.partial(own, self), *args)

    return method
