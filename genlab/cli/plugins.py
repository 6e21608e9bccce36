"""``genlab plugins``: what is installed, what each plugin brings, and what is wrong with any."""

from __future__ import annotations

import json as json_module
import platform
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, PluginFiles
from genlab.units import as_json, counted

if TYPE_CHECKING:
    from genlab.catalogue import Entry
    from genlab.inspection import Brought, Inspected

app = typer.Typer(
    help="List plugins and find out what is wrong with one.\n\nExample: genlab plugins list",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_plugins(json: AsJson = False, plugin: PluginFiles = None) -> None:
    """List installed plugins and what each adds; none is imported.

    Example: genlab plugins list
    """
    from genlab.catalogue import catalogue
    from genlab.entries import damaged
    from genlab.errors import PluginError

    entries = catalogue()
    if json:
        typer.echo(as_json([asdict(entry) for entry in entries]))
    else:
        for entry in entries:
            typer.echo(_line(entry))
    if found := list(damaged()):
        raise PluginError("\n".join(map(str, found)))


@app.command()
def inspect(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A plugin's distribution or entry point.",
            autocompletion=completion.plugins,
        ),
    ],
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the options of each part.")
    ] = False,
    json: AsJson = False,
    plugin: PluginFiles = None,
) -> None:
    """Show what a plugin brings: its parts, with their options.

    Example: genlab plugins inspect genlab-tiny
    """
    from genlab.inspection import inspect as inspected
    from genlab.plugins import examined

    found = inspected(name, examined())
    if json:
        typer.echo(as_json(asdict(found)))
    elif schema:
        schemas = {f"{part.kind}.{part.use}": part.schema for part in found.parts}
        typer.echo(json_module.dumps(schemas, indent=2))
    else:
        typer.echo("\n".join(_described(found)))


@app.command()
def doctor(context: typer.Context, plugin: PluginFiles = None) -> None:
    """Show the plugins that could not be loaded, and why.

    Exit code 1 if there is one. Recipes and models that plugins ship and that do not open, and names that
    several plugins have, are noted.

    Example: genlab plugins doctor
    """
    from importlib import metadata

    import genlab
    from genlab.api import API_VERSION
    from genlab.cli.added import command_clashes, examine
    from genlab.inspection import clashes, missing_folders
    from genlab.plugins import examined
    from genlab.selection import ALLOWED, STRICT, selected
    from genlab.shipped import closed, shipped_clashes

    plugins, chosen = examined(), selected()
    torch = metadata.version("torch")
    typer.echo(
        f"genlab {genlab.__version__}, plugin API {API_VERSION}, Python {platform.python_version()}, torch {torch}"
    )
    said = [f"{ALLOWED}={','.join(chosen.allowed)}" if chosen.allowed else "", f"{STRICT}=1" * chosen.strict]
    typer.echo("".join(f"{word}\n" for word in [*said, " ".join(chosen.arguments())] if word), nl=False)
    for distribution, version in plugins.distributions:
        typer.echo(f"{distribution} {version}")
    for left_out in plugins.left_out:
        typer.echo(f"{left_out.distribution}: left out by {left_out.reason}")
    found = [*clashes(plugins.registry), *shipped_clashes(plugins), *command_clashes(context)]
    for clash in found:
        typer.echo(f"note: {clash}")
    for missing in missing_folders(plugins):
        typer.echo(f"note: {missing}")
    for one in closed(plugins):
        typer.echo(f"note: {one.kind} {one.name!r}, {one.said}")
    for failure in plugins.failures:
        typer.echo(f"\n{failure.distribution}, entry point {failure.entry_point}: {failure.cause}\n")
        typer.echo(failure.traceback)
    broken = list(examine({failure.distribution for failure in plugins.failures}))
    for without in broken:
        typer.echo(f"\n{without.distribution}: {without.cause}\n")
        typer.echo(without.traceback)
    counts = f"{counted(len(plugins.distributions), 'plugin')} loaded, {len(plugins.failures)} failed"
    typer.echo(counts + (f", {len(broken)} could not add commands" if broken else ""))
    if plugins.failures or broken:
        raise typer.Exit(1)


def _line(entry: Entry) -> str:
    adds = ", ".join(entry.adds) or ("nothing" if entry.whole else "")
    more = "" if entry.whole else " and what only running it would tell" if adds else "only running it would tell"
    left_out = f" (left out by {entry.left_out})" if entry.left_out else ""
    line = f"{entry.distribution} {entry.version}{left_out}: {adds}{more}"
    if not sys.stdout.isatty():
        return line
    return textwrap.fill(
        line,
        shutil.get_terminal_size().columns,
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _described(found: Inspected) -> Iterator[str]:
    entry = found.entry
    yield f"{entry.distribution} {entry.version}{entry.summary and f': {entry.summary}'}"
    facts = {
        "entry points": ", ".join(entry.entry_points),
        "recipes": ", ".join(found.recipes),
        "models": ", ".join(found.models),
        "commands": ", ".join(a.removeprefix("command:") for a in entry.adds if a.startswith("command:")),
        "left out": f"by {entry.left_out}" if entry.left_out else "",
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:<12}  {value}"
    for failure in found.failures:
        yield f"  could not be loaded: {failure.cause}; see `genlab plugins doctor`"
    for part in found.parts:
        yield f"\n{part.kind} {part.use}: {part.summary or part.cls}"
        yield from _options(part)


def _options(part: Brought) -> Iterator[str]:
    from genlab.cli.tables import listing
    from genlab.wording import shown

    if not part.options:
        yield "  no options"
        return
    rows = [
        (
            option.name,
            "required" if option.required else shown(option.default),
            option.allowed,
            option.meaning,
        )
        for option in part.options
    ]
    yield textwrap.indent(listing(("option", "default", "what it may be", "meaning"), rows), "  ")
