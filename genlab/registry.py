"""The registry: (kind, name) -> class, where a class's keyword-only parameters are its schema."""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, JsonValue, create_model
from torch.optim import Optimizer

from genlab.errors import PluginError
from genlab.interfaces import DataSource, Decoder, Encoder, Likelihood, Objective, Prior

KINDS: dict[str, type] = {
    "data": DataSource,
    "encoder": Encoder,
    "decoder": Decoder,
    "prior": Prior,
    "likelihood": Likelihood,
    "objective": Objective,
    "optimizer": Optimizer,
}
"""Each kind of part and the interface that makes a class one of that kind."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Options(BaseModel):
    """Base of every part's options: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


@dataclass(frozen=True)
class Part:
    """A registered class."""

    kind: str
    name: str
    cls: type
    distribution: str

    @cached_property
    def options(self) -> type[Options]:
        """The schema of what a recipe may set: the constructor's keyword-only parameters."""
        fields: dict[str, Any] = {}
        for name, (annotation, default) in self._keyword_only.items():
            # A nested part is written as a name or mapping; the recipe resolves it by its own schema.
            fields[name] = (str | dict[str, JsonValue] if name in self.nested else annotation, default)
        return create_model(f"{self.cls.__name__}Options", __base__=Options, **fields)

    def parse(self, options: dict[str, JsonValue]) -> dict[str, Any]:
        """Turn plain options into the constructor's keyword arguments (lists to tuples, texts to paths ...)."""
        parsed = self.options.model_validate_json(json.dumps(options))
        return {name: getattr(parsed, name) for name in self.options.model_fields}

    @cached_property
    def nested(self) -> dict[str, str]:
        """The options that are parts themselves, ``{option: kind}``: those annotated with an interface."""
        found = {}
        for name, (annotation, _) in self._keyword_only.items():
            for kind, interface in KINDS.items():
                if isinstance(annotation, type) and issubclass(annotation, interface):
                    found[name] = kind
        return found

    @cached_property
    def _keyword_only(self) -> dict[str, tuple[Any, Any]]:
        hints = get_type_hints(self.cls.__init__, include_extras=True)  # type: ignore[misc]
        return {
            parameter.name: (
                hints[parameter.name],
                ... if parameter.default is inspect.Parameter.empty else parameter.default,
            )
            for parameter in inspect.signature(self.cls).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return (inspect.getdoc(self.cls) or "").partition("\n")[0]


class Registry:
    """Parts by kind and name. Two parts under one (kind, name) are an error that names both owners."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str], Part] = {}
        self._failures: dict[str, str] = {}

    def register(self, name: str, cls: type, distribution: str) -> None:
        """Register ``cls`` under ``name``; its kind is the interface that it subclasses."""
        kind = _kind_of(name, cls)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"part name {name!r}: lower-case letters, digits and _ are allowed, a letter first")
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(cls.__abstractmethods__))
            raise PluginError(f"{kind} {name!r}: {cls.__name__} does not implement {missing}")
        part = Part(kind, name, cls, distribution)
        _check_signature(part)
        other = self._parts.get((kind, name))
        if other is not None:
            raise PluginError(
                f"{kind} {name!r} is registered by both {other.distribution} and {distribution}; "
                "uninstall one of them, or ask its author to rename the part"
            )
        self._parts[kind, name] = part

    def registrar(self, distribution: str) -> Callable[[str, type], None]:
        """Return the ``register`` function that a plugin of ``distribution`` is given."""
        return lambda name, cls: self.register(name, cls, distribution)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take back everything registered in the block if it raises."""
        before = dict(self._parts)
        try:
            yield
        except BaseException:
            self._parts = before
            raise

    def remember_failure(self, distribution: str, cause: str) -> None:
        """Keep why a plugin is absent, for the message to whoever needs one of its parts."""
        self._failures[distribution] = cause

    def parts(self, kind: str | None = None) -> list[Part]:
        """Return the parts of one kind, or all, ordered by kind and name."""
        order = {k: i for i, k in enumerate(KINDS)}
        found = [part for part in self._parts.values() if kind in (None, part.kind)]
        return sorted(found, key=lambda part: (order[part.kind], part.name))

    def get(self, kind: str, name: str) -> Part:
        """Return a part, or raise ``PluginError`` with the nearest name and what is installed."""
        part = self._parts.get((kind, name))
        if part is None:
            raise PluginError(self._unknown(kind, name))
        return part

    def _unknown(self, kind: str, name: str) -> str:
        names = [part.name for part in self.parts(kind)]
        message = f"unknown {kind} {name!r}; {suggest(name, names)}installed: {', '.join(names) or 'none'}"
        for distribution, cause in self._failures.items():
            message += (
                f"\n  (plugin {distribution} could not be loaded: {cause}; see `genlab plugins doctor`)"
            )
        return message


def suggest(word: str, known: list[str]) -> str:
    """Return ``"did you mean 'x'? "`` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _kind_of(name: str, cls: object) -> str:
    if isinstance(cls, type):
        for kind, interface in KINDS.items():
            if issubclass(cls, interface):
                return kind
    interfaces = ", ".join(interface.__name__ for interface in KINDS.values())
    what = f"class {cls.__name__}" if isinstance(cls, type) else f"a {type(cls).__name__}"
    raise PluginError(f"part {name!r} is {what}; a subclass of one of {interfaces} is expected")


def _check_signature(part: Part) -> None:
    """A schema needs an annotation on every option, and no ``**kwargs`` that could swallow a misspelling."""
    hints = getattr(part.cls.__init__, "__annotations__", {})
    for parameter in inspect.signature(part.cls).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            raise PluginError(
                f"{part.kind} {part.name!r}: {part.cls.__name__}.__init__ takes *{parameter.name}; "
                "list its options by name, so that a recipe can be checked"
            )
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in hints:
            raise PluginError(
                f"{part.kind} {part.name!r}: option {parameter.name!r} of {part.cls.__name__} has no annotation"
            )
