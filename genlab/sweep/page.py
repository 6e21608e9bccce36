"""The page of a sweep: which values were best, how sure that is, and a link to the page of each run."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from genlab.difference import values_at
from genlab.errors import GenlabError
from genlab.files import read_regular, write_text
from genlab.folders import from_here
from genlab.report.facts import MAX_PICTURE, PAGE, Picture
from genlab.report.page import (
    Content,
    Html,
    anchor,
    beside,
    code,
    facts,
    folded,
    listing,
    page,
    section,
    table,
    tag,
)
from genlab.report.pictures import plots
from genlab.report.prose import inline
from genlab.report.recipe import SWEPT, recipe
from genlab.report.run import badge
from genlab.runfiles import read_origins
from genlab.space import Choices, Json, Range
from genlab.sweep.outcome import Outcome
from genlab.sweep.page_runs import curves, environment
from genlab.sweep.reading import Sweep, read_sweep
from genlab.sweep.summary import Row, Spread
from genlab.units import duration
from genlab.writing import as_yaml

SEEDS = "seeds"  # the column that links to their runs
SHOWN = 50  # runs that stand open in the page; more are folded


def write_sweep_report(sweep: Path, output: Path | None = None) -> Path:
    """Write the page of a sweep's folder, in it or to ``output``; return its path.

    Links lead from there to the pages of the runs, or to the folders of those that have none. Raises
    ``RunError`` if there is no sweep in the folder or the page cannot be written.
    """
    path = sweep / PAGE if output is None else output
    write_text(path, sweep_page(read_sweep(sweep), path.absolute().parent))
    return path


def sweep_page(sweep: Sweep, folder: Path) -> str:
    """Return the page of a sweep as one HTML document, to stand in ``folder``."""
    sections = [
        ("Results", _results(sweep, folder)),
        ("Plots", plots(_pictures(sweep))),
        ("Curves", curves(sweep)),
        ("Failures", _failures(sweep, folder)),
        ("Runs", _runs(sweep, folder)),
        ("Recipe", _recipe(sweep)),
        ("Make it again", _again(sweep)),
        ("Environment", environment(sweep)),
    ]
    there = [(title, content) for title, content in sections if content is not None]
    contents = [tag("a", title, href=f"#{anchor(title)}") for title, _ in there]
    return page(
        f"{sweep.spec.name} · sweep · genlab",
        tag("header", _title(sweep), _outcome(sweep), _figures(sweep)),
        tag("nav", contents, aria_label="contents"),
        tag("main", [content for _, content in there]),
        tag("footer", "genlab sweep · ", code(sweep.path.name)),
    )


def _title(sweep: Sweep) -> list[Html]:
    done = sum(outcome.state == "completed" for outcome in sweep.outcomes)
    part = tag("span", f"{done} of {sweep.total} done", class_="badge running")
    keys = list(sweep.spec.space) or ["seed"]
    over = [[code(key), ", " if key != keys[-1] else None] for key in keys]
    return [
        tag("h1", tag("span", sweep.spec.name, dir="auto"), " ", badge("completed") if sweep.completed else part),
        tag("p", "A sweep over ", over, class_="lead"),
    ]


def _outcome(sweep: Sweep) -> Html | None:
    """Say what is missing, and how to go on."""
    if sweep.completed:
        return None
    failed, done = len(sweep.failed), sum(outcome.state == "completed" for outcome in sweep.outcomes)
    words = f"{done} of {sweep.total} runs are completed, {failed} failed."
    go_on = listing(f"genlab resume {shlex.quote(from_here(sweep.path))}", "command")
    hint = "To go on, completed runs as they are:"
    return tag("div", tag("p", words), tag("p", hint), go_on, class_="outcome interrupted", role="note")


def _figures(sweep: Sweep) -> Html:
    spec, rows = sweep.spec, sweep.rows
    pairs: list[tuple[str, Content]] = []
    if rows and spec.metric in rows[0].metrics:
        pairs.append((f"best {spec.metric}", tag("b", _spread(rows[0].metrics[spec.metric]))))
        pairs += [(key, as_yaml(value)) for key, value in rows[0].values.items()]
    pairs += [
        ("combinations", len(rows)),
        ("seeds", ", ".join(map(str, spec.seeds))),
        ("runs", len(sweep.outcomes)),
        ("search", spec.search.use),
        ("training, all runs", duration(sum(outcome.seconds for outcome in sweep.outcomes))),
    ]
    return facts(pairs, "figures")


def _results(sweep: Sweep, folder: Path) -> Html:
    """Return a row per combination: values, metrics over seeds, and a link to each run; the best first."""
    rows, spec = sweep.rows, sweep.spec
    keys = list(spec.space)
    found = list(dict.fromkeys(name for row in rows for name in row.metrics if name.startswith("val/")))
    names = [spec.metric, *(name for name in found if name != spec.metric)] if rows else []
    failed = any(row.failed for row in rows)
    lines: list[list[Content]] = []
    for row in rows:
        cells: list[Content] = [as_yaml(value) for value in row.values.values()] or ["the recipe"]
        cells += [_spread(row.metrics.get(name)) for name in names]
        cells.append([[_link(outcome, folder, str(outcome.trial.seed)), " "] for outcome in _of(sweep, row)])
        lines.append([*cells, row.failed] if failed else cells)
    several = len(spec.seeds) > 1
    about = "Nats per example, lower is better; of each run's best epoch. Each seed links to its run."
    if several:
        about += " Mean ± sample standard deviation over the completed runs of the seeds."
    warning = None
    if mixed := sweep.incomparable:
        words = f"{spec.metric} does not measure the same in all of these runs: {'; '.join(mixed)}."
        warning = tag("p", words, " Compare with that in mind.", class_="outcome interrupted")
    best = 0 if rows and spec.metric in rows[0].metrics else None
    columns = [*(keys or ["values"]), *names, SEEDS, *(["failed"] if failed else [])]
    numbers = [i for i, column in enumerate(columns) if i and column != SEEDS]
    results = table(columns, lines, numbers=numbers, caption="the best first", marked=best)
    files = tag(
        "p", "The same rows are in ", code("summary.csv"), " and ", code("summary.json"), ".", class_="about"
    )
    known = sweep.best.digest.protocol if sweep.best is not None and sweep.best.digest is not None else ""
    protocol = tag("p", inline(known), class_="about") if known else None
    return section("Results", warning, results, protocol, files, about=about)


def _of(sweep: Sweep, row: Row) -> list[Outcome]:
    return [outcome for outcome in sweep.outcomes if outcome.trial.values == row.values]


def _link(outcome: Outcome, folder: Path, words: str) -> Content:
    """Return a link to a run's page, or else its folder; the words alone if there is neither."""
    if outcome.run is None:
        return words
    target = outcome.run / PAGE if (outcome.run / PAGE).is_file() else outcome.run
    return tag("a", words, href=beside(Path(os.path.relpath(target, folder)).as_posix()))


