"""Hook specifications, and the loader that keeps a broken plugin from breaking anything else.

A plugin is a module named in the entry-point group ``genlab`` of an installed distribution::

    [project.entry-points.genlab]
    tiny = "genlab_tiny"

Each entry point is loaded on its own. One that fails is remembered with its traceback and leaves nothing
behind; ``genlab plugins doctor`` shows it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Protocol

import pluggy

from genlab.errors import PluginError
from genlab.registry import Registry

GROUP = "genlab"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Register(Protocol):
    """What ``genlab_register`` is given: ``register(name, cls)``; the kind is the interface of ``cls``."""

    def __call__(self, name: str, cls: type) -> None:
        """Register a part under a name that recipes use."""


class Hooks:
    """The hooks a plugin may implement; none is called inside a training step."""

    @hookspec
    def genlab_register(self, register: Register) -> None:
        """Register parts: call ``register(name, cls)`` for each."""

    @hookspec
    def genlab_recipes(self) -> Path:  # type: ignore[empty-body]
        """Return a folder of recipes (``*.yaml``) that the plugin ships."""

    @hookspec
    def genlab_models(self) -> Path:  # type: ignore[empty-body]
        """Return a folder of trained models that the plugin ships, one bundle folder per model."""


@dataclass(frozen=True)
class Failure:
    """An entry point that could not be loaded."""

    entry_point: str
    distribution: str
    cause: str
    traceback: str


@dataclass(frozen=True)
class Plugins:
    """Everything that the installed plugins bring."""

    registry: Registry
    recipe_folders: tuple[tuple[str, Path], ...]
    model_folders: tuple[tuple[str, Path], ...]
    distributions: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...]


@cache
def installed() -> Plugins:
    """Load every installed plugin, once per process."""
    return load(metadata.entry_points(group=GROUP))


def load(entry_points: Iterable[metadata.EntryPoint]) -> Plugins:
    """Load the given entry points, each isolated from the others: genlab's own first, then by name."""
    registry = Registry()
    recipes: list[tuple[str, Path]] = []
    models: list[tuple[str, Path]] = []
    distributions: dict[str, str] = {}
    failures: list[Failure] = []
    for dist, version, entry_point in sorted(map(_owned, entry_points), key=_own_first):
        try:
            with registry.transaction():
                hook = _hooks_of(entry_point.load(), entry_point.name)
                hook.genlab_register(register=registry.registrar(dist))
                own_recipes = [Path(folder) for folder in hook.genlab_recipes()]
                own_models = [Path(folder) for folder in hook.genlab_models()]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a plugin, or a panic in its Rust, must not end genlab
            cause = _cause(error)
            failures.append(Failure(entry_point.name, dist, cause, traceback.format_exc()))
            registry.remember_failure(dist, cause)
            continue
        recipes += [(dist, folder) for folder in own_recipes]
        models += [(dist, folder) for folder in own_models]
        distributions[dist] = version
    return Plugins(registry, tuple(recipes), tuple(models), tuple(distributions.items()), tuple(failures))


def _owned(entry_point: metadata.EntryPoint) -> tuple[str, str, metadata.EntryPoint]:
    """Return the name and version of the distribution an entry point belongs to, as far as they are known."""
    fields = dict(entry_point.dist.metadata.items()) if entry_point.dist else {}  # type: ignore[attr-defined]
    return fields.get("Name") or entry_point.value, fields.get("Version") or "unknown", entry_point


def _own_first(owned: tuple[str, str, metadata.EntryPoint]) -> tuple[bool, str, str]:
    # A plugin that takes the name of a built-in part must lose to it, whatever the plugin is called.
    dist, _, entry_point = owned
    return dist != GROUP, dist, entry_point.name


def _cause(error: BaseException) -> str:
    """Say on one line what an exception says."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    text = str(error) if isinstance(error, PluginError) else traceback.format_exception_only(error)[-1]
    return " ".join(text.split())


def _hooks_of(module: object, name: str) -> pluggy.HookRelay:
    """Return the hooks of one plugin, in a manager of its own so that nothing can leak into the others."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    manager.register(module, name)
    manager.check_pending()
    if not manager.get_hookcallers(module):
        raise PluginError(
            f"entry point {name!r} implements no hook; decorate a function named genlab_register with "
            "@genlab.hookimpl"
        )
    return manager.hook
