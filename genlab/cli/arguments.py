"""Options that several commands share, under the same names everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from genlab.cli import completion
from genlab.errors import RecipeError
from genlab.selection import select_files

_OVERRIDE = re.compile(r"[A-Za-z_][\w.]*=.*", re.DOTALL)


def _use_files(paths: list[Path] | None) -> list[Path] | None:
    """Take files for plugins as soon as the command line is read: the command need not know."""
    select_files(paths or [])
    return paths


Device = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, xpu ...", autocompletion=completion.devices),
]
Runs = Annotated[str | None, typer.Option("--runs", help="Folder of runs [GENLAB_RUNS, else runs].")]
MaxTime = Annotated[str | None, typer.Option("--max-time", help="Stop after so long, as in 90s, 10m or 1h30m.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print only the run directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Parent = Annotated[
    int | None,
    typer.Option(
        "--parent", hidden=True, help="Stop, as at SIGTERM, when this process, which started it, is gone."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        is_eager=True,
        callback=_use_files,
        help="A plugin that is one file, for this command alone.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**63 - 1, help="Makes the result repeatable.", show_default=False),
]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A model: name, run or bundle folder, run:NAME, plugin:NAME.",
        autocompletion=completion.models,
    ),
]
RecipeAndOverrides = Annotated[
    list[str],
    typer.Argument(
        metavar="RECIPE [KEY=VALUE]",
        help="A recipe file or the name of an installed one, and values to change in it.",
        autocompletion=completion.recipe_and_keys,
    ),
]
RecipesAndOverrides = Annotated[
    list[str],
    typer.Argument(
        metavar="RECIPE... [KEY=VALUE]",
        help="Recipe files or names of installed ones, and values to change in all of them.",
        autocompletion=completion.recipes_and_keys,
    ),
]
RefAndOverrides = Annotated[
    list[str],
    typer.Argument(
        metavar="REF [KEY=VALUE]",
        help="A model, and data options to change, as in data.root=/data.",
        autocompletion=completion.models,
    ),
]
RunAndOverrides = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN [KEY=VALUE]",
        help="A run or sweep directory, or a name: its newest run; how long a run is to go on, if longer.",
        autocompletion=completion.names_and_runs,
    ),
]


def split_overrides(tokens: list[str], what: str) -> tuple[str, list[str]]:
    """Separate the one plain argument from the ``key=value`` tokens, which may stand in any position."""
    plain, overrides = _split(tokens)
    if len(plain) != 1:
        given = " ".join(map(repr, plain)) or "none"
        raise RecipeError(f"exactly one {what} is expected; given: {given} ({_overrides_are(overrides)})")
    return plain[0], overrides


def split_many(tokens: list[str], what: str) -> tuple[list[str], list[str]]:
    """Separate one plain argument or more from the ``key=value`` tokens."""
    plain, overrides = _split(tokens)
    if not plain:
        raise RecipeError(f"at least one {what} is expected ({_overrides_are(overrides)})")
    return plain, overrides


def _overrides_are(overrides: list[str]) -> str:
    """Say how overrides are known, and, of one that is a file too, how to give the file."""
    files = "".join(f"; for the file write ./{token}" for token in overrides if exists(token))
    return f"overrides are key=value{files}"


def _split(tokens: list[str]) -> tuple[list[str], list[str]]:
    overrides = [token for token in tokens if _OVERRIDE.fullmatch(token)]
    return [token for token in tokens if not _OVERRIDE.fullmatch(token)], overrides


def split_plain(tokens: list[str], what: str, count: int) -> list[str]:
    """Check that there are so many plain arguments and no ``key=value`` among them."""
    overrides = [token for token in tokens if _OVERRIDE.fullmatch(token) and not exists(token)]
    if overrides:
        raise RecipeError(
            f"{overrides[0]}: overrides are not taken here, as it could be meant for either; write a recipe that "
            "extends the other, or compare runs"
        )
    if len(tokens) != count:
        given = " ".join(map(repr, tokens)) or "none"
        raise RecipeError(f"exactly {count} {what} are expected; given: {given}")
    return tokens


def exists(text: str) -> bool:
    """Whether there is anything at a path, though the text need not be one."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def png_path(path: Path) -> Path:
    """Check that an output path can hold a PNG."""
    if path.suffix.lower() != ".png":
        raise RecipeError(f"{path}: output is PNG; choose a name that ends in .png")
    if not path.parent.is_dir():
        raise RecipeError(f"{path}: there is no folder {path.parent}")
    return path
