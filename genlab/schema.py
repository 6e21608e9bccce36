"""The JSON Schema of recipes, for editors and for validators of other people's: every installed part is in it.

It is what pydantic says of ``Recipe`` and of each part's options, put into the words of draft 7, which is what
editors' YAML servers read. A recipe is described twice: as one that stands alone, and as one that extends
others, where nothing is required, ``key: null`` removes what is inherited, and options without ``use`` may be
those of any part of the kind.

A validator that follows it accepts and refuses what genlab does, except for what JSON Schema cannot say.
It accepts, and genlab refuses:

- ``2.0`` where an integer is expected: in JSON that is the integer 2;
- ``.nan``, ``.inf`` and ``-.inf``, which JSON does not have;
- ``${...}`` that refers to nothing, or to a value that does not fit; what ``extends`` names, and the recipe
  that comes of it;
- what only the text shows: duplicate keys, tags, too many or too deeply nested values, integers beyond 64 bits;
- what a validator function of a plugin's own refuses, unless it says so (``Field(json_schema_extra=...)``);
- what shows only when parts are built: shapes that disagree, options that exclude each other.

It refuses, and genlab accepts, what a plugin's own pydantic model converts: ``'3'`` where it has an integer and is
not strict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from genlab.docstrings import option_meanings
from genlab.recipe import PartSpec, Recipe
from genlab.registry import KINDS, Part, Registry

DIALECT = "http://json-schema.org/draft-07/schema#"
TITLE = "genlab recipe"

Schema = dict[str, Any]
"""A piece of JSON Schema: it goes nowhere but into the file."""

_KEY = r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*"
_ENV = r"env:[A-Za-z_][A-Za-z0-9_]*(,[^}]*)?"
_RECIPE: Schema = {"type": "string", "minLength": 1}
_NULL: Schema = {"type": "null"}
_UNNAMED: Schema = {"not": {"required": ["use"]}}
_WHOLE: Schema = {"$ref": "#/definitions/reference"}
_WITHIN: Schema = {"$ref": "#/definitions/text_with_references"}
_COMMON: dict[str, Schema] = {
    "reference": {
        "$comment": "Another value of the recipe, ${train.epochs}, or of the environment, ${env:NAME,default}.",
        "type": "string",
        "pattern": rf"^\$\{{({_KEY}|{_ENV})\}}$(?!\n)",
    },
    "text_with_references": {
        "$comment": "A text with ${train.epochs} or ${env:NAME,default} in it.",
        "type": "string",
        "pattern": rf"(^|[^$])\$\{{({_KEY}|{_ENV})\}}",
    },
    "extends": {
        "description": "Recipes to start from: files, relative to this one, or names of installed recipes. "
        "Mappings merge, lists replace, `key: null` removes.",
        "anyOf": [_RECIPE, {"type": "array", "items": _RECIPE}],
    },
}  # fmt: skip

# Words of draft 7 that hold no schemas. Left out: titles, which pydantic makes of names, and uniqueItems, which it
# writes for sets, though it takes a list that repeats an item.
_PLAIN = {
    "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
    "maxLength", "minLength", "pattern", "maxItems", "minItems", "maxProperties", "minProperties", "required",
    "default", "examples", "description",
}  # fmt: skip
_SAID = ("description", "default", "examples")
_FORMATS = {"date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "regex"}
# How pydantic writes a bound that stands behind a validator function.
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def recipe_schema(registry: Registry) -> Schema:
    """Return the JSON Schema (draft 7) of recipes that use the parts of ``registry``."""
    alone = _Writer(registry)
    extending = _Writer(registry, alone)
    branches = {"then": extending.recipe(), "else": alone.recipe()}
    return {
        "$schema": DIALECT,
        "title": TITLE,
        "description": Recipe.__doc__,
        "type": "object",
        "if": {"required": ["extends"]},
        **branches,
        "definitions": _COMMON | alone.definitions | extending.definitions,
    }


def schema_text(registry: Registry) -> str:
    """Return the JSON Schema as the text of a file, the same for the same parts."""
    return json.dumps(recipe_schema(registry), indent=2, ensure_ascii=False) + "\n"


class _Generate(GenerateJsonSchema):
    """Pydantic's own generator; what JSON Schema cannot describe may be anything."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Schema:
        """Describe such a type as anything."""
        return {}


