"""The hooks that a plugin may implement. None is called inside a training step.

A hook's arguments never change; what it is given more goes into the objects that it is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pluggy

from genlab.api import Version, declared
from genlab.errors import PluginError

if TYPE_CHECKING:
    import typer

PROJECT = "genlab"

F = TypeVar("F", bound=Callable[..., Any])

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """What ``genlab_register`` is given: ``register(name, cls)``; the kind is the interface of ``cls``."""

    def __call__(self, name: str, cls: type) -> None:
        """Register a part under a name that recipes use."""


def since(version: str) -> Callable[[F], F]:
    """Say which version of the API a hook came with."""

    def mark(hook: F) -> F:
        hook.genlab_since = Version.of(version)  # type: ignore[attr-defined]
        return hook

    return mark


class Hooks:
    """The hooks a plugin may implement, each with the version of the API that it came with."""

    @hookspec
    @since("1.0")
    def genlab_register(self, register: Register) -> None:
        """Register parts: call ``register(name, cls)`` for each."""

    @hookspec
    @since("1.0")
    def genlab_recipes(self) -> Path:  # type: ignore[empty-body]
        """Return a folder of recipes (``*.yaml``) that the plugin ships."""

    @hookspec
    @since("1.0")
    def genlab_models(self) -> Path:  # type: ignore[empty-body]
        """Return a folder of trained models that the plugin ships, one bundle folder per model."""

    @hookspec
    @since("1.0")
    def genlab_commands(self, app: typer.Typer) -> None:
        """Add commands to ``genlab``: decorate functions with ``@app.command("name")``.

        Called when one of them is run, or looked for. ``genlab --help`` reads their names and the first lines of
        their docstrings from the plugin's text, without importing it.
        """


def since_of(hook: str) -> Version:
    """Return the version of the API that a hook came with."""
    version: Version = getattr(Hooks, hook).genlab_since
    return version


def names_of(specifications: type = Hooks) -> list[str]:
    """Return the names of the hooks that there are."""
    owners = reversed(specifications.__mro__)
    return [name for owner in owners for name in vars(owner) if name.startswith(f"{PROJECT}_")]


def hooks_of(module: object, name: str, specifications: type = Hooks) -> pluggy.HookRelay:
    """Return the hooks of one plugin, in a manager of its own so that nothing can leak into the others.

    Raises ``PluginError`` if it implements none, one that there is not, one that asks for more than it is given,
    or one that is newer than the API that it says it needs.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(specifications)
    _check_implementations(manager, module, specifications)
    manager.register(module, name)
    callers = manager.get_hookcallers(module)
    if not callers:
        raise PluginError("it implements no hook; decorate a function named genlab_register with @genlab.hookimpl")
    needed = declared(module)
    for caller in callers:
        came: Version = getattr(specifications, caller.name).genlab_since
        if came > needed:
            raise PluginError(
                f"it implements {caller.name}, which came with API {came}, but says that API {needed} is enough; "
                f'write GENLAB_API = "{came}" in it'
            )
    return manager.hook


def _check_implementations(manager: pluggy.PluginManager, module: object, specifications: type) -> None:
    """Say of a hook that pluggy would refuse, in genlab's words, what is wrong with it."""
    from genlab.wording import suggest

    known = names_of(specifications)
    for name in dir(module):
        if (options := manager.parse_hookimpl_opts(module, name)) is None:
            continue
        hook = options.get("specname") or name
        if hook not in known:
            raise PluginError(f"unknown hook {hook!r}; {suggest(hook, known)}there are: {', '.join(known)}")
        given, wanted = _wanted(getattr(specifications, hook)), _wanted(getattr(module, name))
        if unknown := [argument for argument in wanted if argument not in given]:
            raise PluginError(
                f"hook {hook!r} asks for {', '.join(unknown)}; it is given {', '.join(given) or 'nothing'}"
            )


def _wanted(hook: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(hook).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [p.name for p in positional if p.default is p.empty and p.name != "self"]
