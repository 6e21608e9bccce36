"""Commands that plugins add to ``genlab``.

Their names and what they do are read from the plugins' texts, so that ``genlab --help`` is there at once; a plugin
is imported when one of its commands is run. genlab's own commands come first, and nothing that a plugin does can
hide or break them.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from genlab.cli.streams import UNWRITABLE
from genlab.errors import GenlabError, PluginError
from genlab.glance import Glance, glance
from genlab.selection import Selection, selected

if TYPE_CHECKING:
    from pathlib import Path

    from genlab.inspection import Clash

HOOK = "genlab_commands"
UsageError: type[Any] = typer.BadParameter.__bases__[0]  # which typer does not export
CommandLineError: type[Any] = typer.BadParameter.__mro__[2]  # nor this, what is said to whoever types


@dataclass(frozen=True)
class Source:
    """An installed plugin, or a file, that may add commands.

    commands: those that its text names, with their help. whole: there are no others.
    """

    distribution: str
    commands: dict[str, str]
    whole: bool
    load: Callable[[], Any]

    def group(self) -> TyperGroup:
        """Import the plugin and have it add its commands; raise ``PluginError`` if it fails."""
        try:
            return self.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a plugin must not look like genlab's
            from genlab.plugins import cause_of

            raise PluginError(
                f"plugin {self.distribution} could not add its commands: {cause_of(error)}; "
                "see `genlab plugins doctor`"
            ) from error


class Commands(TyperGroup):
    """genlab's commands, and after them those of plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in _names() if name not in own)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is meant; plugins' commands too are offered to who mistypes one."""
        try:
            return super().resolve_command(ctx, args)
        except UsageError as error:
            if near := get_close_matches(args[0], self.list_commands(ctx), n=1) if args else []:
                said = error.message.partition(". Did you mean")[0].rstrip(".")
                error.message = f"{said}. Did you mean {near[0]!r}?"
            raise

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, or by ``distribution:name``."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        found = [source for source in _sources() if cmd_name in source.commands]
        if not found and ":" in cmd_name:
            distribution, _, name = cmd_name.rpartition(":")
            found = [s for s in _sources() if s.distribution == distribution]
            return _Added(cmd_name, name, found) if found else None
        if not found:  # perhaps one that the texts do not name
            found = [source for source in _sources() if not source.whole and _has(source, cmd_name)]
        return _Added(cmd_name, cmd_name, found) if found else None


class _Added(TyperCommand):
    """Stands for a plugin's command until it is run."""

    def __init__(self, shown: str, name: str, sources: list[Source]) -> None:
        said = sources[0].commands.get(name, "") if len(sources) == 1 else "Several plugins have this command."
        super().__init__(shown, help=said, rich_markup_mode=None)
        self.real, self.sources = name, sources

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        if len(self.sources) > 1:
            owners = [source.distribution for source in self.sources]
            choices = " or ".join(f"genlab {owner}:{self.real}" for owner in owners)
            raise PluginError(f"command {self.real!r} is brought by {', '.join(owners)}; say {choices}")
        (source,) = self.sources
        commands = source.group().commands
        if self.real not in commands:
            from genlab.wording import suggest

            known = list(commands)
            raise PluginError(
                f"plugin {source.distribution} has no command {self.real!r}; {suggest(self.real, known)}"
                f"it has {', '.join(known) or 'none'}"
            )
        found = commands[self.real]
        self.run = _guarded(source.distribution, self.real, found.invoke)
        begin = _guarded(source.distribution, self.real, found.make_context)
        context = begin(info_name, args, parent, **extra)
        context.command = self  # which is asked to run it
        return context

    def invoke(self, ctx: Any) -> Any:
        return self.run(ctx)


class CommandError(GenlabError):
    """A plugin's command that failed by a defect of its own."""

    exit_code = 1


def _guarded(distribution: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``call`` with a plugin's defects told as its own; what it says to the user passes."""

    def guarded(*given: Any, **options: Any) -> Any:
        try:
            return call(*given, **options)
        except (GenlabError, CommandLineError, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in UNWRITABLE:
                raise
            from genlab.plugins import cause_of

            raise CommandError(
                f"plugin {distribution}, command {name}: {cause_of(error)}; --debug shows the traceback"
            ) from error

    return guarded


@dataclass(frozen=True)
class BrokenCommands:
    """A plugin whose commands cannot be had, and why."""

    distribution: str
    cause: str
    traceback: str


def examine(failed: Collection[str]) -> Iterator[BrokenCommands]:
    """Have every plugin add its commands, and say what is wrong with any but those that ``failed`` to load."""
    for source in _sources():
        if source.distribution in failed:
            continue
        try:
            source.group()
        except PluginError as error:
            text = "".join(traceback.format_exception(error.__cause__ or error))
            yield BrokenCommands(source.distribution, str(error).partition("; see `genlab")[0], text)


def command_clashes(context: typer.Context) -> list[Clash]:
    """Return the names that commands of several plugins have, or that genlab's own commands hide."""
    root = context.find_root()
    assert isinstance(root.command, TyperGroup)
    own = TyperGroup.list_commands(root.command, root)
    owners: dict[str, list[str]] = {}
    for source in _sources():
        names = dict.fromkeys(source.commands)
        with suppress(GenlabError):  # which ``examine`` tells
            names |= dict.fromkeys(source.group().commands)
        for name in names:
            owners.setdefault(name, []).append(source.distribution)
    several = {name: tuple(dists) for name, dists in owners.items() if name in own or len(dists) > 1}
    if not several:
        return []  # known without torch, which may be what is broken
    from genlab.inspection import Clash

    return [Clash("command", name, dists, name in own) for name, dists in several.items()]


def _names() -> list[str]:
    return sorted({name for source in _sources() for name in source.commands})


def _has(source: Source, name: str) -> bool:
    try:
        return name in source.group().commands
    except GenlabError:
        return False


def _sources() -> list[Source]:
    try:
        return _found(selected())
    except GenlabError:  # whoever needs the plugins says what is wrong
        return []


@cache
def _found(selection: Selection) -> list[Source]:
    """Return the plugins whose texts say that they add commands, those that cannot be read included."""
    from genlab.entries import entry_points, imported, module_of, packaged

    found = [_file(path) for path in selection.files]
    for entry_point in entry_points():
        distribution = packaged(entry_point).distribution
        if distribution != "genlab" and selection.allows(distribution, entry_point.name):
            seen = glance(module_of(entry_point), (HOOK,))
            found.append(_source(distribution, seen, partial(imported, entry_point)))
    return sorted(filter(None, found), key=lambda source: source.distribution)


def _source(distribution: str, seen: Glance, load: Callable[[], object]) -> Source | None:
    if seen.readable and not seen.hooks:
        return None
    commands = {command.name: command.help for command in seen.commands}
    return Source(distribution, commands, seen.whole, cache(lambda: _group(load, distribution)))


def _file(path: Path) -> Source | None:
    from genlab.single import read_file

    return _source(path.name, glance(path, (HOOK,)), lambda: read_file(path).module())


def _group(load: Callable[[], object], distribution: str) -> TyperGroup:
    """Import a plugin and return the commands that it adds to an app of its own."""
    import sys
    from contextlib import redirect_stdout

    import genlab
    from genlab.api import check
    from genlab.hooks import hooks_of
    from genlab.importing import importable

    app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})
    app.callback()(lambda: None)  # which makes a group of even one command
    with redirect_stdout(sys.stderr), importable():
        module = load()
        check(module, distribution, genlab.__version__)
        hooks_of(module, distribution).genlab_commands(app=app)
        group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group
