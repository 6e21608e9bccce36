"""``genlab compare``: runs side by side."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli import completion
from genlab.cli.arguments import AsJson, png_path

if TYPE_CHECKING:
    from genlab.comparison import Comparison
    from genlab.digest import Digest


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            autocompletion=completion.every_run,
            help="Runs: directories, folders with runs below, names (the newest run of that name).",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="PNG to draw the curves of all runs to.")
    ] = None,
    json: AsJson = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="CSV file to write, a row a run.")] = None,
) -> None:
    """Show runs side by side, and what differs in their recipes.

    It says which of their numbers may be compared.
    Nothing is loaded or evaluated: what the runs wrote is read, of unfinished ones what there is so far.

    Example: genlab compare runs/mnist_cvae -o compare.png
    """
    from genlab.cli.compared import as_csv, as_json, show
    from genlab.comparison import compare
    from genlab.digest import digest
    from genlab.errors import RunError
    from genlab.files import write_text
    from genlab.finding import find_runs
    from genlab.units import as_json as json_line

    if output is not None:
        png_path(output)
    found = [digest(path) for path in find_runs(runs)]
    if len(found) < 2:
        raise RunError(
            f"{found[0].path}: one run; two or more are compared: give another, or a folder with runs below it "
            f"(`genlab runs show` shows one)\nto train one more, with another seed: {_again(found[0])}"
        )
    comparison = compare(found)
    if csv is not None:
        write_text(csv, as_csv(comparison))
    if json:
        typer.echo(json_line(as_json(comparison)))
    else:
        show(comparison)
    if output is not None:
        _draw(comparison, output)
    for path in (csv, output):
        if path is not None:
            typer.echo(path, err=json)


def _again(run: Digest) -> str:
    """Return the command that trains what a run did, with another seed."""
    from genlab.folders import from_here

    seed = run.recipe.get("seed")
    recipe = shlex.quote(from_here(run.path / "resolved.yaml"))
    return f"genlab run {recipe} seed={seed + 1 if isinstance(seed, int) else 1}"


def _draw(comparison: Comparison, output: Path) -> None:
    from genlab.comparison import labels
    from genlab.errors import RunError
    from genlab.plots import save_png
    from genlab.plots.compare import Curve, overlaid

    curves = [
        Curve(label, run.rows, run.best_epoch, index in comparison.best)
        for index, (label, run) in enumerate(zip(labels(comparison), comparison.runs, strict=True))
    ]
    drawable = [curve for curve in curves if curve.rows]
    if not drawable:
        raise RunError(f"{output}: not drawn: none of these runs has recorded an evaluation")
    names = dict.fromkeys(run.name for run in comparison.runs)
    verdicts = {
        verdict.metric: "comparable in part"
        if any(len(group) > 1 for group in verdict.groups)
        else "not comparable"
        for verdict in comparison.verdicts
        if not verdict.comparable
    }
    save_png(overlaid(drawable, ", ".join(names), verdicts), output)
