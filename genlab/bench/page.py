"""One self-contained HTML page about the results in a folder: speed, roofline, scaling, agreement, machines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from genlab.bench import plots, texts
from genlab.bench.comparing import Comparison, compare
from genlab.bench.folders import is_folder, result_files
from genlab.bench.page_machines import environments
from genlab.bench.result import BenchError, Cell, Combination, Result, read_result
from genlab.files import write_text
from genlab.plots.style import DPI
from genlab.report.facts import PAGE, Picture
from genlab.report.page import Content, Html, anchor, code, facts, folded, page, section, table, tag
from genlab.report.pictures import image
from genlab.units import bytes_said, duration

Named = tuple[str, Result]


def write_page(folder: Path, output: Path | None = None) -> Path:
    """Write the page of a folder of results, or of one result, in that folder or to ``output``; return its path.

    Raises ``BenchError`` if there are no results, ``RunError`` if the page cannot be written.
    """
    found, notes = results_in(folder)
    path = output or (folder if folder.is_dir() else folder.parent) / PAGE
    write_text(path, page_of(found, notes))
    return path


def results_in(folder: Path) -> tuple[list[Named], list[str]]:
    """Return the results in a folder by file name, and why other JSON files there were left out."""
    if not is_folder(folder):
        return [(folder.stem, read_result(folder))], []
    found, notes = [], []
    for path in result_files(folder):
        try:
            found.append((path.stem, read_result(path)))
        except BenchError as error:
            notes.append(str(error))
    if not found:
        raise BenchError(f"{folder}: no results of genlab bench, which are .json files{_first(notes)}")
    return sorted(found, key=lambda named: named[1].created), notes


def page_of(found: Sequence[Named], notes: Sequence[str] = ()) -> str:
    """Return the page as one HTML document."""
    sections = [
        ("Speed", section("Speed", [_speeds(*named) for named in found], about=_about_speed(found))),
        ("Compared", _compared(found)),
        ("Roofline", _roofline(found)),
        ("Batch size", _scaling(found)),
        ("Agreement", _agreement(found)),
        ("Profiles", _profiles(found)),
        ("Environments", environments(found)),
        ("Not measured", _skipped(found, notes)),
        ("How it was measured", _protocol(found)),
    ]
    there = [(title, content) for title, content in sections if content is not None]
    names = ", ".join(dict.fromkeys(result.recipe.name for _, result in found))
    contents = [tag("a", title, href=f"#{anchor(title)}") for title, _ in there]
    return page(
        f"{names} · benchmark · genlab",
        tag("header", tag("h1", tag("span", names, dir="auto")), _lead(found), _figures(found)),
        tag("nav", contents, aria_label="contents"),
        tag("main", [content for _, content in there]),
        tag("footer", "genlab bench · raw samples are in the result files"),
    )


def _lead(found: Sequence[Named]) -> Html:
    count = len(found)
    return tag("p", f"Speed and numerical agreement, {count} result{'s' * (count != 1)}.", class_="lead")


def _figures(found: Sequence[Named]) -> Html:
    cells = [cell for _, result in found for cell in result.cells]
    disagree = sum(cell.disagrees for cell in cells)
    pairs: list[tuple[str, Content]] = [
        ("parameters", next((result.recipe.parameters for _, result in found if result.recipe.parameters), "?")),
        ("combinations", len(cells)),
        ("processes", sum(len(cell.processes) for cell in cells)),
        ("disagree", tag("b", disagree) if disagree else "none"),
        ("devices", ", ".join(dict.fromkeys(cell.combination.device for cell in cells))),
    ]
    return facts(pairs, "figures")


def _about_speed(found: Sequence[Named]) -> str:
    first = found[0][1].protocol
    return (
        "Images a second, the median over processes ± half of its 95 % interval; what does not agree with "
        "float32, eager, on the CPU is marked first. A process counts as the median of "
        f"{first.windows} windows of {first.window_seconds:g} s after its warm-up."
    )


def _speeds(name: str, result: Result) -> list[Html]:
    """Return a table of precisions by runners for each device, kind of work and batch size, then the bars."""
    parts = [tag("h3", name), tag("p", result.recipe.ref, " · ", code(result.created), class_="note")]
    parts += [_note(warning) for warning in (*_ended(result), *result.warnings)]
    whats = list(dict.fromkeys(cell.combination.what for cell in result.cells))
    for what in whats:
        cells = [cell for cell in result.cells if cell.combination.what == what and cell.seconds is not None]
        if not cells:
            continue
        parts.append(_matrix(what, cells))
        if len(cells) > 1:
            picture = _picture(plots.draw_bars([result], [name], what), what, "medians with their intervals")
            parts.append(tag("div", image(picture), class_="plots"))
    notes = [f"{cell.combination.label}: {warning}" for cell in result.cells for warning in cell.warnings]
    if notes:
        parts.append(folded(f"{len(notes)} notes", [tag("p", note, class_="note") for note in notes]))
    return parts


def _matrix(what: str, cells: Sequence[Cell]) -> Html:
    """Devices, precisions and batch sizes down, runners across."""
    runners = list(dict.fromkeys(cell.combination.runner for cell in cells))
    rows = dict.fromkeys(_place(cell.combination) for cell in cells)
    lines: list[list[Content]] = []
    for place in rows:
        found = {cell.combination.runner: cell for cell in cells if _place(cell.combination) == place}
        speeds: list[Content] = [_speed(found[runner]) if runner in found else "" for runner in runners]
        lines.append([" ".join(str(part) for part in place if part is not None), *speeds])
    heads = [runner or "" for runner in runners]
    return table(["", *heads], lines, numbers=range(1, len(heads) + 1), caption=_unit(what, cells))


def _unit(what: str, cells: Sequence[Cell]) -> str:
    timed = all(cell.images_per_second is None for cell in cells)
    return f"{what}: seconds" if timed else f"{what}: images a second"


def _place(own: Combination) -> tuple[str, str | None, int | None]:
    return own.device, own.precision, own.batch_size


def _speed(cell: Cell) -> Content:
    estimate = cell.images_per_second or cell.seconds
    assert estimate is not None
    said = texts.speed_said(estimate.median) if cell.images_per_second else texts.time_said(estimate.median)
    interval = texts.interval_said(estimate)
    if cell.disagrees:
        return [tag("span", "disagrees", class_="state failed"), " ", said, " ", interval]
    return [tag("b", said), " ", tag("span", interval, class_="note")]


def _compared(found: Sequence[Named]) -> Html | None:
    """Compare all results of the first one's recipe with it, if some of its combinations are in another."""
    same = [named for named in found if named[1].recipe.sha256 == found[0][1].recipe.sha256]
    if len(same) < 2:
        return None
    try:
        comparison = compare([[result] for _, result in same], [name for name, _ in same])
    except BenchError:
        return None
    lines: list[list[Content]] = [
        [
            row.combination.label,
            comparison.names[row.after],
            texts.both_said(row),
            texts.ratio_said(row),
            _verdict(row.ratio.verdict),
        ]
        for row in comparison.rows
    ]
    columns = ("combination", "result", "agrees", "times as long", "verdict")
    return section(
        "Compared",
        table(columns, lines, numbers=(3,)),
        _bars_together(comparison),
        about=f"Against {comparison.names[0]}: {comparison.verdict}.",
    )


