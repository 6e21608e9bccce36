"""The words that completion offers: keys of recipes, parts and their options, models, plots, devices.

Collecting them loads torch and every plugin, which takes seconds, so they are kept in the state folder and read
from there, without torch, until genlab or the set of plugins changes, or a day has passed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import genlab
from genlab import folders
from genlab.entries import entry_points, packaged
from genlab.selection import selected

if TYPE_CHECKING:
    from genlab.registry import Part, Registry
    from genlab.wording import Allowed

FILE = "completion.json"
KEPT = 24 * 3600  # seconds, should a plugin under development have changed without a new version


@dataclass(frozen=True)
class Key:
    """A key that a recipe may have; values are as one would type them.

    default: empty where there is none. members: all the values that there are, where they can be listed.
    """

    default: str = ""
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vocabulary:
    """What there is to complete.

    key: what it was collected from. fields: ``{"train.epochs": Key("20"), "encoder": ...}``, all but the options
    of parts. parts: ``{"encoder": {"mlp": {"hidden": Key("[256]")}}}``, of every kind.
    """

    key: str
    fields: Mapping[str, Key]
    parts: Mapping[str, Mapping[str, Mapping[str, Key]]]
    recipes: tuple[str, ...]
    models: tuple[str, ...]
    plots: tuple[str, ...]
    devices: tuple[str, ...]


def kept() -> Vocabulary | None:
    """Return the words that were collected before, unless they are of another installation or too old."""
    path = _path()
    try:
        if time.time() - path.stat().st_mtime > KEPT:
            return None
        read: dict[str, Any] = json.loads(path.read_bytes())
        vocabulary = Vocabulary(
            key=read["key"],
            fields=_keys(read["fields"]),
            parts={
                kind: {name: _keys(options) for name, options in parts.items()}
                for kind, parts in read["parts"].items()
            },
            recipes=tuple(read["recipes"]),
            models=tuple(read["models"]),
            plots=tuple(read["plots"]),
            devices=tuple(read["devices"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return vocabulary if vocabulary.key == _key() else None


def collected() -> Vocabulary:
    """Return the words, those kept if they are good, and keep them."""
    vocabulary = kept()
    if vocabulary is None:
        vocabulary = _collect()
        _keep(vocabulary)
    return vocabulary


def _path() -> Path:
    return folders.state_root() / FILE


def _key() -> str:
    plugins = {packaged(entry_point) for entry_point in entry_points()}
    found = sorted(f"{plugin.distribution} {plugin.version}" for plugin in plugins)
    return f"genlab {genlab.__version__}: {', '.join(found)}; {selected()}"


def _keys(read: Mapping[str, Any]) -> dict[str, Key]:
    return {name: Key(key["default"], tuple(key["members"])) for name, key in read.items()}


def _keep(vocabulary: Vocabulary) -> None:
    from genlab.errors import RunError
    from genlab.files import write_json

    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        write_json(_path(), asdict(vocabulary))
    except (OSError, RunError):
        return  # a read-only home: completion is slow there


def _collect() -> Vocabulary:
    from genlab.device import available
    from genlab.opening import installed_recipes
    from genlab.plots import PLOTS
    from genlab.plugins import installed
    from genlab.recipe import Recipe
    from genlab.store import shipped_models

    registry = installed().registry
    parts: dict[str, dict[str, dict[str, Key]]] = {}
    for part in registry.parts():
        parts.setdefault(part.kind, {})[registry.use_of(part)] = _options(part, registry)
    return Vocabulary(
        key=_key(),
        fields=_fields(Recipe, "", registry),
        parts=parts,
        recipes=tuple(recipe.name for recipe in installed_recipes()),
        models=tuple(sorted({name for name, _, _ in shipped_models()})),
        plots=("all", *PLOTS),
        devices=tuple(dict.fromkeys(["auto", *(str(device.on) for device in available()), "cpu"])),
    )


def _options(part: Part, registry: Registry) -> dict[str, Key]:
    """Return the options of a part; one that is a part itself has the names of its kind."""
    from genlab.wording import Allowed

    allowed = Allowed.by(part.options)
    return {
        name: Key(
            _typed(part.defaults.get(name)),
            tuple(registry.names(part.nested[name])) if name in part.nested else _members(allowed, name),
        )
        for name in part.option_names
    }


def _fields(model: type[Any], prefix: str, registry: Registry) -> dict[str, Key]:
    """Return the keys of a pydantic model and of those inside it."""
    from typing import get_args

    from pydantic import BaseModel

    from genlab.recipe import PartSpec
    from genlab.wording import Allowed

    found: dict[str, Key] = {}
    allowed = Allowed.by(model)
    for name, field in model.model_fields.items():
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        models = [t for t in inner if issubclass(t, BaseModel)]
        default = None if field.is_required() else field.default
        if PartSpec in models:
            found[f"{prefix}{name}"] = Key(default.use if default else "", tuple(registry.names(name)))
        elif models:
            found |= _fields(models[0], f"{prefix}{name}.", registry)
        else:
            found[f"{prefix}{name}"] = Key(_typed(default), _members(allowed, name))
    return found


def _members(allowed: Allowed, name: str) -> tuple[str, ...]:
    from genlab.writing import as_yaml

    return tuple(map(as_yaml, allowed.at((name,)).members))


def _typed(value: object) -> str:
    """Return a value as one would type it; empty where there is none."""
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace(" ", "")