class _Writer:
    """Writes the schema of recipes that stand alone; given that writer, of recipes that extend others.

    ``definitions`` fills up with whatever is referred to.
    """

    def __init__(self, registry: Registry, alone: _Writer | None = None) -> None:
        self.registry = registry
        self.alone = alone or self
        self.extending = alone is not None
        self.definitions: dict[str, Schema] = {}
        # Pydantic's own definitions, by the names that they have here.
        self.models: dict[str, Schema] = alone.models if alone else {}

    def recipe(self) -> Schema:
        """Describe the whole recipe, ``definitions`` aside."""
        read = self.read(Recipe, "recipe")
        for name, value in read["properties"].items():
            _mark_parts(value, name if name in KINDS else name.removesuffix("s"))
        described = self.mapping(read)
        return described | {"properties": {"extends": _reference("extends")} | described["properties"]}

    def part(self, kind: str, use: str = "") -> Schema:
        """Describe a part: its name, or a mapping of ``use: name`` and its options.

        use: the part that the options alone are of; by default none, and ``use`` is required.
        """
        key = self.key(f"default.{kind}" if use else kind)
        if key not in self.definitions:
            self.definitions[key] = {}  # a part may nest one of its own kind
            parts = self.registry.parts(kind)
            short = [part for part in parts if self.extending or not part.required]
            mapping: Schema = {
                "type": "object",
                "properties": {"use": {"description": f"which {kind}", "anyOf": [*self.each(parts), _WITHIN]}},
                "required": ["use"],
                "allOf": [
                    {
                        "if": {"properties": {"use": {"anyOf": self.named(part)}}, "required": ["use"]},
                        "then": self.options(part),
                    }
                    for part in parts
                ],
            }
            if self.extending or use:
                del mapping["required"]
            if use:
                meant = self.options(self.registry.get(kind, use))
                mapping["properties"]["use"]["default"] = use
                mapping["allOf"].append({"if": _UNNAMED, "then": meant})
            elif self.extending:  # of which part they are, only what is inherited says
                mapping["allOf"].append({"if": _UNNAMED, "then": self.any_options(parts)})
            self.definitions[key] = {"anyOf": [*self.each(short), mapping, _WITHIN]}
        return _reference(key)

    def options(self, part: Part) -> Schema:
        """Describe what may stand beside ``use`` of one part."""
        owner = re.sub(r"[^\w.-]", "_", f"{part.kind}.{self.registry.use_of(part)}")  # it stands in references
        key = self.key(owner)
        if key not in self.definitions:
            read = self.read(part.options, owner)
            for name, meaning in option_meanings(part.cls, part.option_names).items():
                read["properties"][name].setdefault("description", meaning)
            for name, kind in part.nested.items():
                read["properties"][name] = _said(read["properties"][name]) | {"kind": kind}
            described = self.mapping({"description": part.summary} | read)
            self.definitions[key] = described | {
                "properties": {"use": {"anyOf": self.named(part)}} | described["properties"]
            }
        return _reference(key)

    def any_options(self, parts: Sequence[Part]) -> Schema:
        """Describe the options that any of several parts has."""
        found: dict[str, list[Schema]] = {}
        for part in parts:
            described = self.definitions[self.options(part)["$ref"].rpartition("/")[2]]
            for name in part.option_names:
                found.setdefault(name, []).append(described["properties"][name])
        either = {name: _either(values) for name, values in found.items()}
        return {"properties": either, "additionalProperties": False}

    def each(self, parts: Sequence[Part]) -> list[Schema]:
        """Describe each way to name one of several parts."""
        return [way for part in parts for way in self.named(part)]

    def named(self, part: Part) -> list[Schema]:
        """Describe each way to name a part."""
        use, said = self.registry.use_of(part), _said({"description": part.summary})
        if use == part.qualified:
            return [{"const": use} | said]
        # A pattern, which editors do not offer: the short name is what one types unless there is a choice.
        return [{"const": use} | said, {"type": "string", "pattern": rf"^{_literal(part.qualified)}$(?!\n)"}]

    def key(self, name: str) -> str:
        """Return what a definition is called here."""
        return f"extending.{name}" if self.extending else name

    def read(self, model: type[BaseModel], owner: str) -> Schema:
        """Return pydantic's schema of a model; its definitions are remembered under its owner's name."""
        root = model.model_json_schema(schema_generator=_Generate)
        text = json.dumps({"properties": {}} | root).replace('"#/$defs/', f'"{owner}.')
        read: Schema = json.loads(text)
        self.models |= {f"{owner}.{name}": schema for name, schema in read.pop("$defs", {}).items()}
        return read

    def mapping(self, schema: Schema) -> Schema:
        """Describe a mapping of known keys."""
        described = _said(schema) | {"type": "object", "properties": self.entries(schema)}
        if schema.get("required") and not self.extending:
            described["required"] = schema["required"]
        if "if" in schema:  # asked of what is written; the answers are open to references, as every value is
            described["if"] = schema["if"]
            described |= {word: self.mapping(schema[word]) for word in ("then", "else") if word in schema}
        if schema.get("additionalProperties") is False:
            described["additionalProperties"] = False
        return described

    def entries(self, schema: Schema) -> dict[str, Schema]:
        """Describe the value of each key of a mapping; where one extends, null removes the key."""
        more = [_NULL] if self.extending else []
        return {name: self.value(entry, more) for name, entry in schema.get("properties", {}).items()}

    def value(self, schema: Schema, more: Sequence[Schema] = ()) -> Schema:
        """Describe a value, which may also be a reference."""
        said = _said(schema)
        if "$ref" in schema:
            said.pop("default", None)  # a section's default is that of each of its keys
            said = _said(self.models[schema["$ref"]]) | said
        bare = self.bare({word: part for word, part in schema.items() if word not in _SAID})
        branches = bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]
        if "kind" not in schema and not any(map(_any_text, branches)):
            branches = [*branches, _WITHIN if any(map(_some_text, branches)) else _WHOLE]
        branches += [branch for branch in more if branch not in branches]
        if len(branches) > 1:
            return said | {"anyOf": branches}
        # Beside $ref, draft 7 reads nothing else; editors complete `key: ` for an anyOf, but not for an allOf.
        return said | ({"anyOf": branches} if said and "$ref" in branches[0] else branches[0])

    def bare(self, schema: Schema) -> Schema:
        """Put a piece of pydantic's schema into words of draft 7."""
        if "kind" in schema:
            return self.part(schema["kind"], "" if self.extending else schema.get("meant", ""))
        if "$ref" in schema:
            return self.referred(schema["$ref"])
        if "properties" in schema:
            return self.mapping(schema)
        result = {_BOUNDS.get(word, word): schema[word] for word in schema if word in _PLAIN | _BOUNDS.keys()}
        if schema.get("format") in _FORMATS:
            result["format"] = schema["format"]
        for word in ("anyOf", "oneOf", "allOf"):
            if word in schema:
                result[word] = [self.bare(branch) for branch in schema[word]]
        if "not" in schema:
            result["not"] = self.bare(schema["not"])
        if "propertyNames" in schema:
            result["propertyNames"] = self.bare(schema["propertyNames"])
        if "patternProperties" in schema:
            result["patternProperties"] = self.entries({"properties": schema["patternProperties"]})
        if isinstance(others := schema.get("additionalProperties"), dict):
            result |= self.entries({"properties": {"additionalProperties": others}})
        elif others is False:
            result["additionalProperties"] = False
        return result | self.items(schema)

    def items(self, schema: Schema) -> Schema:
        """Describe what is in a list. It takes the place of an inherited one, so its items stand alone."""
        rest = schema.get("items")
        if "prefixItems" in schema:
            fixed = [self.alone.value(item) for item in schema["prefixItems"]]
            return {"items": fixed, "additionalItems": self.alone.value(rest) if rest else False}
        return {"items": self.alone.value(rest)} if rest else {}

    def referred(self, name: str) -> Schema:
        """Describe what pydantic keeps apart: a mapping as a definition, anything else in its place."""
        schema = self.models[name]
        if "properties" not in schema:
            return self.bare(schema)
        key = self.key(name)
        if key not in self.definitions:
            self.definitions[key] = {}  # it may hold one of its own
            self.definitions[key] = self.mapping(schema)
        return _reference(key)