def _bars_together(comparison: Comparison) -> Html:
    figure = plots.draw_bars(comparison.results, comparison.names)
    return tag("div", image(_picture(figure, "compared", "the same combinations in each result")), class_="plots")


def _verdict(verdict: str) -> Content:
    kinds = {"slower": "failed", "faster": "completed"}
    return tag("span", verdict, class_=f"state {kinds[verdict]}") if verdict in kinds else verdict


def _roofline(found: Sequence[Named]) -> Html | None:
    parts: list[Html] = []
    for name, result in found:
        cells = [cell for cell in result.cells if cell.roofline is not None]
        if not cells:
            continue
        parts.append(tag("h3", name))
        for device in dict.fromkeys(peak.device for peak in result.peaks):
            figure = plots.draw_roofline(result, device)
            if figure is not None:
                picture = _picture(figure, device, "what a call reaches beside what was measured to be possible")
                parts.append(tag("div", image(picture), class_="plots"))
        lines: list[list[Content]] = [_roof_row(cell) for cell in cells]
        columns = (
            "combination",
            "operations a call",
            "bytes a call",
            "reached",
            "of products' peak",
            "of its roof",
            "",
        )
        parts.append(table(columns, lines, numbers=(1, 2, 3, 4, 5)))
    about = (
        "The peaks are measured: the product of two square matrices, and the sum of two long vectors. Bytes are "
        "those that the operators of an eager call read and write; fused or cached, a call moves less, and its "
        "share of the roof can exceed 100 %."
    )
    return section("Roofline", parts, about=about) if parts else None


