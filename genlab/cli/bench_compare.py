"""``genlab bench compare``: which differences between results are real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genlab.cli.arguments import AsJson
from genlab.errors import RecipeError

if TYPE_CHECKING:
    from genlab.bench.comparing import Comparison

WRITTEN = (".md", ".csv", ".json", ".png")


def command(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE|DIR...",
            help="Results of genlab bench, or folders of several sittings; the first is compared with.",
        ),
    ],
    fail_if_slower: Annotated[
        float | None,
        typer.Option(
            "--fail-if-slower",
            min=1,
            help="Exit with 1 if anything takes significantly longer than so many times the first, or "
            "cannot be judged.",
        ),
    ] = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Compare even results of different recipes.")] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option("-o", "--output", help="Also write .md, .csv, .json or .png (a plot); repeatable."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare results: ratios with intervals, and what else differs.

    A difference is called one only if it is significant; docs/bench.md says how that is found. Where small ones
    matter, measure each side five times or more, in turn, and name two folders.

    Example: genlab bench compare main.json mine.json --fail-if-slower 1.05 -o compared.md
    """
    from genlab.bench.comparing import compare
    from genlab.bench.sittings import read_side
    from genlab.bench.texts import as_json
    from genlab.cli.bench_tables import labels, show_comparison
    from genlab.units import as_json as json_line

    outputs = output or []
    for path in outputs:
        if path.suffix.lower() not in WRITTEN:
            raise RecipeError(f"{path}: one of {', '.join(WRITTEN)} is expected")
        if not path.parent.is_dir():
            raise RecipeError(f"{path}: there is no folder {path.parent}")
    comparison = compare([read_side(path) for path in results], labels(results), anyway=anyway)
    if json:
        typer.echo(json_line(as_json(comparison)))
    else:
        show_comparison(comparison)
    for path in outputs:
        for written in _write(path, comparison):
            typer.echo(written, err=json)
    if fail_if_slower is not None and not _passed(comparison, fail_if_slower):
        raise typer.Exit(1)


def _passed(comparison: Comparison, factor: float) -> bool:
    """Say what is slower than allowed, and what cannot be judged, which is no pass either."""
    slower = comparison.slower_than(factor)
    for row in slower:
        name = comparison.names[row.after]
        found = f"{row.combination.label}, {name}: {row.ratio.ratio:.3f} > {factor:g}"
        typer.echo(f"slower than allowed: {found}", err=True)
    for line in comparison.unjudged:
        typer.echo(f"cannot be judged: {line}", err=True)
    return not slower and not comparison.unjudged


def _write(path: Path, comparison: Comparison) -> list[Path]:
    """Write a comparison in the form that a file's name asks for; return the files."""
    from genlab.bench import texts
    from genlab.files import write_text
    from genlab.units import as_json as json_line

    kind = path.suffix.lower()
    if kind == ".png":
        return _draw(path, comparison)
    if kind == ".md":
        write_text(path, texts.as_markdown(comparison))
    elif kind == ".csv":
        write_text(path, texts.as_csv(comparison))
    else:
        write_text(path, json_line(texts.as_json(comparison)) + "\n")
    return [path]


def _draw(path: Path, comparison: Comparison) -> list[Path]:
    """Draw bars for each kind of work, and throughput against batch size where there are several; a file each."""
    from genlab.bench.plots import draw_bars, draw_scaling
    from genlab.plots import save_png

    results, names = comparison.results, comparison.names
    written: list[Path] = []
    for what in dict.fromkeys(row.combination.what for row in comparison.rows):
        bars = path if not written else path.with_stem(f"{path.stem}-{what}")
        save_png(draw_bars(results, names, what), bars)
        written.append(bars)
        if (scaling := draw_scaling(results, names, what)) is not None:
            beside = bars.with_stem(f"{bars.stem}-batch-size")
            save_png(scaling, beside)
            written.append(beside)
    return written
