"""The words that completion offers: keys of recipes, parts and their options, models, plots, devices.

Collecting them loads torch and every plugin, which takes seconds, so they are kept in the state folder and read
from there, without torch, until genlab or the set of plugins changes, or a day has passed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import genlab
from genlab import folders
from genlab.entries import packaged
from genlab.selection import selected

FILE = "completion.json"
KEPT = 24 * 3600  # seconds, should a plugin under development have changed without a new version


@dataclass(frozen=True)
class Vocabulary:
    """What there is to complete. Defaults are written as one would type them.

    key: what it was collected from. fields: ``{"train.epochs": "20"}``, keys that name no part.
    parts: ``{"encoder": {"mlp": {"hidden": "[256]"}}}``. defaults: the part that a recipe gets without naming one.
    """

    key: str
    fields: Mapping[str, str]
    parts: Mapping[str, Mapping[str, Mapping[str, str]]]
    defaults: Mapping[str, str]
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
            fields=read["fields"],
            parts=read["parts"],
            defaults=read["defaults"],
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
    plugins = {packaged(entry_point) for entry_point in metadata.entry_points(group="genlab")}
    found = sorted(f"{plugin.distribution} {plugin.version}" for plugin in plugins)
    return f"genlab {genlab.__version__}: {', '.join(found)}; {selected()}"


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
    from genlab.recipe import PARTS, PartSpec, Recipe
    from genlab.store import shipped_models

    plugins = installed()
    parts: dict[str, dict[str, dict[str, str]]] = {}
    for part in plugins.registry.parts():
        options = {name: _typed(part.defaults.get(name)) for name in part.option_names}
        parts.setdefault(part.kind, {})[plugins.registry.use_of(part)] = options
    defaults = {kind: Recipe.model_fields[kind].default for kind in PARTS}
    skipped = {*PARTS, "trackers"}
    return Vocabulary(
        key=_key(),
        fields=_fields(Recipe, "", skipped),
        parts=parts,
        defaults={kind: spec.use for kind, spec in defaults.items() if isinstance(spec, PartSpec)},
        recipes=tuple(recipe.name for recipe in installed_recipes()),
        models=tuple(sorted({name for name, _, _ in shipped_models()})),
        plots=("all", *PLOTS),
        devices=tuple(dict.fromkeys(["auto", *(str(device.on) for device in available()), "cpu"])),
    )


def _fields(model: type[Any], prefix: str, skipped: set[str]) -> dict[str, str]:
    """Return the keys of a pydantic model and of those inside it, with their defaults."""
    from typing import get_args

    from pydantic import BaseModel

    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if name in skipped:
            continue
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        models = [t for t in inner if issubclass(t, BaseModel)]
        if models:
            found |= _fields(models[0], f"{prefix}{name}.", set())
        else:
            found[f"{prefix}{name}"] = "" if field.is_required() else _typed(field.default)
    return found


def _typed(value: object) -> str:
    """Return a value as one would type it; empty where there is none."""
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str).replace(" ", "")
