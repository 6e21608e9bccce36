"""YAML -> a validated, frozen ``Recipe``; every mistake is reported with its place, all of them at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PositiveInt,
    ValidationError,
)  # fmt: skip

from genlab.errors import PluginError, RecipeError
from genlab.registry import KINDS, Registry, suggest
from genlab.seeds import MAX_SEED
from genlab.source import Json, Node, Place, file_text, read_text, tree_of
from genlab.train.options import CheckpointOptions, TrainOptions
from genlab.wording import Allowed, dotted, finding, printable, shown

MAX_PROBLEMS = 20  # that one message lists


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise ValueError(
            "a name becomes a folder: up to 100 letters, digits, '_', '-' and '.' are allowed, "
            "a letter or digit first"
        )
    return name


Name = Annotated[str, AfterValidator(_folder_name)]


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

    @classmethod
    def of(cls, written: JsonValue) -> PartSpec:
        """Read a part as it stands in a recipe: ``name`` or ``{use: name, option: value, ...}``."""
        return cls.model_validate(_written_short(written))

    def written(self) -> dict[str, JsonValue]:
        """Return the part as it stands in a recipe: ``{use: name, option: value, ...}``."""
        return {"use": self.use, **self.options}


Spec = Annotated[PartSpec, BeforeValidator(_written_short)]


class Recipe(BaseModel):
    """Everything that decides what is trained, and how; never a device."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Name = Field(description="names the run and the model")
    description: str = Field("", description="one line for people")
    data: Spec = Field(description="where the examples come from")
    latent: PositiveInt = Field(description="Z, the size of a latent")
    encoder: Spec = Field(description="q(z|x)")
    decoder: Spec = Field(description="z to the likelihood's parameters")
    prior: Spec = Field(PartSpec(use="standard_normal"), description="p(z)")
    likelihood: Spec = Field(description="p(x|z)")
    objective: Spec = Field(PartSpec(use="elbo"), description="what training minimises")
    optimizer: Spec = Field(PartSpec(use="adam"), description="how parameters follow their gradients")
    schedule: Spec = Field(PartSpec(use="constant"), description="the learning rate over time")
    train: TrainOptions = TrainOptions()
    checkpoint: CheckpointOptions = CheckpointOptions()
    trackers: list[Spec] = Field([], description="where metrics go besides metrics.jsonl")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="every random stream is derived from it")

    def part(self, kind: str) -> PartSpec:
        """Return the part of one kind, ``"encoder"`` for example."""
        spec: PartSpec = getattr(self, kind)
        return spec

    def written(self) -> dict[str, Any]:
        """Return the recipe as plain values, every default filled in."""
        plain = self.model_dump(mode="json")
        plain |= {kind: self.part(kind).written() for kind in PARTS}
        return plain | {"trackers": [spec.written() for spec in self.trackers]}

    def parts(self) -> list[tuple[str, PartSpec]]:
        """Return every part with its kind."""
        return [(kind, self.part(kind)) for kind in PARTS] + [("tracker", spec) for spec in self.trackers]

    def to_yaml(self) -> str:
        """Return the recipe as YAML, every default filled in."""
        from io import StringIO

        from ruamel.yaml import YAML
        from ruamel.yaml.nodes import ScalarNode
        from ruamel.yaml.representer import SafeRepresenter

        class Representer(SafeRepresenter):
            def represent_float(self, data: float) -> ScalarNode:
                """Write 1.0e-07, which YAML 1.1 programs too take for a number, where Python has 1e-07."""
                node = super().represent_float(data)
                if "." not in node.value:
                    node.value = node.value.replace("e", ".0e")
                return node

        Representer.add_representer(float, Representer.represent_float)
        yaml = YAML(typ="safe", pure=True)
        yaml.Representer = Representer
        yaml.default_flow_style = None
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.width = 120
        stream = StringIO()
        yaml.dump(self.written(), stream)
        return stream.getvalue()


PARTS = tuple(kind for kind in KINDS if kind in Recipe.model_fields)
"""The kinds of which a recipe names exactly one part."""


