"""``genlab data``: fetch and verify data sets without training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, PluginFiles

if TYPE_CHECKING:
    from pydantic import JsonValue

    from genlab.interfaces import DataSource

app = typer.Typer(
    help="Fetch and verify data sets.\n\nExample: genlab data fetch mnist",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A data source, mnist for example; `genlab ls parts` lists them.",
        autocompletion=completion.parts("data"),
    ),
]
Root = Annotated[Path | None, typer.Option("--root", help="Folder of data [GENLAB_DATA, else the user's cache].")]


@app.command()
def fetch(name: Name, root: Root = None, plugin: PluginFiles = None) -> None:
    """Bring a data set to this machine, replacing damaged files.

    Example: genlab data fetch mnist
    """
    typer.echo(f"{name}: {_source(name, root).fetch()}")


@app.command()
def verify(name: Name, root: Root = None, json: AsJson = False, plugin: PluginFiles = None) -> None:
    """Check the files of a data set; nothing is fetched.

    Exit code 2 if any is absent or damaged.

    Example: genlab data verify mnist
    """
    from genlab.errors import DataError
    from genlab.units import as_json

    source = _source(name, root)
    if not json:
        typer.echo(f"{name}: {source.verify()}")
        return
    try:
        typer.echo(as_json({"name": name, "ok": True, "origin": source.verify(), "error": None}))
    except DataError as error:
        typer.echo(as_json({"name": name, "ok": False, "origin": None, "error": str(error)}))
        raise typer.Exit(error.exit_code) from None


def _source(name: str, root: Path | None) -> DataSource:
    from genlab.errors import DataError
    from genlab.plugins import installed

    part = installed().registry.get("data", name)
    options: dict[str, JsonValue] = {} if root is None else {"root": str(root)}
    if root is not None and "root" not in part.option_names:
        raise DataError(f"data source {name!r} reads no files; --root does not apply")
    source: DataSource = part.cls(**part.parse(options))
    return source
