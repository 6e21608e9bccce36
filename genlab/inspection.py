"""Everything about one plugin: what it brings, with the options of its parts; and names that several bring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from genlab.catalogue import Entry, catalogue
from genlab.docstrings import option_meanings
from genlab.errors import PluginError
from genlab.plugins import Failure, Plugins
from genlab.registry import KINDS, OWN, Part, Registry
from genlab.selection import one_spelling
from genlab.wording import Allowed, suggest


@dataclass(frozen=True)
class Option:
    """An option of a part. default: as a recipe has it, None if it has none; required: a recipe must give it."""

    name: str
    allowed: str
    default: JsonValue
    required: bool
    meaning: str


@dataclass(frozen=True)
class Brought:
    """A part that a plugin brings. use: what a recipe writes. schema: the JSON Schema of its options."""

    kind: str
    use: str
    cls: str
    summary: str
    options: tuple[Option, ...]
    schema: dict[str, JsonValue]


@dataclass(frozen=True)
class Inspected:
    """Everything about a plugin. recipes, models: the names of those that it ships."""

    entry: Entry
    parts: tuple[Brought, ...]
    recipes: tuple[str, ...]
    models: tuple[str, ...]
    failures: tuple[Failure, ...]


def inspect(name: str, plugins: Plugins) -> Inspected:
    """Describe a plugin by the name of its distribution or of one of its entry points, spelled as pip takes it.

    Raises ``PluginError`` if there is none of that name.
    """
    entry = _find(name)
    registry, distribution = plugins.registry, entry.distribution
    parts = [_brought(part, registry) for part in registry.parts() if part.distribution == distribution]
    return Inspected(
        entry,
        tuple(parts),
        tuple(path.stem for folder in _of(plugins.recipe_folders, distribution) for path in _yaml(folder)),
        tuple(path.name for folder in _of(plugins.model_folders, distribution) for path in _folders(folder)),
        tuple(failure for failure in plugins.failures if failure.distribution == distribution),
    )


@dataclass(frozen=True)
class Clash:
    """A name that several distributions have for a part, ``"recipe"``, ``"model"`` or ``"command"``.

    hidden: the bare name means genlab's own.
    """

    kind: str
    name: str
    distributions: tuple[str, ...]
    hidden: bool

    def __str__(self) -> str:
        others = [name for name in self.distributions if name != OWN]
        begin, between = {"recipe": ("", "/"), "model": ("", "/"), "command": ("genlab ", ":")}.get(
            self.kind, ("", ":")
        )
        choices = " or ".join(f"{begin}{name}{between}{self.name}" for name in others)
        write = "a recipe writes" if self.kind in KINDS else "write"
        if self.hidden:
            return f"{self.kind} {self.name!r} is genlab's own; write {choices} for that of {', '.join(others)}"
        return f"{self.kind} {self.name!r} is brought by {', '.join(others)}; {write} {choices}"


def clashes(registry: Registry) -> list[Clash]:
    """Return the names that parts of several distributions have."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for part in registry.parts():
        owners[part.kind, part.name].append(part.distribution)
    return [
        Clash(kind, name, tuple(found), OWN in found) for (kind, name), found in owners.items() if len(found) > 1
    ]


def missing_folders(plugins: Plugins) -> list[str]:
    """Say which folders that plugins say they ship are not there, as after a build that left them out."""
    said = {"recipes": plugins.recipe_folders, "models": plugins.model_folders}
    return [
        f"{distribution} says that it ships {what}, and there is no folder {folder}"
        for what, folders in said.items()
        for distribution, folder in folders
        if not folder.is_dir()
    ]


def _find(name: str) -> Entry:
    entries = catalogue()
    for entry in entries:
        points = [point.partition(" = ")[0] for point in entry.entry_points]
        if one_spelling(name) in map(one_spelling, (entry.distribution, *points)):
            return entry
    known = [entry.distribution for entry in entries]
    raise PluginError(f"no plugin {name!r}; {suggest(name, known)}installed: {', '.join(known)}")


def _brought(part: Part, registry: Registry) -> Brought:
    allowed, meanings = Allowed.by(part.options), option_meanings(part.cls, part.option_names)
    plain = part.written_defaults()
    options = []
    for name in part.option_names:
        here = allowed.at((name,))
        nested = part.nested.get(name)
        options.append(
            Option(
                name,
                f"{nested}: a name or {{use: name, ...}}" if nested else here.words or "anything",
                plain.get(name),
                name in part.required,
                here.schema.get("description") or meanings.get(name, ""),
            )
        )
    cls = f"{part.cls.__module__}.{part.cls.__qualname__}"
    return Brought(part.kind, registry.use_of(part), cls, part.summary, tuple(options), allowed.root)


def _of(folders: tuple[tuple[str, Path], ...], distribution: str) -> Iterator[Path]:
    return (folder for owner, folder in folders if owner == distribution)


def _yaml(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())
