"""How a part with one mistake is made of one without."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, Field


@dataclass(frozen=True)
class Mutant:
    """A part with one mistake. options: that it is built with. on: makes the same mistake in another part."""

    cls: Any
    mistake: str
    options: dict[str, Any] = field(default_factory=dict)
    on: Callable[[type], Mutant] | None = None


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
    on = functools.partial(altered, mistake=mistake, init=init, **methods)
    return Mutant(type("Mutant", (base,), namespace), mistake, on=on)


def given(base: type, mistake: str, change: Callable[..., tuple[Any, ...]]) -> Mutant:
    """Return a subclass whose constructor changes what the framework gives to it, or fails with it."""
    own: Callable[..., None] = base.__init__  # type: ignore[misc]

    @functools.wraps(own)
    def init(self: Any, *args: Any, **options: Any) -> None:
        own(self, *change(*args), **options)

    cls = type("Mutant", (base,), {"__init__": init, "__doc__": f"{mistake[:1].upper()}{mistake[1:]}."})
    return Mutant(cls, mistake, on=functools.partial(given, mistake=mistake, change=change))


def general(base: type) -> dict[str, Mutant]:
    """Return a mutant for each check that every kind of part has."""
    doubling = Annotated[int, AfterValidator(lambda value: 2 * value)]
    misdescribed = Annotated[int, Field(json_schema_extra={"maximum": 2})]
    return {
        "registers": _optioned(base, "an option without a type", None),
        "says_what_it_is": _nameless(base),
        "options_survive_a_recipe": _optioned(base, "an option that doubles when it is read", doubling),
        "schema_accepts_its_options": _optioned(base, "a schema that refuses the default", misdescribed),
    }


def _nameless(base: type) -> Mutant:
    return Mutant(type("Nameless", (base,), {}), "no docstring", on=_nameless)


def _optioned(base: type, mistake: str, annotation: Any) -> Mutant:
    """Return a subclass with one more option, ``scale=4``, that it does not use; annotation: its type."""
    own: Callable[..., None] = base.__init__  # type: ignore[misc]

    def init(self: Any, *args: Any, scale: Any = 4, **options: Any) -> None:
        own(self, *args, **options)

    plain = own is object.__init__
    given = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    given = given if plain else list(inspect.signature(own).parameters.values())
    hint = inspect.Parameter.empty if annotation is None else annotation
    added = inspect.Parameter("scale", inspect.Parameter.KEYWORD_ONLY, default=4, annotation=hint)
    init.__signature__ = inspect.Signature([*given, added])  # type: ignore[attr-defined]
    hints = {} if plain else get_type_hints(own, include_extras=True)
    init.__annotations__ = hints | ({} if annotation is None else {"scale": annotation})
    cls = type("Optioned", (base,), {"__init__": init, "__doc__": f"{mistake[:1].upper()}{mistake[1:]}."})
    return Mutant(cls, mistake, on=lambda other: _optioned(other, mistake, annotation))


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