def _mark_parts(schema: Schema, kind: str) -> None:
    """Say, wherever pydantic's schema has a ``PartSpec``, of which kind the part is."""
    if schema.get("$ref") == "recipe.PartSpec":
        del schema["$ref"]
        schema["kind"] = kind
        if "default" in schema:
            spec = PartSpec.model_validate(schema["default"])
            schema["default"] = spec.written() if spec.options else spec.use
            schema["meant"] = spec.use
    elif "items" in schema:
        _mark_parts(schema["items"], kind)


def _said(schema: Schema) -> Schema:
    """Return what a schema says to people, as Markdown."""
    said = {word: schema[word] for word in _SAID if word in schema}
    if "description" in said:
        said["description"] = said["description"].replace("``", "`")
    return said


def _either(schemas: Sequence[Schema]) -> Schema:
    """Describe a value that is right by any of several schemas; what they do not all say to people is left out."""
    words = _said(schemas[0]).items()
    said = {word: text for word, text in words if all(schema.get(word, ...) == text for schema in schemas)}
    branches: list[Schema] = []
    for schema in schemas:
        bare = {word: value for word, value in schema.items() if word not in _SAID}
        for branch in bare["anyOf"] if bare.keys() == {"anyOf"} else [bare]:
            if branch not in branches:
                branches.append(branch)
    return said | {"anyOf": branches}


def _reference(key: str) -> Schema:
    return {"$ref": f"#/definitions/{key}"}


def _literal(text: str) -> str:
    """Return the pattern of a text; it escapes no more than ECMAScript's strict patterns allow."""
    return re.sub(r"[\^$\\.*+?()\[\]{}|/]", r"\\\g<0>", text)


def _some_text(branch: Schema) -> bool:
    """Whether a value may be a text."""
    values = branch.get("enum", [branch.get("const")])
    return branch.get("type") == "string" or any(isinstance(value, str) for value in values)


def _any_text(branch: Schema) -> bool:
    """Whether a value may be any text."""
    return not branch or branch == {"type": "string"}
