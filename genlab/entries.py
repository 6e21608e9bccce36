"""The entry points of plugins: who they belong to, what they name. Metadata of others may be damaged."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

from genlab.errors import PluginError


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
