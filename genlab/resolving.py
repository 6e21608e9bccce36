"""A tree of values -> a validated ``Recipe``; every mistake is reported with its place, all of them at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, JsonValue, ValidationError

from genlab.errors import PluginError
from genlab.extending import KEY, check_is_mapping
from genlab.interpolation import read_written
from genlab.mistakes import Mistakes
from genlab.overrides import Overrides, apply_overrides, overrides_of
from genlab.recipe import DEFAULTS, PARTS, PartSpec, Recipe
from genlab.registry import Registry
from genlab.tree import Json, Mistake, Node, Place, merged, tree_of
from genlab.wording import LEAVE_OUT, Allowed, Steps, dotted, finding, shown, suggest


def read_resolved(path: Path, *, registry: Registry) -> Recipe:
    """Read a recipe that extends nothing, such as a run's ``resolved.yaml``."""
    tree = read_written(path)
    check_is_mapping(tree)
    return resolve(tree, registry)


def recipe_from(written: Mapping[str, Json], name: str, *, registry: Registry) -> Recipe:
    """Validate plain values, such as a stored recipe; ``name`` stands in messages."""
    return resolve(tree_of(dict(written), Place(name)), registry)


def overridden(recipe: Recipe, overrides: Overrides, *, registry: Registry) -> Recipe:
    """Return a recipe with some values changed, validated anew."""
    tree = tree_of(recipe.written(), Place(f"recipe {recipe.name}"))
    with Mistakes() as mistakes:
        return resolve(apply_overrides(tree, overrides_of(overrides), mistakes), registry, mistakes)


def resolve(tree: Node, registry: Registry, mistakes: Mistakes | None = None) -> Recipe:
    """Validate a tree against the recipe's schema and each part's own; fill in every default.

    mistakes: that were found on the way to the tree. Raises ``RecipeError`` that lists them and what is wrong with
    the tree, less what may come of a mistake already told.
    """
    return _Resolver(tree, registry, mistakes or Mistakes()).recipe()


