"""YAML -> a validated, frozen ``Recipe``; every mistake is reported with its place, all of them at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, PositiveInt, ValidationError

from genlab.errors import PluginError, RecipeError
from genlab.registry import KINDS, Registry, suggest
from genlab.source import Json, Node, Place, read_file, read_text
from genlab.train.options import TrainOptions

MAX_SEED = 2**63 - 1


def _written_short(value: object) -> object:
    """``conv`` means ``{use: conv}``; options stand beside ``use``."""
    if isinstance(value, str):
        return {"use": value, "options": {}}
    if isinstance(value, dict) and "use" in value:
        return {"use": value["use"], "options": {k: v for k, v in value.items() if k != "use"}}
    return value


class PartSpec(BaseModel):
    """One part as a recipe names it: a registered name and its options."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    use: str
    options: dict[str, JsonValue] = {}

    def written(self) -> dict[str, JsonValue]:
        """Return the part as it stands in a recipe: ``{use: name, option: value, ...}``."""
        return {"use": self.use, **self.options}


Spec = Annotated[PartSpec, BeforeValidator(_written_short)]


class Recipe(BaseModel):
    """Everything that decides what is trained, and how; never a device, and a path only by override."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$", description="names the run and the model")
    description: str = Field("", description="one line for people")
    data: Spec = Field(description="where the examples come from")
    latent: PositiveInt = Field(description="Z, the size of a latent")
    encoder: Spec = Field(description="q(z|x)")
    decoder: Spec = Field(description="z to the likelihood's parameters")
    prior: Spec = Field(PartSpec(use="standard_normal"), description="p(z)")
    likelihood: Spec = Field(description="p(x|z)")
    objective: Spec = Field(PartSpec(use="elbo"), description="what training minimises")
    optimizer: Spec = Field(PartSpec(use="adam"), description="how parameters follow their gradients")
    train: TrainOptions = TrainOptions()
    seed: int = Field(0, ge=0, le=MAX_SEED, description="every random stream is derived from it")

    def part(self, kind: str) -> PartSpec:
        """Return the part of one kind, ``"encoder"`` for example."""
        spec: PartSpec = getattr(self, kind)
        return spec

    def written(self) -> dict[str, Any]:
        """Return the recipe as plain values, every default filled in."""
        plain = self.model_dump(mode="json")
        return {key: self.part(key).written() if key in KINDS else value for key, value in plain.items()}

    def to_yaml(self) -> str:
        """Return the recipe as YAML, every default filled in."""
        from io import StringIO

        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = None
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.width = 120
        stream = StringIO()
        yaml.dump(self.written(), stream)
        return stream.getvalue()


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe."""

    place: Place
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        where = ".".join(map(str, self.path))
        return f"{self.place}: {where}: {self.message}" if where else f"{self.place}: {self.message}"


def load_recipe(path: Path, overrides: Mapping[str, object] | None = None, *, registry: Registry) -> Recipe:
    """Read, override and validate a recipe file.

    overrides: ``{"train.epochs": 3}``; they count as written on the command line.
    Raises ``RecipeError`` listing every problem with file, line and column.
    """
    tree = read_file(path)
    if not isinstance(tree.value, dict):
        what = "empty" if tree.value is None else "not a mapping"
        raise RecipeError(f"{tree.place}: the recipe is {what}; `key: value` lines are expected, `name:` first")
    return resolve(apply_overrides(tree, overrides or {}), registry)


def recipe_from(written: Mapping[str, Json], name: str, *, registry: Registry) -> Recipe:
    """Validate plain values, such as a stored recipe; ``name`` stands in messages."""
    return resolve(_tree(dict(written), Place(name)), registry)


def overridden(recipe: Recipe, overrides: Mapping[str, object], *, registry: Registry) -> Recipe:
    """Return a recipe with some values changed, validated anew."""
    tree = _tree(recipe.written(), Place(f"recipe {recipe.name}"))
    return resolve(apply_overrides(tree, overrides), registry)


def parse_overrides(tokens: Iterable[str]) -> dict[str, object]:
    """Read ``a.b=value`` tokens; values are YAML."""
    overrides: dict[str, object] = {}
    for token in tokens:
        key, equals, text = token.partition("=")
        if not equals or not all(key.split(".")):
            raise RecipeError(f"override {token!r}: key=value is expected, as in train.epochs=3")
        if key in overrides:
            raise RecipeError(f"override {token!r}: {key} is set twice")
        overrides[key] = read_text(text, f"override {token!r}", Place(f"override {token!r}"))
    return overrides


def apply_overrides(tree: Node, overrides: Mapping[str, object]) -> Node:
    """Return the tree with the overrides set, each remembered as its own place."""
    for key, value in overrides.items():
        if isinstance(value, Node):
            node = value
        else:
            node = _tree(_plain(value, key), Place(f"override '{key}={value}'"))
        tree = tree.set(tuple(key.split(".")), node)
    return tree


