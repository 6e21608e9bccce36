"""The loader, which keeps a broken plugin from breaking anything else.

A plugin is a module named in the entry-point group ``genlab`` of an installed distribution::

    [project.entry-points.genlab]
    tiny = "genlab_tiny"

Each entry point is loaded on its own. One that fails is remembered with its traceback and leaves nothing
behind; ``genlab plugins doctor`` shows it. A file that the user names on the command line is loaded too, and must
work.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib import metadata
from pathlib import Path

import genlab
from genlab.api import check
from genlab.entries import entry_points, imported, packaged
from genlab.errors import PluginError
from genlab.hooks import hooks_of
from genlab.registry import OWN, Registry
from genlab.selection import ALLOWED, STRICT, Selection, one_spelling, selected
from genlab.single import PluginFile, Source, place_of, read_file
from genlab.steady import unchanged
from genlab.wording import suggest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """An entry point that could not be loaded."""

    entry_point: str
    distribution: str
    cause: str
    traceback: str


@dataclass(frozen=True)
class LeftOut:
    """An installed plugin that was not to be loaded, and what says so."""

    distribution: str
    reason: str


@dataclass(frozen=True)
class Plugins:
    """Everything that the loaded plugins bring, and which were not loaded."""

    registry: Registry
    recipe_folders: tuple[tuple[str, Path], ...]
    model_folders: tuple[tuple[str, Path], ...]
    distributions: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...]
    left_out: tuple[LeftOut, ...] = ()
    files: tuple[PluginFile, ...] = ()


@dataclass
class _Loaded:
    """What was loaded so far."""

    registry: Registry = field(default_factory=Registry)
    recipes: list[tuple[str, Path]] = field(default_factory=list)
    models: list[tuple[str, Path]] = field(default_factory=list)
    distributions: dict[str, str] = field(default_factory=dict)

    def add(self, distribution: str, version: str, name: str, load: Callable[[], object]) -> bool:
        """Load one plugin: all of it, or, if anything is wrong, nothing. Return whether it adds anything."""
        quiet = redirect_stdout(sys.stderr), redirect_stderr(sys.stderr)  # put back if the plugin changes them
        with self.registry.registering(distribution) as register, unchanged(), quiet[0], quiet[1]:
            module = load()
            check(module, distribution, genlab.__version__)
            hook = hooks_of(module, name)
            hook.genlab_register(register=register)
            recipes = [(distribution, _absolute(folder, "genlab_recipes")) for folder in hook.genlab_recipes()]
            models = [(distribution, _absolute(folder, "genlab_models")) for folder in hook.genlab_models()]
        self.recipes += recipes
        self.models += models
        self.distributions[distribution] = version
        parts = any(part.distribution == distribution for part in self.registry.parts())
        return bool(parts or recipes or models or hook.genlab_commands.get_hookimpls())


def _absolute(folder: str | Path, hook: str) -> Path:
    """Return a plugin's folder; raise ``PluginError`` for one that would depend on where the user is."""
    path = Path(folder)
    if not path.is_absolute():
        raise PluginError(f"{hook} returned {str(path)!r}, a relative path; begin it with Path(__file__).parent")
    return path


def installed() -> Plugins:
    """Load the plugins that this process is to load, once.

    Raises ``PluginError`` for one that the user named and that is absent or broken; for any that is broken if
    ``GENLAB_STRICT_PLUGINS=1``.
    """
    plugins = examined()
    if selected().strict and plugins.failures:
        causes = "".join(f"\n  {f.distribution}, entry point {f.entry_point}: {f.cause}" for f in plugins.failures)
        raise PluginError(
            f"{len(plugins.failures)} plugin{'s' if len(plugins.failures) > 1 else ''} could not be loaded, and "
            f"{STRICT}=1 makes that an error; see `genlab plugins doctor`{causes}"
        )
    return plugins


def examined() -> Plugins:
    """Do what ``installed`` does, whatever is broken."""
    return _loaded(replace(selected(), strict=False))


@cache
def _loaded(selection: Selection) -> Plugins:
    return load(entry_points(), selection)


def load(entry_points: Iterable[metadata.EntryPoint], selection: Selection | None = None) -> Plugins:
    """Load the given entry points, each isolated from the others, and the files that were named."""
    selection = selection or Selection()
    found = sorted(map(_owned, entry_points), key=_own_first)
    _check_allowed(selection, found)
    loaded = _Loaded()
    failures: list[Failure] = []
    left_out: dict[LeftOut, None] = {}
    for dist, version, entry_point in found:
        if dist != OWN and not selection.allows(dist, entry_point.name):
            left_out[LeftOut(dist, selection.reason)] = None
            continue
        try:
            loaded.add(dist, version, entry_point.name, partial(imported, entry_point))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a plugin, or a panic in its Rust, must not end genlab
            cause = cause_of(error)
            failures.append(Failure(entry_point.name, dist, cause, traceback.format_exc()))
            loaded.registry.remember_failure(dist, cause)
    for absent in left_out:
        loaded.registry.remember_left_out(absent.distribution, absent.reason)
    files = [_add_file(loaded, read_file(path)) for path in selection.files]
    return Plugins(
        loaded.registry,
        tuple(loaded.recipes),
        tuple(loaded.models),
        tuple(loaded.distributions.items()),
        tuple(failures),
        tuple(left_out),
        tuple(files),
    )


def _add_file(loaded: _Loaded, source: Source) -> PluginFile:
    """Load a single-file plugin. The user asked for this one, so what is wrong with it is said at once."""
    file = source.file
    if file.distribution in loaded.distributions:
        raise PluginError(
            f"--plugin {file.path}: another plugin is called {file.distribution} too; rename the file"
        )
    try:
        adds = loaded.add(file.distribution, file.version, file.distribution, source.module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        where = place_of(error, file.path)
        raise PluginError(f"--plugin {where}: {cause_of(error)}") from error
    if not adds:
        log.warning("warning: --plugin %s: it adds nothing: no part, recipe, model or command", file.path)
    parts = loaded.registry.parts()
    own = {(part.kind, part.name) for part in parts if part.distribution == OWN}
    for part in parts:
        if part.distribution == file.distribution and (part.kind, part.name) in own:
            said = f"{part.kind} {part.name!r} means genlab's own; write {part.qualified} for that of the file"
            log.warning("note: --plugin %s: %s", file.path, said)
    return file


_Owned = tuple[str, str, metadata.EntryPoint]


def _owned(entry_point: metadata.EntryPoint) -> _Owned:
    dist = packaged(entry_point)
    return dist.distribution, dist.version, entry_point


def _own_first(owned: _Owned) -> tuple[bool, str, str]:
    dist, _, entry_point = owned
    return dist != OWN, dist, entry_point.name


def _check_allowed(selection: Selection, found: Sequence[_Owned]) -> None:
    """Raise ``PluginError`` if the allow-list names what is not installed."""
    known = dict.fromkeys(name for dist, _, entry_point in found for name in (dist, entry_point.name))
    spelled = set(map(one_spelling, known))
    for name in selection.allowed or ():
        if one_spelling(name) not in spelled:
            names = ", ".join(dict.fromkeys(dist for dist, _, _ in found))
            raise PluginError(
                f"{ALLOWED}={','.join(selection.allowed or ())}: there is no plugin {name!r}; "
                f"{suggest(name, list(known))}installed: {names}"
            )


def cause_of(error: BaseException) -> str:
    """Say on one line what an exception says."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    text = str(error) if isinstance(error, PluginError) else traceback.format_exception_only(error)[-1]
    return " ".join(text.split())
