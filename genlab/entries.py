"""The entry points of plugins: who they belong to, what they name. Metadata of others may be damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from genlab.errors import PluginError
from genlab.selection import one_spelling

GROUP = "genlab"


@dataclass(frozen=True)
class Damaged:
    """A distribution whose entry points cannot be read, which torch too asks for. folder: of its metadata."""

    folder: str
    reason: str
    remedy = "install that distribution anew, or remove the folder"

    def __str__(self) -> str:
        return f"{self.folder}: its entry_points.txt cannot be read ({self.reason}); {self.remedy}"


def entry_points() -> Sequence[metadata.EntryPoint]:
    """Return the entry points of all plugins, but those of distributions that are damaged."""
    try:
        return list(metadata.entry_points(group=GROUP))
    except Exception:  # one that cannot be read hides all of them
        first = {_name(dist): dist for dist in reversed(list(metadata.distributions())) if not _reason(dist)}
        return [entry_point for dist in first.values() for entry_point in dist.entry_points.select(group=GROUP)]


def damaged() -> Iterator[Damaged]:
    """Find the distributions whose entry points cannot be read."""
    for dist in metadata.distributions():
        if reason := _reason(dist):
            yield Damaged(str(getattr(dist, "_path", None) or dist.locate_file("")), reason)


def _reason(dist: metadata.Distribution) -> str:
    try:
        list(dist.entry_points)
    except Exception as error:  # whatever its readers raise for what is no text, or no list
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


def _name(dist: metadata.Distribution) -> str:
    try:
        return one_spelling(dist.metadata["Name"])
    except Exception:
        return str(dist.locate_file(""))


@dataclass(frozen=True)
class Packaged:
    """What the metadata of a distribution say of it."""

    distribution: str
    version: str
    summary: str


def packaged(entry_point: metadata.EntryPoint) -> Packaged:
    """Return the distribution that an entry point belongs to, as far as it is known."""
    try:
        fields = dict(entry_point.dist.metadata.items()) if entry_point.dist else {}  # type: ignore[attr-defined]
    except Exception:  # whatever its readers raise for what is no text
        fields = {}
    return Packaged(
        fields.get("Name") or module_of(entry_point) or entry_point.name,
        fields.get("Version") or "unknown",
        fields.get("Summary") or "",
    )


def module_of(entry_point: metadata.EntryPoint) -> str:
    """Return the module that an entry point names; empty if it names none."""
    module = entry_point.value.partition(":")[0].partition("[")[0].strip()
    return module if all(word.isidentifier() for word in module.split(".")) else ""


def imported(entry_point: metadata.EntryPoint) -> Any:
    """Import what an entry point names; raise ``PluginError`` if that is no module, or what it raises."""
    if not module_of(entry_point):
        raise PluginError(
            f"entry point '{entry_point.name} = {entry_point.value}' names no module; package or package.module "
            "is expected"
        )
    return entry_point.load()
