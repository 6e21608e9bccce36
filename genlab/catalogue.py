"""The plugins that are installed, from their metadata and texts: none of them is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from genlab.entries import entry_points, module_of, packaged
from genlab.glance import Glance, glance
from genlab.hooks import PROJECT, names_of
from genlab.selection import Selection, selected

HOOKS = tuple(names_of())
"""Every hook that a plugin may implement."""

_BROUGHT = {"genlab_recipes": "recipes", "genlab_models": "models"}


@dataclass(frozen=True)
class Entry:
    """An installed plugin.

    entry_points: ``name = module``. adds: ``encoder:conv``, ``recipes``, ``models``, ``command:hello``. whole:
    that is all of it. left_out: what says that it is not to be loaded, if anything does.
    """

    distribution: str
    version: str
    summary: str
    entry_points: tuple[str, ...]
    adds: tuple[str, ...]
    whole: bool
    left_out: str = ""


def catalogue() -> list[Entry]:
    """Return the installed plugins and the files that were named: genlab's own parts first, then by name."""
    selection = selected()
    found: dict[str, Entry] = {}
    for entry_point in entry_points():
        entry = _entry(entry_point, selection)
        before = found.get(entry.distribution)
        found[entry.distribution] = entry if before is None else _both(before, entry)
    files = [
        _described(path.name, "one file", str(path), (f"{path.name} = {path}",), glance(path, HOOKS))
        for path in selection.files
    ]
    return sorted([*found.values(), *files], key=lambda entry: (entry.distribution != PROJECT, entry.distribution))


def recipe_files() -> Iterator[Path]:
    """Yield the recipes that plugins ship, as far as their texts say where those lie."""
    selection = selected()
    for entry_point in metadata.entry_points(group=PROJECT):
        distribution = packaged(entry_point).distribution
        if distribution == PROJECT or selection.allows(distribution, entry_point.name):
            folder = glance(module_of(entry_point), ("genlab_recipes",)).recipes
            yield from folder.glob("*.yaml") if folder else ()


def _entry(entry_point: metadata.EntryPoint, selection: Selection) -> Entry:
    dist = packaged(entry_point)
    points = (f"{entry_point.name} = {entry_point.value}",)
    seen = glance(module_of(entry_point), HOOKS)
    entry = _described(dist.distribution, dist.version, dist.summary, points, seen)
    distribution = dist.distribution
    if distribution == PROJECT or selection.allows(distribution, entry_point.name):
        return entry
    return replace(entry, left_out=selection.reason)


def _described(distribution: str, version: str, summary: str, points: tuple[str, ...], seen: Glance) -> Entry:
    brought = [word for hook, word in _BROUGHT.items() if hook in seen.hooks]
    commands = [f"command:{command.name}" for command in seen.commands]
    adds = (*seen.parts, *brought, *commands)
    return Entry(distribution, version, summary, points, adds, seen.readable and seen.whole)


def _both(one: Entry, other: Entry) -> Entry:
    """Put two entry points of one distribution together."""
    return replace(
        one,
        entry_points=one.entry_points + other.entry_points,
        adds=tuple(dict.fromkeys(one.adds + other.adds)),
        whole=one.whole and other.whole,
        left_out=one.left_out and other.left_out,
    )