def load_recipe(path: Path, overrides: Mapping[str, object] | None = None, *, registry: Registry) -> Recipe:
    """Read, override and validate a recipe file.

    overrides: ``{"train.epochs": 3}``; they count as written on the command line.
    Raises ``RecipeError`` listing every problem with file, line and column.
    """
    return parse_recipe(file_text(path), str(path), overrides, registry=registry)


def parse_recipe(
    text: str, name: str, overrides: Mapping[str, object] | None = None, *, registry: Registry
) -> Recipe:
    """Do what ``load_recipe`` does with the text of a file; ``name`` stands in messages."""
    tree = read_text(text, name)
    if not isinstance(tree.value, dict):
        what = "empty" if tree.value is None else "not a mapping"
        raise RecipeError(f"{tree.place}: the recipe is {what}; `key: value` lines are expected, `name:` first")
    return resolve(apply_overrides(tree, overrides or {}), registry)


def recipe_from(written: Mapping[str, Json], name: str, *, registry: Registry) -> Recipe:
    """Validate plain values, such as a stored recipe; ``name`` stands in messages."""
    return resolve(tree_of(dict(written), Place(name)), registry)


def overridden(recipe: Recipe, overrides: Mapping[str, object], *, registry: Registry) -> Recipe:
    """Return a recipe with some values changed, validated anew."""
    tree = tree_of(recipe.written(), Place(f"recipe {recipe.name}"))
    return resolve(apply_overrides(tree, overrides), registry)


def parse_overrides(tokens: Iterable[str]) -> dict[str, object]:
    """Read ``a.b=value`` tokens; values are YAML."""
    overrides: dict[str, object] = {}
    for token in tokens:
        key, equals, text = token.partition("=")
        place = Place(f"override {shown(token)}")
        if not equals or not all(key.split(".")):
            raise RecipeError(f"{place}: key=value is expected, as in train.epochs=3")
        if key in overrides:
            raise RecipeError(f"{place}: {printable(key)} is set twice")
        overrides[key] = read_text(text, str(place), place)
    return overrides


def apply_overrides(tree: Node, overrides: Mapping[str, object]) -> Node:
    """Return the tree with the overrides set, each remembered as its own place."""
    done: list[str] = []
    for key, value in overrides.items():
        if not isinstance(key, str) or not all(key.split(".")):
            raise RecipeError(f"override {shown(key)}: a key is expected, as in 'train.epochs'")
        place = Place(f"override {printable(key)}={shown(value)}")
        node = value if isinstance(value, Node) else tree_of(_plain(value, key), place)
        undone = [earlier for earlier in done if earlier.startswith(f"{key}.")]
        if undone:
            raise RecipeError(f"{node.place}: it would undo the override of {undone[0]}; put it before that one")
        path = tuple(key.split("."))
        default = Recipe.model_fields[path[0]].default if path[0] in PARTS else None
        if len(path) > 1 and isinstance(default, PartSpec) and not tree.find(path[:1])[0]:
            tree = tree.set(path[:1], tree_of(default.use, node.place))  # its option is set: name the part
        tree = tree.set(path, node, short=path[0] in PARTS)
        done.append(key)
    return tree


def as_typed(value: object) -> str:
    """Return an override's value as one would type it."""
    plain = value.plain() if isinstance(value, Node) else value
    return plain if isinstance(plain, str) else json.dumps(plain, default=str)


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


def resolve(tree: Node, registry: Registry) -> Recipe:
    """Validate a tree against the recipe's schema and each part's own; fill in every default."""
    return _Resolver(tree, registry).recipe()


@dataclass(frozen=True)
class Problem:
    """One mistake in a recipe."""

    place: Place
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {dotted(self.path)}: {self.message}"


