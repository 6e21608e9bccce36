"""``genlab init``: a first recipe."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import Force, PluginFiles

if TYPE_CHECKING:
    from genlab.registry import Registry

File = Annotated[Path, typer.Argument(help="Where to write it.")]


def command(
    file: File = Path("recipe.yaml"),
    name: Annotated[str | None, typer.Option("--name", help="Of the run and the model.")] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Data, as listed by `genlab ls parts`.", autocompletion=completion.parts("data")
        ),
    ] = None,
    latent: Annotated[int | None, typer.Option("--latent", min=1, help="Size of a latent.")] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Encoder.", autocompletion=completion.parts("encoder"))
    ] = None,
    decoder: Annotated[
        str | None, typer.Option("--decoder", help="Decoder.", autocompletion=completion.parts("decoder"))
    ] = None,
    likelihood: Annotated[
        str | None, typer.Option("--likelihood", help="Likelihood.", autocompletion=completion.parts("likelihood"))
    ] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Ask nothing; take the defaults.")] = False,
    force: Force = False,
    plugin: PluginFiles = None,
) -> None:
    """Write a commented recipe; in a terminal, ask what it is made of.

    Example: genlab init digits.yaml --data mnist --latent 8
    """
    from genlab.cli.announcing import announce
    from genlab.drafts import CHOSEN, Answers, draft
    from genlab.placing import check_free, place
    from genlab.plugins import installed

    registry = installed().registry
    check_free(file, force=force)
    if name is not None:
        _check_name(name)
    given = {"data": data, "encoder": encoder, "decoder": decoder, "likelihood": likelihood}
    parts = {kind: choice for kind, choice in given.items() if choice is not None}
    for kind, choice in parts.items():
        registry.get(kind, choice)  # a misspelt one is said before anything is asked
    asks = sys.stdin.isatty() and not yes
    if asks:
        for kind in CHOSEN:
            if kind not in parts:
                parts[kind] = _ask_part(kind, getattr(Answers, kind), registry)
            if kind == "data" and latent is None:
                latent = _ask_size(Answers.latent)
    parts = {kind: parts.get(kind, getattr(Answers, kind)) for kind in CHOSEN}
    title = name or _own_name(file) or f"{registry.get('data', parts['data']).name}_vae"
    choices = Answers(name=title, latent=Answers.latent if latent is None else latent, **parts)
    placed = place(draft(choices, registry, str(file)), file, registry, force=force)
    announce(placed)


def _check_name(name: str) -> None:
    from genlab.errors import RecipeError
    from genlab.recipe import folder_name
    from genlab.wording import shown

    try:
        folder_name(name)
    except ValueError as error:
        raise RecipeError(f"--name {shown(name)}: {error}") from None


def _own_name(file: Path) -> str:
    """Return the name that a file gives its recipe, if it does."""
    from genlab.recipe import folder_name

    with suppress(ValueError):
        return "" if file.stem == "recipe" else folder_name(file.stem)
    return ""


def _ask_size(default: int) -> int:
    """Ask for the size of a latent until it is one."""
    from genlab.wording import printable

    typer.echo("\nlatent: how many numbers stand for one example")
    while True:
        size: str = typer.prompt("latent", default=str(default)).strip()
        if re.fullmatch(r"0*[1-9][0-9]{0,17}", size):
            return int(size)
        typer.echo(f"{printable(size)}: an integer > 0 is expected", err=True)


def _ask_part(kind: str, default: str, registry: Registry) -> str:
    """Offer what is installed until one of it is chosen."""
    from genlab.errors import PluginError

    parts = registry.parts(kind)
    width = max(map(len, registry.names(kind)))
    typer.echo(f"\n{kind}:")
    for part in parts:
        typer.echo(f"  {registry.use_of(part):{width}}  {part.summary}")
    while True:
        choice: str = typer.prompt(kind, default=default)
        try:
            return registry.use_of(registry.get(kind, choice.strip()))
        except PluginError as error:
            typer.echo(str(error), err=True)
