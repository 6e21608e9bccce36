"""The registry: (kind, name) -> class, where a class's keyword-only parameters are its schema."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from torch import nn
from torch.optim import Optimizer

from genlab.docstrings import summary
from genlab.errors import PluginError
from genlab.interfaces import (
    DataSource,
    Decoder,
    Encoder,
    Likelihood,
    Objective,
    Prior,
    Schedule,
    Search,
    Tracker,
)  # fmt: skip
from genlab.selection import one_spelling
from genlab.wording import Allowed, finding, suggest

KINDS: dict[str, type] = {
    "data": DataSource,
    "encoder": Encoder,
    "decoder": Decoder,
    "prior": Prior,
    "likelihood": Likelihood,
    "objective": Objective,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "tracker": Tracker,
    "search": Search,
}
"""Each kind of part and the interface that makes a class one of that kind."""

GIVEN: dict[str, tuple[str, ...]] = {
    "data": (),
    "encoder": ("x_shape", "latent"),
    "decoder": ("latent", "out_shape"),
    "prior": ("latent",),
    "likelihood": ("x_shape",),
    "objective": (),
    "optimizer": ("params", "fused"),
    "schedule": (),
    "tracker": ("folder", "step"),
    "search": ("space", "folder", "seed"),
}
"""The positional arguments that the framework gives to the constructor of each kind."""

OWN = "genlab"
"""The distribution whose parts nobody else's can hide."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Options(BaseModel):
    """Base of every part's options: unknown keys, silent conversions, infinities and NaN are errors.

    Fields are named apart from pydantic's own attributes and reached by alias: an option may have any name.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Part:
    """A registered class."""

    kind: str
    name: str
    cls: type
    distribution: str

    @property
    def qualified(self) -> str:
        """What a recipe may always write to mean this part."""
        return f"{self.distribution}:{self.name}"

    @cached_property
    def options(self) -> type[Options]:
        """The schema of what a recipe may set: the constructor's keyword-only parameters."""
        fields: dict[str, Any] = {}
        for name, (annotation, default) in self._keyword_only.items():
            # A nested part is written as a name or mapping; the recipe resolves it by its own schema.
            allowed = str | dict[str, JsonValue] if name in self.nested else annotation
            fields[f"option_{name}"] = (allowed, Field(default, alias=name))
        return create_model(f"{self.cls.__name__}Options", __base__=Options, **fields)

    def parse(self, options: Mapping[str, JsonValue]) -> dict[str, Any]:
        """Turn plain options into the constructor's keyword arguments (lists to tuples, texts to paths ...)."""
        parsed = self.options.model_validate_json(json.dumps(options))
        return {name: getattr(parsed, f"option_{name}") for name in self._keyword_only}

    def plain(self, options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return options as a recipe writes them, every default filled in."""
        return self.options.model_validate_json(json.dumps(options)).model_dump(mode="json", by_alias=True)

    @property
    def option_names(self) -> list[str]:
        """What a recipe may set."""
        return list(self._keyword_only)

    @property
    def defaults(self) -> dict[str, Any]:
        """The options that have a default, and the default."""
        return {name: default for name, (_, default) in self._keyword_only.items() if default is not ...}

    def written_defaults(self) -> dict[str, JsonValue]:
        """Return the defaults as a recipe writes them."""
        given = {f"option_{name}": default for name, default in self.defaults.items()}
        return self.options.model_construct(**given).model_dump(mode="json", by_alias=True, warnings=False)

    @property
    def required(self) -> list[str]:
        """The options that have no default."""
        return [name for name in self.option_names if name not in self.defaults]

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
        if self.cls.__init__ is nn.Module.__init__:  # type: ignore[misc]
            return {}  # no constructor of its own
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
        return summary(self.cls)


class Registry:
    """Parts by kind and name.

    A recipe writes a part's bare name, or ``distribution:name``, the distribution
    spelled as pip takes it. A bare name that genlab itself has is genlab's;
    one that several other distributions have is an error that says how to choose.
    """

    def __init__(self) -> None:
        self._parts: dict[tuple[str, str, str], Part] = {}
        self._absent: list[str] = []
        self._preferred: Mapping[tuple[str, str], str] = {}

    def register(self, name: str, cls: type, distribution: str) -> None:
        """Register ``cls`` under ``name``; its kind is the interface that it subclasses."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"part name {name!r}: lower-case letters, digits and _ are allowed, a letter first")
        kind = _kind_of(name, cls)
        if inspect.isabstract(cls):
            missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
            raise PluginError(f"{kind} {name!r}: {cls.__name__} does not implement {missing}")
        part = Part(kind, name, cls, distribution)
        _check_signature(part)
        _check_options(part)
        for other in self._named(kind, name, distribution):
            raise PluginError(
                f"{kind} {name!r} is registered by {distribution} twice, as {other.cls.__name__} and as "
                f"{cls.__name__}; rename the part"
            )
        self._parts[kind, name, distribution] = part

    @contextmanager
    def registering(self, distribution: str) -> Iterator[Callable[[str, type], None]]:
        """Give the ``register`` function of a plugin of ``distribution`` to a block.

        If the block raises, everything registered in it is taken back. After it the function refuses to work: what
        is installed does not change while a recipe is read.
        """
        before, over = dict(self._parts), False

        def register(name: str, cls: type) -> None:
            if over:
                raise PluginError(f"part {name!r}: registered too late; call register() within genlab_register")
            self.register(name, cls, distribution)

        try:
            yield register
        except BaseException:
            self._parts = before
            raise
        finally:
            over = True

    def preferring(self, owners: Mapping[tuple[str, str], str]) -> Registry:
        """Return a view of this registry where some bare names are taken: ``{(kind, name): distribution}``.

        What a stored model was made with stays what it means, whatever was installed since.
        """
        view = Registry()
        view._parts, view._absent, view._preferred = self._parts, self._absent, dict(owners)
        return view

    def remember_failure(self, distribution: str, cause: str) -> None:
        """Keep why a plugin is absent, for the message to whoever needs one of its parts."""
        self._absent.append(f"plugin {distribution} could not be loaded: {cause}; see `genlab plugins doctor`")

    def remember_left_out(self, distribution: str, reason: str) -> None:
        """Keep that a plugin was not to be loaded."""
        self._absent.append(f"plugin {distribution} is left out by {reason}")

    def parts(self, kind: str | None = None) -> list[Part]:
        """Return the parts of one kind, or all, ordered by kind and name."""
        order = {k: i for i, k in enumerate(KINDS)}
        found = [part for part in self._parts.values() if kind in (None, part.kind)]
        return sorted(found, key=lambda part: (order[part.kind], part.name, part.distribution))

    def names(self, kind: str) -> list[str]:
        """Return what recipes write for the parts of one kind."""
        return [self.use_of(part) for part in self.parts(kind)]

    def use_of(self, part: Part) -> str:
        """Return what a recipe writes for a part: its name, or ``distribution:name`` if that means another."""
        bare = self._named(part.kind, part.name, OWN) or self._named(part.kind, part.name)
        return part.name if bare == [part] else part.qualified

    def written(self, part: Part, use: str) -> str:
        """Return ``use`` as a resolved recipe has it: a name that means the part without this registry's view."""
        return part.qualified if ":" in use and part.distribution != OWN else self.use_of(part)

    def get(self, kind: str, use: str) -> Part:
        """Return the part that a recipe means by a name or ``distribution:name``.

        Raises ``PluginError`` with the nearest name and what is installed, or with how to choose.
        """
        found = self._meant(kind, use)
        if len(found) == 1:
            return found[0]
        if not found:
            raise PluginError(self._unknown(kind, use))
        owners = ", ".join(part.distribution for part in found)
        choices = " or ".join(f"use: {part.qualified}" for part in found)
        raise PluginError(f"{kind} {use!r} is brought by {len(found)} plugins: {owners}; write {choices}")

    def _meant(self, kind: str, use: str) -> list[Part]:
        distribution, colon, name = use.rpartition(":")
        if colon:
            spelled = one_spelling(distribution)
            return self._named(kind, name, distribution) or [
                part for part in self._named(kind, name) if one_spelling(part.distribution) == spelled
            ]
        for owner in (self._preferred.get((kind, name), OWN), OWN):
            if own := self._named(kind, name, owner):
                return own
        return self._named(kind, name)

    def _named(self, kind: str, name: str, distribution: str | None = None) -> list[Part]:
        return [
            part
            for part in self.parts(kind)
            if part.name == name and distribution in (None, part.distribution)
        ]  # fmt: skip

    def _unknown(self, kind: str, use: str) -> str:
        names = self.names(kind)
        known = [part.qualified for part in self.parts(kind)] if ":" in use else names
        message = f"unknown {kind} {use!r}; {suggest(use, known)}installed: {', '.join(names) or 'none'}"
        return message + "".join(f"\n  ({absent})" for absent in self._absent)


def _kind_of(name: str, cls: object) -> str:
    if isinstance(cls, type):
        for kind, interface in KINDS.items():
            if issubclass(cls, interface):
                return kind
    interfaces = ", ".join(interface.__name__ for interface in KINDS.values())
    what = f"class {cls.__name__}" if isinstance(cls, type) else f"a {type(cls).__name__}"
    raise PluginError(f"part {name!r} is {what}; a subclass of one of {interfaces} is expected")


def _check_signature(part: Part) -> None:
    """Positional parameters are the framework's; options are keyword-only and annotated; nothing else is taken."""
    if part.cls.__init__ is nn.Module.__init__:  # type: ignore[misc]
        if GIVEN[part.kind]:
            raise PluginError(f"{_who(part)} has no __init__; it is given ({', '.join(GIVEN[part.kind])})")
        return
    parameters = inspect.signature(part.cls).parameters.values()
    for parameter in parameters:
        if parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            raise PluginError(
                f"{_who(part)}.__init__ takes {str(parameter).partition(':')[0]}; list its options by name, so "
                "that a recipe can be checked"
            )
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.annotation is inspect.Parameter.empty:
            raise PluginError(f"{_who(part)}: option {parameter.name!r} has no annotation")
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name == "use":
            raise PluginError(f"{_who(part)}: an option cannot be called 'use', which names the part in a recipe")
    positional = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    if len(positional) != len(GIVEN[part.kind]):
        raise PluginError(
            f"{_who(part)}.__init__ takes ({', '.join(positional)}) by position, but is given "
            f"({', '.join(GIVEN[part.kind])}); options are keyword-only: put `*` before the first of them"
        )


def _check_options(part: Part) -> None:
    """Every annotation must make a schema and every default satisfy its own: resolved recipes are read again."""
    try:
        written = part.written_defaults()
    except Exception as error:  # whatever an annotation, or the search for what it names, may raise
        reason = str(error).partition(". Set ")[0].partition("\n")[0]
        raise PluginError(f"{_who(part)}: a recipe cannot hold its options: {reason}") from error
    try:
        part.plain(written)
    except ValidationError as error:
        allowed = Allowed.by(part.options)
        for item in error.errors(include_url=False):
            name = str(item["loc"][0])
            if item["type"] != "missing" or name in part.defaults:
                reason = finding(item, written[name], allowed.at((name,)))
                raise PluginError(f"{_who(part)}: option {name!r} refuses its own default: {reason}") from None


def _who(part: Part) -> str:
    return f"{part.kind} {part.name!r}: {part.cls.__name__}"