def resolve(tree: Node, registry: Registry) -> Recipe:
    """Validate a tree against the recipe's schema and each part's own; fill in every default."""
    try:
        recipe = Recipe.model_validate_json(_json(tree))
    except ValidationError as error:
        structure = _problems(error, tree, (), list(Recipe.model_fields))
        broken = {problem.path[0] for problem in structure if problem.path}
        specs = _readable_specs(tree, broken)
        parts, _ = _resolve_parts(specs, tree, registry)
        raise _recipe_error([*structure, *parts]) from None
    problems, resolved = _resolve_parts({kind: recipe.part(kind) for kind in KINDS}, tree, registry)
    if problems:
        raise _recipe_error(problems)
    return recipe.model_copy(update=resolved)


def _recipe_error(problems: list[Problem]) -> RecipeError:
    ordered = sorted(problems, key=lambda p: (p.place.line or 0, p.place.column or 0))
    return RecipeError("\n".join(str(problem) for problem in ordered))


def _readable_specs(tree: Node, broken: set[str | int]) -> dict[str, PartSpec]:
    """Return the part entries that could be read in spite of problems elsewhere."""
    specs = {}
    assert isinstance(tree.value, dict)
    for kind in KINDS:
        if kind in tree.value and kind not in broken:
            specs[kind] = PartSpec.model_validate(_written_short(tree.value[kind][1].plain()))
    return specs


def _resolve_parts(
    specs: Mapping[str, PartSpec], tree: Node, registry: Registry
) -> tuple[list[Problem], dict[str, PartSpec]]:
    problems: list[Problem] = []
    resolved: dict[str, PartSpec] = {}
    for kind, spec in specs.items():
        found, resolved[kind] = _resolve_part(kind, spec, (kind,), tree, registry)
        problems += found
    return problems, resolved


def _resolve_part(
    kind: str, spec: PartSpec, path: tuple[str | int, ...], tree: Node, registry: Registry
) -> tuple[list[Problem], PartSpec]:
    """Validate one part's options, nested parts included; return problems and the spec with defaults."""
    try:
        part = registry.get(kind, spec.use)
    except PluginError as error:
        return [Problem(tree.place_of((*path, "use")), path, str(error))], spec
    try:
        options = part.options.model_validate_json(json.dumps(spec.options))
    except ValidationError as error:
        return _problems(error, tree, path, list(part.options.model_fields)), spec
    problems: list[Problem] = []
    written: dict[str, JsonValue] = {}
    for name, value in options.model_dump(mode="json").items():
        nested_kind = part.nested.get(name)
        if nested_kind is not None and value is not None:
            nested = PartSpec.model_validate(_written_short(value))
            found, nested = _resolve_part(nested_kind, nested, (*path, name), tree, registry)
            problems += found
            value = nested.written()
        written[name] = value
    return problems, PartSpec(use=spec.use, options=written)


def _problems(
    error: ValidationError, tree: Node, path: tuple[str | int, ...], known: list[str]
) -> list[Problem]:
    problems = []
    for item in error.errors(include_url=False):
        loc = tuple(step for step in item["loc"] if step != "options")
        full = (*path, *loc)
        problems.append(Problem(tree.place_of(full), full, _say(item, known)))
    return problems


def _say(item: Any, known: list[str]) -> str:
    """Put pydantic's finding into the words of somebody who writes recipes."""
    kind, value, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        name = str(item["loc"][-1])
        if len(item["loc"]) > 1:
            return "unknown option"
        return f"unknown option; {suggest(name, known)}allowed: {', '.join(known) or 'none'}"
    if kind == "missing":
        return "required, but not given"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"{_show(value)} is not a mapping; a part's name or {{use: name, option: value}} is expected"
    expected = {
        "int_type": "an integer", "int_from_float": "an integer", "float_type": "a number",
        "bool_type": "true or false", "string_type": "a text", "tuple_type": "a list", "list_type": "a list",
        "finite_number": "a finite number",
    }.get(kind)  # fmt: skip
    if expected:
        return f"{_show(value)} is not {expected}"
    bounds = {
        "greater_than": ("gt", "greater than"), "greater_than_equal": ("ge", "at least"),
        "less_than": ("lt", "less than"), "less_than_equal": ("le", "at most"),
    }  # fmt: skip
    if kind in bounds:
        key, words = bounds[kind]
        return f"{_show(value)} is out of range; it must be {words} {context[key]}"
    return f"{_show(value)}: {item['msg'][0].lower()}{item['msg'][1:]}"


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _json(tree: Node) -> str:
    return json.dumps(tree.plain())


def _tree(value: Json, place: Place) -> Node:
    if isinstance(value, dict):
        return Node({str(key): (place, _tree(child, place)) for key, child in value.items()}, place)
    if isinstance(value, list):
        return Node([_tree(child, place) for child in value], place)
    return Node(value, place)


def _plain(value: object, key: str) -> Json:
    """Accept what Python callers pass as an override: numbers, texts, lists, tuples, mappings, paths."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, key) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, key) for v in value]
    raise RecipeError(f"override {key}: {type(value).__name__} is not a recipe value; pass a number, text or list")