def _failures(sweep: Sweep, folder: Path) -> Html | None:
    if not sweep.failed:
        return None
    rows: list[list[Content]] = [
        [_link(o, folder, f"{o.trial.number:03d}"), _said(o.trial.values), str(o.trial.seed), o.cause]
        for o in sweep.failed
    ]
    columns = ("run", "values", "seed", "cause")
    return section("Failures", table(columns, rows, numbers=(2,), caption="runs that failed"))


def _runs(sweep: Sweep, folder: Path) -> Html:
    metric, keys = sweep.spec.metric, list(sweep.spec.space)
    rows: list[list[Content]] = [
        [
            _link(o, folder, f"{o.trial.number:03d}"),
            tag("span", o.state, class_=f"state {o.state}"),
            *(as_yaml(value) for value in o.trial.values.values()),
            str(o.trial.seed),
            _number(o.metrics.get(metric)),
            o.epoch or "–",
            duration(o.seconds) if o.seconds else "–",
        ]
        for o in sweep.outcomes
    ]
    columns = ("run", "state", *keys, "seed", metric, "epochs", "training")
    every = table(columns, rows, numbers=range(2, len(columns)), caption="each links to its page")
    content = every if len(rows) <= SHOWN else folded(f"All {len(rows)} runs", every)
    return section("Runs", content)


def _recipe(sweep: Sweep) -> Html:
    spec = sweep.spec
    swept: list[list[Content]] = [[code(key), _range(choices)] for key, choices in spec.space.items()]
    fixed: list[list[Content]] = [[code(key), as_yaml(value)] for key, value in spec.overrides.items()]
    return section(
        "Recipe",
        table(("key", "values"), swept, caption="what is swept") if swept else None,
        table(("key", "value"), fixed, caption="overrides of every run") if fixed else None,
        tag("h3", "The recipe that is varied"),
        _varied(sweep),
    )


def _varied(sweep: Sweep) -> Html:
    """Return the recipe with the origin of each value; what is swept says so."""
    try:
        resolved = values_at(sweep.path / "recipe.yaml")
    except GenlabError as error:
        return tag("p", "It cannot be read: ", code(str(error)))
    origins = read_origins(sweep.path)
    swept = {key: _range(choices) for key, choices in sweep.spec.space.items()}
    swept["seed"] = ", ".join(map(str, sweep.spec.seeds))
    for key, values in swept.items():
        origins |= {name: f"{SWEPT}{values}" for name in (key, f"{key}.use") if name in origins}
    return recipe(resolved, origins)


def _again(sweep: Sweep) -> Html:
    return section(
        "Make it again",
        tag("p", "As it was made:"),
        listing(sweep.spec.command, "the command of this sweep"),
        tag("p", "Each run's page has the command and the versions for that run alone."),
    )


def _pictures(sweep: Sweep) -> list[Picture]:
    found = []
    for path in sorted((sweep.path / "plots").glob("*.png")):
        about = f"{sweep.spec.metric} of each run against the values of {path.stem}"
        with suppress(OSError):
            found.append(Picture(path.stem, about, read_regular(path, MAX_PICTURE, within=sweep.path)))
    return found


def _said(values: object) -> Content:
    pairs: Sequence[tuple[str, Json]] = list(values.items()) if isinstance(values, dict) else []
    return [[code(f"{key}={as_yaml(value)}"), " "] for key, value in pairs]


def _range(choices: Choices | Range) -> str:
    if isinstance(choices, Choices):
        return ", ".join(map(as_yaml, choices.values))
    kinds = [word for word, true in (("logarithmic", choices.log), ("whole numbers", choices.integer)) if true]
    return f"{choices.low} to {choices.high}" + (f" ({', '.join(kinds)})" if kinds else "")


def _spread(spread: Spread | None) -> str:
    return "–" if spread is None else str(spread)


def _number(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"