def _roof_row(cell: Cell) -> list[Content]:
    roofline = cell.roofline
    assert roofline is not None
    return [
        [tag("span", "disagrees", class_="state failed"), " ", cell.combination.label]
        if cell.disagrees
        else cell.combination.label,
        f"{roofline.flops_per_call / 1e9:,.3g} G",
        bytes_said(round(roofline.bytes_per_call)),
        f"{roofline.flops / 1e9:,.3g} GFLOP/s",
        f"{roofline.share_of_product:.1%}",
        f"{roofline.share_of_roof:.1%}",
        f"bound by {roofline.bound}",
    ]


def _scaling(found: Sequence[Named]) -> Html | None:
    parts = []
    for name, result in found:
        for what in dict.fromkeys(cell.combination.what for cell in result.cells):
            figure = plots.draw_scaling([result], [name], what)
            if figure is not None:
                parts.append(image(_picture(figure, f"{name}: {what}", "throughput against batch size")))
    return section("Batch size", tag("div", parts, class_="plots")) if parts else None


def _agreement(found: Sequence[Named]) -> Html | None:
    lines: list[list[Content]] = []
    for name, result in found:
        for cell in result.cells:
            agreement = cell.agreement
            if agreement is None:
                continue
            tolerance = agreement.tolerance
            bad = agreement.disagrees
            state = tag("span", f"no: {', '.join(bad)}", class_="state failed") if bad else "yes"
            lines.append(
                [
                    cell.combination.label if len(found) == 1 else f"{name}: {cell.combination.label}",
                    state,
                    f"{agreement.loss_error:.1e} of {tolerance.loss:.0e}",
                    f"{agreement.gradient_error:.1e} of {tolerance.gradient:.0e}",
                    f"{agreement.val_loss_error:.1e} of {tolerance.val_loss:.0e}",
                    f"{agreement.val_loss:.3f}",
                    f"{agreement.reference_val_loss:.3f}",
                ]
            )
    if not lines:
        return None
    columns = ("combination", "agrees", "loss", "gradient", "val/loss", "reached", "reference")
    about = (
        "Relative errors beside float32, eager, on the CPU, of what the precision promises: loss and gradient of "
        "one fixed batch, and val/loss after the same steps on the same batches with the same noise: reached, and "
        "what float32, eager, reaches."
    )
    return section("Agreement", table(columns, lines, numbers=(2, 3, 4, 5, 6)), about=about)


def _profiles(found: Sequence[Named]) -> Html | None:
    parts: list[Html] = []
    for name, result in found:
        for profile in result.profiles:
            lines: list[list[Content]] = [
                [
                    cost.name,
                    f"{cost.calls / profile.steps:.3g}",
                    texts.time_said(cost.seconds),
                    f"{cost.share:.1%}",
                ]
                for cost in profile.costs
            ]
            parts.append(tag("h3", f"{name}: {profile.combination.label}"))
            parts.append(table(("operator", "calls", "own time a call", "share"), lines, numbers=(1, 2, 3)))
    return section("Profiles", parts) if parts else None


def _skipped(found: Sequence[Named], notes: Sequence[str]) -> Html | None:
    lines: list[list[Content]] = [
        [name, skipped.combination.label, skipped.reason] for name, result in found for skipped in result.skipped
    ]
    parts = [table(("result", "combination", "why"), lines)] if lines else []
    parts += [_note(note) for note in notes]
    return section("Not measured", parts) if parts else None


def _protocol(found: Sequence[Named]) -> Html:
    lines: list[list[Content]] = [
        [
            name,
            result.ended,
            f"{result.protocol.processes} to {result.protocol.most_processes}",
            f"±{result.protocol.bound:.0%}",
            duration(result.protocol.limit_seconds),
            result.protocol.agreement_steps,
            code(result.command) if result.command else "",
        ]
        for name, result in found
    ]
    columns = ("result", "ended", "processes", "until intervals are", "limit", "steps of agreement", "command")
    return section("How it was measured", table(columns, lines, numbers=(5,)))


def _ended(result: Result) -> list[str]:
    words = {"time limit": "ended by its time limit", "interrupted": "interrupted: what was measured until then"}
    return [words[result.ended]] if result.ended in words else []


def _note(words: str) -> Html:
    return tag("p", words, class_="note")


def _picture(figure: Figure, kind: str, about: str) -> Picture:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return Picture(kind, about, buffer.getvalue())


def _first(notes: Sequence[str]) -> str:
    return f" ({notes[0]})" if notes else ""