@dataclass
class _Resolver:
    """Goes through a tree and collects every problem in it."""

    tree: Node
    registry: Registry
    problems: dict[Problem, None] = field(default_factory=dict)  # an ordered set

    def recipe(self) -> Recipe:
        written = self.tree.value
        assert isinstance(written, dict)  # whoever makes a tree sees to it
        values = {key: node.plain() for key, (_, node) in written.items() if key not in PARTS}
        if "trackers" in written and isinstance(trackers := written["trackers"][1].value, list):
            values["trackers"] = [self.part("tracker", node, ("trackers", i)) for i, node in enumerate(trackers)]
        for kind in PARTS:
            default = Recipe.model_fields[kind].default
            if kind in written or isinstance(default, PartSpec):
                node = written[kind][1] if kind in written else tree_of(default.written(), self.tree.place)
                values[kind] = self.part(kind, node, (kind,))
        try:
            recipe = Recipe.model_validate_json(json.dumps(values))
        except ValidationError as error:
            self.note(error, Recipe, ())
        if self.problems:
            raise RecipeError(_listed(self.problems))
        return recipe

    def part(self, kind: str, node: Node, path: tuple[str | int, ...]) -> dict[str, JsonValue]:
        """Validate a part, nested parts included; return it as written with defaults, or a stand-in."""
        stand_in: dict[str, JsonValue] = {"use": "?"}
        names = self.names(kind)
        entries = {"use": (node.place, node)} if isinstance(node.value, str) else node.value
        if not isinstance(entries, dict):
            given = f"{shown(node.plain())} given; a name or {{use: name, option: value}} is expected"
            self.problem(path, f"{given}; installed: {names}")
            return stand_in
        if "use" not in entries:
            self.problem(path, f"`use: name`, which says which {kind}, is missing; installed: {names}")
            return stand_in
        name = entries["use"][1].value
        if not isinstance(name, str):
            given = f"{shown(entries['use'][1].plain())} given; the name of a part is expected"
            self.problem((*path, "use"), f"{given}; installed: {names}")
            return stand_in
        try:
            part = self.registry.get(kind, name)
        except PluginError as error:
            self.problem((*path, "use"), str(error), path)
            return stand_in
        options = {key: child.plain() for key, (_, child) in entries.items() if key != "use"}
        for option, nested_kind in part.nested.items():
            if option in entries:
                options[option] = self.part(nested_kind, entries[option][1], (*path, option))
            elif option in part.defaults:
                default = tree_of(part.defaults[option], node.place)
                options[option] = self.part(nested_kind, default, (*path, option))
        try:
            return {"use": name, **part.plain(options)}
        except ValidationError as error:
            self.note(error, part.options, path)
            return stand_in

    def note(self, error: ValidationError, model: type[BaseModel], path: tuple[str | int, ...]) -> None:
        """Collect what pydantic found in the values at ``path``."""
        allowed = Allowed.by(model)
        for item in error.errors(include_url=False):
            kind, loc = item["type"], item["loc"]
            found, _, node = self.tree.find((*path, *loc))
            steps = found[len(path) :]
            if kind == "missing" and isinstance(loc[-1], str) and len(steps) == len(loc) - 1:
                here = allowed.at(loc)
                words = f"; expected: {here.words}" if here.words else ""
                if model is Recipe and loc[-1] in PARTS:
                    words = f"; installed: {self.names(loc[-1])}"
                self.problem((*path, *loc), f"required, but not given{here.meaning}{words}")
            elif kind == "extra_forbidden":
                known = allowed.at(steps[:-1]).names
                near = suggest(str(loc[-1]), known)
                self.problem((*path, *loc), f"unknown option; {near}allowed: {', '.join(known) or 'none'}")
            else:
                self.problem(found, finding(item, node.plain(), allowed.at(steps)))

    def names(self, kind: str) -> str:
        return ", ".join(part.name for part in self.registry.parts(kind)) or "none"

    def problem(
        self, path: tuple[str | int, ...], message: str, named: tuple[str | int, ...] | None = None
    ) -> None:
        """Add a problem at ``path``, called ``named``, once."""
        self.problems[Problem(self.tree.place_of(path), path if named is None else named, message)] = None


def _listed(problems: Iterable[Problem]) -> str:
    """List problems in the order in which they stand; overrides, which stand in no file, come first."""
    ordered = sorted(problems, key=lambda p: (p.place.line or 0, p.place.column or 0))
    lines = [str(problem) for problem in ordered[:MAX_PROBLEMS]]
    if more := len(ordered) - len(lines):
        lines.append(f"... and {more} more")
    return "\n".join(lines)
