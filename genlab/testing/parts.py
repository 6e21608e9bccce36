"""Checks of every part, whatever its kind: how it is registered, described, and written in recipes."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from genlab.errors import GenlabError
from genlab.recipe import PartSpec
from genlab.resolving import resolve
from genlab.schema import recipe_schema
from genlab.source import read_text
from genlab.testing.checking import Failed, Skipped, check
from genlab.testing.subject import AROUND, NAME, PartSubject
from genlab.wording import shown


@check()
def registers(subject: PartSubject) -> None:
    """It subclasses its interface, and its options are keyword-only, annotated, with defaults that they allow.

    The constructor's signature is the schema of what a recipe may set; there is no other.
    """
    if subject.registered.refusal:
        raise Failed(
            expected=f"a {subject.kind} that `register` takes",
            came=subject.registered.refusal,
            mend="(x_shape, latent, *, width: PositiveInt = 256), for example: what the framework gives comes "
            "first, each option stands behind the * with its type",
        )


@check()
def says_what_it_is(subject: PartSubject) -> None:
    """The class has a docstring whose first line says what it is.

    `genlab ls`, `genlab init` and the schema in people's editors show that line.
    """
    own = (subject.cls.__doc__ or "").strip()
    if not own:
        raise Failed(
            expected="a docstring of its own whose first line says what the part is",
            came="no docstring",
            mend='write one: """Fully connected network with a diagonal normal posterior."""',
        )


@check("registers")
def options_survive_a_recipe(subject: PartSubject) -> None:
    """Options written into a recipe and read back, defaults filled in, are what they were.

    A run keeps its recipe as resolved, and a trained model is rebuilt from it.
    """
    part = subject.part
    if not part.option_names:
        return
    wanted = _parsed(subject, subject.options)
    first = _resolved(subject, subject.options)
    second = _resolved(subject, first.options)
    for name in part.option_names:
        if name in part.nested:
            continue
        found = _parsed(subject, first.options)[name], _parsed(subject, second.options)[name]
        direct = wanted[name]
        if not all(_same(value, direct) for value in found):
            raise Failed(
                expected=f"option {name!r} is {direct!r} again after a recipe was written and read",
                came=f"{found[0]!r}, and after a second time {found[1]!r}",
                mend="a validator must leave what it returns as it is when it is given that; better, check a "
                "value in the annotation and convert it in __init__",
            )
    if first != second:
        raise Failed(
            expected=f"the same options after reading them a second time: {shown(first.options)}",
            came=shown(second.options),
            mend="see to it that what an option is written as is read as the same",
        )


@check("registers", "options_survive_a_recipe")
def schema_accepts_its_options(subject: PartSubject) -> None:
    """The JSON Schema of recipes accepts the part with its options and with every default written out.

    Editors mark what it refuses. Needs the package jsonschema.
    """
    try:
        from jsonschema import Draft7Validator
    except ImportError:
        raise Skipped("jsonschema is not installed: pip install jsonschema") from None
    schema = recipe_schema(subject.registered.registry)
    resolved = _resolved(subject, subject.options)
    for spec in (subject.written, {"use": NAME, **resolved.options}):
        place: dict[str, Any] = {"trackers": [spec]} if subject.kind == "tracker" else {subject.kind: spec}
        errors = list(Draft7Validator(schema).iter_errors({**AROUND, **place}))
        if errors:
            leaf = min(_leaves(errors[0]), key=lambda error: -len(error.absolute_path))
            where = ".".join(map(str, leaf.absolute_path))
            raise Failed(
                expected=f"a schema that accepts {shown(spec)}, as genlab does",
                came=f"{where}: {leaf.message}",
                mend="say in the annotation what it allows: Field(json_schema_extra=...) overrides what pydantic "
                "makes of it",
            )


def _leaves(error: Any) -> list[Any]:
    return [leaf for inner in error.context for leaf in _leaves(inner)] if error.context else [error]


def _same(a: object, b: object) -> bool:
    if isinstance(a, BaseModel) and isinstance(b, BaseModel):
        return a.model_dump() == b.model_dump()
    return a == b


def _parsed(subject: PartSubject, options: dict[str, JsonValue]) -> dict[str, Any]:
    try:
        return subject.part.parse(options)
    except (ValidationError, TypeError) as error:
        raise Failed(
            expected=f"options that a recipe can hold: {', '.join(subject.part.option_names)}",
            came=f"{options!r}: {_short(error)}",
            mend="give them as a recipe has them, numbers, texts, lists and mappings, the required ones "
            f"({', '.join(subject.part.required) or 'none'}) included",
        ) from None


def _short(error: ValidationError | TypeError) -> str:
    """Return what is wrong with options, on one line."""
    if isinstance(error, TypeError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))


def _resolved(subject: PartSubject, options: dict[str, JsonValue]) -> PartSpec:
    """Return the part as a recipe's text has it once it is written in full and read again."""
    if subject.kind == "search":
        return PartSpec(use=NAME, options=json.loads(json.dumps(subject.part.plain(options))))
    try:
        recipe = subject.recipe(options)
        again = resolve(read_text(recipe.to_yaml(), NAME), subject.registered.registry)
    except GenlabError as error:
        raise Failed(
            expected=f"a recipe that holds {shown({'use': NAME, **options})}",
            came=str(error),
            mend="allow in the annotations what the part takes, and pass options as a recipe has them",
        ) from None
    return next(spec for kind, spec in again.parts() if kind == subject.kind)