@dataclass(frozen=True)
class _Resolver:
    """Goes through a tree and collects every mistake in it."""

    tree: Node
    registry: Registry
    mistakes: Mistakes

    def recipe(self) -> Recipe:
        written = self.tree.value
        assert isinstance(written, dict)  # whoever makes a tree sees to it
        plain = {key: entry for key, entry in written.items() if key not in PARTS}
        values = _kept(plain, Allowed.by(Recipe))
        if "trackers" in values:
            values["trackers"] = self.trackers(written["trackers"][1])
        for kind in PARTS:
            node = written[kind][1] if kind in written else None
            if kind in DEFAULTS:
                node = self.with_default(node, DEFAULTS[kind])
            if node is not None:
                values[kind] = self.part(kind, node, (kind,))
        try:
            recipe = Recipe.model_validate_json(json.dumps(values))
        except ValidationError as error:
            self.note(error, Recipe, ())
        self.mistakes.check()
        return recipe

    def with_default(self, node: Node | None, default: PartSpec) -> Node:
        """Return a section laid over the part that it means if it names none."""
        below = tree_of(default.written(), self.tree.place)
        if node is None or node.clears:
            return below
        options_alone = isinstance(node.value, dict) and "use" not in node.value and not node.unknown
        return merged(below, node) if options_alone else node

    def trackers(self, node: Node) -> list[Json]:
        """Validate the list of trackers; return it as ``part`` does each."""
        if isinstance(node.value, list):
            return [self.part("tracker", item, ("trackers", i)) for i, item in enumerate(node.value)]
        if not node.certain:
            return []
        expected = "a list, each a name or {use: name, option: value}, is expected"
        given = f"{shown(node.plain())} given; {expected}; installed: {self.names('tracker')}"
        self.problem(("trackers",), f"{given}{LEAVE_OUT if node.value is None else ''}")
        return []

    def part(self, kind: str, node: Node, path: Steps) -> dict[str, JsonValue]:
        """Validate a part, nested parts included; return it as written with defaults, or a stand-in."""
        stand_in: dict[str, JsonValue] = {"use": "?"}
        names = self.names(kind)
        entries = {"use": (node.place, node)} if isinstance(node.value, str) else node.value
        if not isinstance(entries, dict):
            given = f"{shown(node.plain())} given; a name or {{use: name, option: value}} is expected"
            hint = LEAVE_OUT if node.value is None and len(path) == 1 and kind in DEFAULTS else ""
            self.problem(path, f"{given}; installed: {names}{hint}")
            return stand_in
        if "use" not in entries and not self.tree.knows(path):
            return stand_in
        if "use" not in entries:
            self.problem(path, f"`use: name`, which says which {kind}, is missing; installed: {names}")
            return stand_in
        name = entries["use"][1].value
        if entries["use"][1].unknown:
            return stand_in
        if not isinstance(name, str):
            given = f"{shown(entries['use'][1].plain())} given; the name of a part is expected"
            self.problem((*path, "use"), f"{given}; installed: {names}")
            return stand_in
        try:
            part = self.registry.get(kind, name)
        except PluginError as error:
            self.problem((*path, "use"), str(error), path)
            return stand_in
        options = _kept({key: entry for key, entry in entries.items() if key != "use"}, Allowed.by(part.options))
        for option, nested_kind in part.nested.items():
            if option in options:
                options[option] = self.part(nested_kind, entries[option][1], (*path, option))
            elif option in part.defaults:
                default = tree_of(part.defaults[option], node.place)
                options[option] = self.part(nested_kind, default, (*path, option))
        for option, nested_kind in part.nested.items():
            if option not in options:
                expected = "a name or {use: name, option: value} is expected"
                self.missing((*path, option), f"; {expected}; installed: {self.names(nested_kind)}")
                options[option] = "?"
        try:
            return {"use": self.registry.written(part, name), **part.plain(options)}
        except ValidationError as error:
            self.note(error, part.options, path)
            return stand_in

    def note(self, error: ValidationError, model: type[BaseModel], path: Steps) -> None:
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
                self.missing((*path, *loc), f"{here.meaning}{words}")
            elif kind == "extra_forbidden":
                known = allowed.at(steps[:-1]).names
                known = [KEY, *known] if model is Recipe and len(loc) == 1 else known
                near = suggest(str(loc[-1]), known)
                if loc[-1] == "<<":
                    near = "there are no merge keys in YAML 1.2, but a recipe can extend another; "
                self.problem((*path, *loc), f"unknown option; {near}allowed: {', '.join(known) or 'none'}")
            elif node.certain:
                self.problem(found, finding(item, node.plain(), allowed.at(steps)))

    def names(self, kind: str) -> str:
        return ", ".join(self.registry.names(kind)) or "none"

    def problem(self, path: Steps, message: str, named: Steps | None = None) -> None:
        """Add a mistake at ``path``, called ``named``."""
        self.mistakes.add(
            Mistake(self.tree.place_of(path), f"{dotted(path if named is None else named)}: {message}")
        )

    def missing(self, path: Steps, message: str) -> None:
        """Add that what is required at ``path`` is not there, if that is certain; no line is to blame for it."""
        if self.tree.knows(path):
            place = replace(self.tree.place_of(path), text="")
            self.mistakes.add(Mistake(place, f"{dotted(path)}: required, but not given{message}"))


def _kept(entries: Mapping[str, tuple[Place, Node]], allowed: Allowed) -> dict[str, Json]:
    """Return the values of a mapping, without the nulls that take an inherited value away where null is none."""
    values: dict[str, Json] = {}
    for key, (_, node) in entries.items():
        here = allowed.at((key,))
        if node.clears and not here.nullable:
            continue
        values[key] = _kept(node.value, here) if isinstance(node.value, dict) else node.plain()
    return values
